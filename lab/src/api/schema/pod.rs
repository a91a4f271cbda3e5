//! Shapes of pods, their containers and their status.

use super::Shape::{
    Any, AnyMap, Boolean, IntOrText, Integer, Keyed, List, Object, Text, TextList, TextMap,
};
use super::Struct;
use super::metadata::{CONDITION, LABEL_SELECTOR, OBJECT_META};

pub(super) static POD: Struct = Struct {
    name: "Pod",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("spec", Object(&POD_SPEC)),
        ("status", Object(&POD_STATUS)),
    ],
};

pub(super) static POD_SPEC: Struct = Struct {
    name: "PodSpec",
    fields: &[
        ("activeDeadlineSeconds", Integer),
        ("affinity", Any),
        ("automountServiceAccountToken", Boolean),
        ("containers", Keyed(&CONTAINER, &["name"])),
        ("dnsConfig", Object(&POD_DNS_CONFIG)),
        ("dnsPolicy", Text),
        ("enableServiceLinks", Boolean),
        ("ephemeralContainers", Keyed(&CONTAINER, &["name"])),
        ("hostAliases", Keyed(&HOST_ALIAS, &["ip"])),
        ("hostIPC", Boolean),
        ("hostNetwork", Boolean),
        ("hostPID", Boolean),
        ("hostUsers", Boolean),
        ("hostname", Text),
        ("hostnameOverride", Text),
        ("imagePullSecrets", Keyed(&NAMED, &["name"])),
        ("initContainers", Keyed(&CONTAINER, &["name"])),
        ("nodeName", Text),
        ("nodeSelector", TextMap),
        ("os", Any),
        ("overhead", AnyMap),
        ("preemptionPolicy", Text),
        ("priority", Integer),
        ("priorityClassName", Text),
        ("readinessGates", Any),
        ("resourceClaims", Any),
        ("resources", Any),
        ("restartPolicy", Text),
        ("runtimeClassName", Text),
        ("schedulerName", Text),
        ("schedulingGates", Keyed(&NAMED, &["name"])),
        ("securityContext", Any),
        ("serviceAccount", Text),
        ("serviceAccountName", Text),
        ("setHostnameAsFQDN", Boolean),
        ("shareProcessNamespace", Boolean),
        ("subdomain", Text),
        ("terminationGracePeriodSeconds", Integer),
        ("tolerations", List(&TOLERATION)),
        (
            "topologySpreadConstraints",
            Keyed(
                &TOPOLOGY_SPREAD_CONSTRAINT,
                &["topologyKey", "whenUnsatisfiable"],
            ),
        ),
        ("volumes", Keyed(&VOLUME, &["name"])),
    ],
};

pub(super) static CONTAINER: Struct = Struct {
    name: "Container",
    fields: &[
        ("args", TextList),
        ("command", TextList),
        ("env", Keyed(&ENV_VAR, &["name"])),
        ("envFrom", Any),
        ("image", Text),
        ("imagePullPolicy", Text),
        ("lifecycle", Any),
        ("livenessProbe", Object(&PROBE)),
        ("name", Text),
        (
            "ports",
            Keyed(&CONTAINER_PORT, &["containerPort", "protocol"]),
        ),
        ("readinessProbe", Object(&PROBE)),
        ("resizePolicy", Any),
        ("resources", Any),
        ("restartPolicy", Text),
        ("restartPolicyRules", Any),
        ("securityContext", Any),
        ("startupProbe", Object(&PROBE)),
        ("stdin", Boolean),
        ("stdinOnce", Boolean),
        ("targetContainerName", Text),
        ("terminationMessagePath", Text),
        ("terminationMessagePolicy", Text),
        ("tty", Boolean),
        ("volumeDevices", Keyed(&VOLUME_DEVICE, &["devicePath"])),
        ("volumeMounts", Keyed(&VOLUME_MOUNT, &["mountPath"])),
        ("workingDir", Text),
    ],
};

static CONTAINER_PORT: Struct = Struct {
    name: "ContainerPort",
    fields: &[
        ("containerPort", Integer),
        ("hostIP", Text),
        ("hostPort", Integer),
        ("name", Text),
        ("protocol", Text),
    ],
};

static ENV_VAR: Struct = Struct {
    name: "EnvVar",
    fields: &[("name", Text), ("value", Text), ("valueFrom", Any)],
};

static PROBE: Struct = Struct {
    name: "Probe",
    fields: &[
        ("exec", Object(&EXEC_ACTION)),
        ("failureThreshold", Integer),
        ("grpc", Object(&GRPC_ACTION)),
        ("httpGet", Object(&HTTP_GET_ACTION)),
        ("initialDelaySeconds", Integer),
        ("periodSeconds", Integer),
        ("successThreshold", Integer),
        ("tcpSocket", Object(&TCP_SOCKET_ACTION)),
        ("terminationGracePeriodSeconds", Integer),
        ("timeoutSeconds", Integer),
    ],
};

static EXEC_ACTION: Struct = Struct {
    name: "ExecAction",
    fields: &[("command", TextList)],
};

static GRPC_ACTION: Struct = Struct {
    name: "GRPCAction",
    fields: &[("port", Integer), ("service", Text)],
};

static HTTP_GET_ACTION: Struct = Struct {
    name: "HTTPGetAction",
    fields: &[
        ("host", Text),
        ("httpHeaders", List(&HTTP_HEADER)),
        ("path", Text),
        ("port", IntOrText),
        ("scheme", Text),
    ],
};

static HTTP_HEADER: Struct = Struct {
    name: "HTTPHeader",
    fields: &[("name", Text), ("value", Text)],
};

static TCP_SOCKET_ACTION: Struct = Struct {
    name: "TCPSocketAction",
    fields: &[("host", Text), ("port", IntOrText)],
};

static VOLUME_DEVICE: Struct = Struct {
    name: "VolumeDevice",
    fields: &[("devicePath", Text), ("name", Text)],
};

static VOLUME_MOUNT: Struct = Struct {
    name: "VolumeMount",
    fields: &[
        ("mountPath", Text),
        ("mountPropagation", Text),
        ("name", Text),
        ("readOnly", Boolean),
        ("recursiveReadOnly", Text),
        ("subPath", Text),
        ("subPathExpr", Text),
    ],
};

static VOLUME: Struct = Struct {
    name: "Volume",
    fields: &[
        ("name", Text),
        ("configMap", Any),
        ("csi", Any),
        ("downwardAPI", Any),
        ("emptyDir", Any),
        ("ephemeral", Any),
        ("hostPath", Any),
        ("image", Any),
        ("nfs", Any),
        ("persistentVolumeClaim", Any),
        ("projected", Any),
        ("secret", Any),
    ],
};

static POD_DNS_CONFIG: Struct = Struct {
    name: "PodDNSConfig",
    fields: &[
        ("nameservers", TextList),
        ("options", List(&POD_DNS_CONFIG_OPTION)),
        ("searches", TextList),
    ],
};

static POD_DNS_CONFIG_OPTION: Struct = Struct {
    name: "PodDNSConfigOption",
    fields: &[("name", Text), ("value", Text)],
};

static HOST_ALIAS: Struct = Struct {
    name: "HostAlias",
    fields: &[("ip", Text), ("hostnames", TextList)],
};

/// Anything that is only a name.
static NAMED: Struct = Struct {
    name: "LocalObjectReference",
    fields: &[("name", Text)],
};

static TOLERATION: Struct = Struct {
    name: "Toleration",
    fields: &[
        ("effect", Text),
        ("key", Text),
        ("operator", Text),
        ("tolerationSeconds", Integer),
        ("value", Text),
    ],
};

static TOPOLOGY_SPREAD_CONSTRAINT: Struct = Struct {
    name: "TopologySpreadConstraint",
    fields: &[
        ("labelSelector", Object(&LABEL_SELECTOR)),
        ("matchLabelKeys", TextList),
        ("maxSkew", Integer),
        ("minDomains", Integer),
        ("nodeAffinityPolicy", Text),
        ("nodeTaintsPolicy", Text),
        ("topologyKey", Text),
        ("whenUnsatisfiable", Text),
    ],
};

static POD_STATUS: Struct = Struct {
    name: "PodStatus",
    fields: &[
        ("allocatedResources", Any),
        ("conditions", Keyed(&CONDITION, &["type"])),
        ("containerStatuses", Any),
        ("ephemeralContainerStatuses", Any),
        ("hostIP", Text),
        ("hostIPs", Keyed(&ADDRESS, &["ip"])),
        ("initContainerStatuses", Any),
        ("message", Text),
        ("nominatedNodeName", Text),
        ("observedGeneration", Integer),
        ("phase", Text),
        ("podIP", Text),
        ("podIPs", Keyed(&ADDRESS, &["ip"])),
        ("qosClass", Text),
        ("reason", Text),
        ("resize", Text),
        ("resourceClaimStatuses", Any),
        ("resources", Any),
        ("startTime", Text),
    ],
};

static ADDRESS: Struct = Struct {
    name: "PodIP",
    fields: &[("ip", Text)],
};
