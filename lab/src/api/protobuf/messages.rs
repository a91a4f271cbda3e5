//! Field numbers of the messages that are read, from the `generated.proto` files of `k8s.io/api`
//! and `k8s.io/apimachinery` (1.32).

use Type::{Boolean, Ignored, IntOrText, Integer, Many, One, Optional, Text, TextMap, Texts};

/// A message: a Go struct.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    number: u64,
    /// Its name in JSON.
    pub(super) name: &'static str,
    pub(super) of: Type,
}

/// What a field holds. Empty values mean "not set", except where said.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Text,
    Texts,
    TextMap,
    Integer,
    /// An integer behind a pointer: zero is a value.
    Optional,
    Boolean,
    IntOrText,
    One(&'static Message),
    Many(&'static Message),
    /// The server's to set: not read.
    Ignored,
}

impl Message {
    pub(super) fn field(&self, number: u64) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

/// The message of a kind.
pub(super) fn of_kind(kind: &str) -> Option<&'static Message> {
    match kind {
        "Namespace" => Some(&NAMESPACE),
        "ConfigMap" => Some(&CONFIG_MAP),
        "Service" => Some(&SERVICE),
        "ServiceAccount" => Some(&SERVICE_ACCOUNT),
        "Deployment" => Some(&DEPLOYMENT),
        "DeleteOptions" => Some(&DELETE_OPTIONS),
        _ => None,
    }
}

const fn f(number: u64, name: &'static str, of: Type) -> Field {
    Field { number, name, of }
}

pub(super) static TYPE_META: Message = Message {
    name: "TypeMeta",
    fields: &[f(1, "apiVersion", Text), f(2, "kind", Text)],
};

pub(super) static MAP_ENTRY: Message = Message {
    name: "entry",
    fields: &[f(1, "key", Text), f(2, "value", Text)],
};

pub(super) static INT_OR_STRING: Message = Message {
    name: "IntOrString",
    fields: &[
        f(1, "type", Integer),
        f(2, "intVal", Integer),
        f(3, "strVal", Text),
    ],
};

static OBJECT_META: Message = Message {
    name: "ObjectMeta",
    fields: &[
        f(1, "name", Text),
        f(2, "generateName", Text),
        f(3, "namespace", Text),
        f(8, "creationTimestamp", Ignored),
        f(11, "labels", TextMap),
        f(12, "annotations", TextMap),
    ],
};

static NAMESPACE: Message = Message {
    name: "Namespace",
    fields: &[
        f(1, "metadata", One(&OBJECT_META)),
        f(2, "spec", Ignored),
        f(3, "status", Ignored),
    ],
};

static CONFIG_MAP: Message = Message {
    name: "ConfigMap",
    fields: &[
        f(1, "metadata", One(&OBJECT_META)),
        f(2, "data", TextMap),
        f(4, "immutable", Boolean),
    ],
};

static SERVICE_ACCOUNT: Message = Message {
    name: "ServiceAccount",
    fields: &[f(1, "metadata", One(&OBJECT_META))],
};

static SERVICE: Message = Message {
    name: "Service",
    fields: &[
        f(1, "metadata", One(&OBJECT_META)),
        f(2, "spec", One(&SERVICE_SPEC)),
        f(3, "status", Ignored),
    ],
};

static SERVICE_SPEC: Message = Message {
    name: "ServiceSpec",
    fields: &[
        f(1, "ports", Many(&SERVICE_PORT)),
        f(2, "selector", TextMap),
        f(3, "clusterIP", Text),
        f(4, "type", Text),
        f(5, "externalIPs", Texts),
        f(7, "sessionAffinity", Text),
        f(8, "loadBalancerIP", Text),
        f(10, "externalName", Text),
        f(11, "externalTrafficPolicy", Text),
        f(13, "publishNotReadyAddresses", Boolean),
        f(17, "ipFamilyPolicy", Text),
        f(18, "clusterIPs", Texts),
        f(19, "ipFamilies", Texts),
        f(22, "internalTrafficPolicy", Text),
    ],
};

static SERVICE_PORT: Message = Message {
    name: "ServicePort",
    fields: &[
        f(1, "name", Text),
        f(2, "protocol", Text),
        f(3, "port", Integer),
        f(4, "targetPort", IntOrText),
        f(5, "nodePort", Integer),
        f(6, "appProtocol", Text),
    ],
};

static DEPLOYMENT: Message = Message {
    name: "Deployment",
    fields: &[
        f(1, "metadata", One(&OBJECT_META)),
        f(2, "spec", One(&DEPLOYMENT_SPEC)),
        f(3, "status", Ignored),
    ],
};

pub(super) static DEPLOYMENT_SPEC: Message = Message {
    name: "DeploymentSpec",
    fields: &[
        f(1, "replicas", Optional),
        f(2, "selector", One(&LABEL_SELECTOR)),
        f(3, "template", One(&POD_TEMPLATE_SPEC)),
        f(4, "strategy", One(&DEPLOYMENT_STRATEGY)),
        f(5, "minReadySeconds", Integer),
    ],
};

static LABEL_SELECTOR: Message = Message {
    name: "LabelSelector",
    fields: &[f(1, "matchLabels", TextMap)],
};

/// Its rolling update is a message that kubectl leaves empty; the type alone is read.
static DEPLOYMENT_STRATEGY: Message = Message {
    name: "DeploymentStrategy",
    fields: &[f(1, "type", Text)],
};

static POD_TEMPLATE_SPEC: Message = Message {
    name: "PodTemplateSpec",
    fields: &[
        f(1, "metadata", One(&OBJECT_META)),
        f(2, "spec", One(&POD_SPEC)),
    ],
};

static POD_SPEC: Message = Message {
    name: "PodSpec",
    fields: &[
        f(2, "containers", Many(&CONTAINER)),
        f(3, "restartPolicy", Text),
    ],
};

static CONTAINER: Message = Message {
    name: "Container",
    fields: &[
        f(1, "name", Text),
        f(2, "image", Text),
        f(3, "command", Texts),
        f(4, "args", Texts),
        f(6, "ports", Many(&CONTAINER_PORT)),
        f(7, "env", Many(&ENV_VAR)),
        f(14, "imagePullPolicy", Text),
    ],
};

static CONTAINER_PORT: Message = Message {
    name: "ContainerPort",
    fields: &[
        f(1, "name", Text),
        f(3, "containerPort", Integer),
        f(4, "protocol", Text),
    ],
};

static ENV_VAR: Message = Message {
    name: "EnvVar",
    fields: &[f(1, "name", Text), f(2, "value", Text)],
};

static DELETE_OPTIONS: Message = Message {
    name: "DeleteOptions",
    fields: &[
        f(1, "gracePeriodSeconds", Optional),
        f(2, "preconditions", One(&PRECONDITIONS)),
        f(4, "propagationPolicy", Text),
        f(5, "dryRun", Texts),
    ],
};

static PRECONDITIONS: Message = Message {
    name: "Preconditions",
    fields: &[f(1, "uid", Text), f(2, "resourceVersion", Text)],
};
