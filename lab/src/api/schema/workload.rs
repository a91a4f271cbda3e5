//! Shapes of Deployments, DaemonSets, Scales, EndpointSlices, ServiceCIDRs and Leases.

use super::Shape::{
    Any, Boolean, IntOrText, Integer, Keyed, List, Object, Text, TextList, TextMap,
};
use super::Struct;
use super::metadata::{CONDITION, LABEL_SELECTOR, OBJECT_META};
use super::pod::POD_SPEC;

pub(super) static DEPLOYMENT: Struct = Struct {
    name: "Deployment",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&DEPLOYMENT_SPEC)),
        ("status", Object(&DEPLOYMENT_STATUS)),
    ],
};

static DEPLOYMENT_SPEC: Struct = Struct {
    name: "DeploymentSpec",
    fields: &[
        ("minReadySeconds", Integer),
        ("paused", Boolean),
        ("progressDeadlineSeconds", Integer),
        ("replicas", Integer),
        ("revisionHistoryLimit", Integer),
        ("selector", Object(&LABEL_SELECTOR)),
        ("strategy", Object(&DEPLOYMENT_STRATEGY)),
        ("template", Object(&POD_TEMPLATE_SPEC)),
    ],
};

static DEPLOYMENT_STRATEGY: Struct = Struct {
    name: "DeploymentStrategy",
    fields: &[("rollingUpdate", Object(&ROLLING_UPDATE)), ("type", Text)],
};

static ROLLING_UPDATE: Struct = Struct {
    name: "RollingUpdateDeployment",
    fields: &[("maxSurge", IntOrText), ("maxUnavailable", IntOrText)],
};

pub(super) static DAEMON_SET: Struct = Struct {
    name: "DaemonSet",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&DAEMON_SET_SPEC)),
        ("status", Object(&DAEMON_SET_STATUS)),
    ],
};

static DAEMON_SET_SPEC: Struct = Struct {
    name: "DaemonSetSpec",
    fields: &[
        ("minReadySeconds", Integer),
        ("revisionHistoryLimit", Integer),
        ("selector", Object(&LABEL_SELECTOR)),
        ("template", Object(&POD_TEMPLATE_SPEC)),
        ("updateStrategy", Object(&DAEMON_SET_STRATEGY)),
    ],
};

static DAEMON_SET_STRATEGY: Struct = Struct {
    name: "DaemonSetUpdateStrategy",
    fields: &[("rollingUpdate", Object(&ROLLING_UPDATE)), ("type", Text)],
};

static DAEMON_SET_STATUS: Struct = Struct {
    name: "DaemonSetStatus",
    fields: &[
        ("collisionCount", Integer),
        ("conditions", Keyed(&CONDITION, &["type"])),
        ("currentNumberScheduled", Integer),
        ("desiredNumberScheduled", Integer),
        ("numberAvailable", Integer),
        ("numberMisscheduled", Integer),
        ("numberReady", Integer),
        ("numberUnavailable", Integer),
        ("observedGeneration", Integer),
        ("updatedNumberScheduled", Integer),
    ],
};

static POD_TEMPLATE_SPEC: Struct = Struct {
    name: "PodTemplateSpec",
    fields: &[
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&POD_SPEC)),
    ],
};

static DEPLOYMENT_STATUS: Struct = Struct {
    name: "DeploymentStatus",
    fields: &[
        ("availableReplicas", Integer),
        ("collisionCount", Integer),
        ("conditions", Keyed(&CONDITION, &["type"])),
        ("observedGeneration", Integer),
        ("readyReplicas", Integer),
        ("replicas", Integer),
        ("terminatingReplicas", Integer),
        ("unavailableReplicas", Integer),
        ("updatedReplicas", Integer),
    ],
};

pub(super) static SCALE: Struct = Struct {
    name: "Scale",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&SCALE_SPEC)),
        ("status", Any),
    ],
};

static SCALE_SPEC: Struct = Struct {
    name: "ScaleSpec",
    fields: &[("replicas", Integer)],
};

pub(super) static ENDPOINT_SLICE: Struct = Struct {
    name: "EndpointSlice",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("addressType", Text),
        ("endpoints", List(&ENDPOINT)),
        ("ports", List(&ENDPOINT_PORT)),
    ],
};

static ENDPOINT: Struct = Struct {
    name: "Endpoint",
    fields: &[
        ("addresses", TextList),
        ("conditions", Object(&ENDPOINT_CONDITIONS)),
        ("deprecatedTopology", TextMap),
        ("hints", Any),
        ("hostname", Text),
        ("nodeName", Text),
        ("targetRef", Any),
        ("zone", Text),
    ],
};

static ENDPOINT_CONDITIONS: Struct = Struct {
    name: "EndpointConditions",
    fields: &[
        ("ready", Boolean),
        ("serving", Boolean),
        ("terminating", Boolean),
    ],
};

static ENDPOINT_PORT: Struct = Struct {
    name: "EndpointPort",
    fields: &[
        ("appProtocol", Text),
        ("name", Text),
        ("port", Integer),
        ("protocol", Text),
    ],
};

pub(super) static SERVICE_CIDR: Struct = Struct {
    name: "ServiceCIDR",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&SERVICE_CIDR_SPEC)),
        ("status", Any),
    ],
};

static SERVICE_CIDR_SPEC: Struct = Struct {
    name: "ServiceCIDRSpec",
    fields: &[("cidrs", TextList)],
};

pub(super) static LEASE: Struct = Struct {
    name: "Lease",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Any),
    ],
};
