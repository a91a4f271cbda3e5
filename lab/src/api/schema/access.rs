//! Shapes of ClusterRoles and their bindings. The lab keeps them and lets everybody do everything.

use super::Shape::{Any, List, Object, Text, TextList};
use super::Struct;
use super::metadata::OBJECT_META;

pub(super) static CLUSTER_ROLE: Struct = Struct {
    name: "ClusterRole",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("aggregationRule", Any),
        ("rules", List(&POLICY_RULE)),
    ],
};

static POLICY_RULE: Struct = Struct {
    name: "PolicyRule",
    fields: &[
        ("apiGroups", TextList),
        ("nonResourceURLs", TextList),
        ("resourceNames", TextList),
        ("resources", TextList),
        ("verbs", TextList),
    ],
};

pub(super) static CLUSTER_ROLE_BINDING: Struct = Struct {
    name: "ClusterRoleBinding",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("metadata", Object(&OBJECT_META)),
        ("roleRef", Object(&ROLE_REF)),
        ("subjects", List(&SUBJECT)),
    ],
};

static ROLE_REF: Struct = Struct {
    name: "RoleRef",
    fields: &[("apiGroup", Text), ("kind", Text), ("name", Text)],
};

static SUBJECT: Struct = Struct {
    name: "Subject",
    fields: &[
        ("apiGroup", Text),
        ("kind", Text),
        ("name", Text),
        ("namespace", Text),
    ],
};
