//! Shapes of Services, Nodes, Namespaces, ConfigMaps, ServiceAccounts and Events.

use super::Shape::{
    Any, AnyMap, Boolean, IntOrText, Integer, Keyed, List, Object, Text, TextList, TextMap, TextSet,
};
use super::Struct;
use super::metadata::{CONDITION, OBJECT_META};

pub(super) static SERVICE: Struct = Struct {
    name: "Service",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&SERVICE_SPEC)),
        ("status", Object(&SERVICE_STATUS)),
    ],
};

static SERVICE_SPEC: Struct = Struct {
    name: "ServiceSpec",
    fields: &[
        ("allocateLoadBalancerNodePorts", Boolean),
        ("clusterIP", Text),
        ("clusterIPs", TextList),
        ("externalIPs", TextList),
        ("externalName", Text),
        ("externalTrafficPolicy", Text),
        ("healthCheckNodePort", Integer),
        ("internalTrafficPolicy", Text),
        ("ipFamilies", TextList),
        ("ipFamilyPolicy", Text),
        ("loadBalancerClass", Text),
        ("loadBalancerIP", Text),
        ("loadBalancerSourceRanges", TextList),
        ("ports", Keyed(&SERVICE_PORT, &["port", "protocol"])),
        ("publishNotReadyAddresses", Boolean),
        ("selector", TextMap),
        ("sessionAffinity", Text),
        ("sessionAffinityConfig", Any),
        ("trafficDistribution", Text),
        ("type", Text),
    ],
};

static SERVICE_PORT: Struct = Struct {
    name: "ServicePort",
    fields: &[
        ("appProtocol", Text),
        ("name", Text),
        ("nodePort", Integer),
        ("port", Integer),
        ("protocol", Text),
        ("targetPort", IntOrText),
    ],
};

static SERVICE_STATUS: Struct = Struct {
    name: "ServiceStatus",
    fields: &[
        ("conditions", Keyed(&CONDITION, &["type"])),
        ("loadBalancer", Any),
    ],
};

pub(super) static NODE: Struct = Struct {
    name: "Node",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&NODE_SPEC)),
        ("status", Object(&NODE_STATUS)),
    ],
};

static NODE_SPEC: Struct = Struct {
    name: "NodeSpec",
    fields: &[
        ("configSource", Any),
        ("externalID", Text),
        ("podCIDR", Text),
        ("podCIDRs", TextSet),
        ("providerID", Text),
        ("taints", List(&TAINT)),
        ("unschedulable", Boolean),
    ],
};

static TAINT: Struct = Struct {
    name: "Taint",
    fields: &[
        ("effect", Text),
        ("key", Text),
        ("timeAdded", Text),
        ("value", Text),
    ],
};

static NODE_STATUS: Struct = Struct {
    name: "NodeStatus",
    fields: &[
        ("addresses", Keyed(&NODE_ADDRESS, &["type"])),
        ("allocatable", AnyMap),
        ("capacity", AnyMap),
        ("conditions", Keyed(&CONDITION, &["type"])),
        ("config", Any),
        ("daemonEndpoints", Any),
        ("features", Any),
        ("images", Any),
        ("nodeInfo", Any),
        ("phase", Text),
        ("runtimeHandlers", Any),
        ("volumesAttached", Any),
        ("volumesInUse", Any),
    ],
};

static NODE_ADDRESS: Struct = Struct {
    name: "NodeAddress",
    fields: &[("address", Text), ("type", Text)],
};

pub(super) static NAMESPACE: Struct = Struct {
    name: "Namespace",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&NAMESPACE_SPEC)),
        ("status", Object(&NAMESPACE_STATUS)),
    ],
};

static NAMESPACE_SPEC: Struct = Struct {
    name: "NamespaceSpec",
    fields: &[("finalizers", TextList)],
};

static NAMESPACE_STATUS: Struct = Struct {
    name: "NamespaceStatus",
    fields: &[
        ("conditions", Keyed(&CONDITION, &["type"])),
        ("phase", Text),
    ],
};

pub(super) static CONFIG_MAP: Struct = Struct {
    name: "ConfigMap",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("binaryData", TextMap),
        ("data", TextMap),
        ("immutable", Boolean),
    ],
};

pub(super) static SERVICE_ACCOUNT: Struct = Struct {
    name: "ServiceAccount",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("automountServiceAccountToken", Boolean),
        ("imagePullSecrets", Any),
        ("secrets", Any),
    ],
};

pub(super) static EVENT: Struct = Struct {
    name: "Event",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("action", Text),
        ("count", Integer),
        ("eventTime", Text),
        ("firstTimestamp", Text),
        ("involvedObject", Any),
        ("lastTimestamp", Text),
        ("message", Text),
        ("reason", Text),
        ("related", Any),
        ("reportingComponent", Text),
        ("reportingInstance", Text),
        ("series", Any),
        ("source", Any),
        ("type", Text),
    ],
};
