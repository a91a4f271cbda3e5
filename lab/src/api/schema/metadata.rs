//! Shapes that every object shares: metadata, label selectors, references.

use super::Shape::{Any, Boolean, Integer, Keyed, List, Text, TextList, TextMap, TextSet};
use super::Struct;

pub(super) static OBJECT_META: Struct = Struct {
    name: "ObjectMeta",
    fields: &[
        ("name", Text),
        ("generateName", Text),
        ("namespace", Text),
        ("uid", Text),
        ("resourceVersion", Text),
        ("generation", Integer),
        ("selfLink", Text),
        ("creationTimestamp", Text),
        ("deletionTimestamp", Text),
        ("deletionGracePeriodSeconds", Integer),
        ("labels", TextMap),
        ("annotations", TextMap),
        ("finalizers", TextSet),
        ("ownerReferences", Keyed(&OWNER_REFERENCE, &["uid"])),
        ("managedFields", Any),
    ],
};

static OWNER_REFERENCE: Struct = Struct {
    name: "OwnerReference",
    fields: &[
        ("apiVersion", Text),
        ("kind", Text),
        ("name", Text),
        ("uid", Text),
        ("controller", Boolean),
        ("blockOwnerDeletion", Boolean),
    ],
};

pub(super) static LABEL_SELECTOR: Struct = Struct {
    name: "LabelSelector",
    fields: &[
        ("matchLabels", TextMap),
        ("matchExpressions", List(&LABEL_SELECTOR_REQUIREMENT)),
    ],
};

static LABEL_SELECTOR_REQUIREMENT: Struct = Struct {
    name: "LabelSelectorRequirement",
    fields: &[("key", Text), ("operator", Text), ("values", TextList)],
};

/// Conditions of any kind: lists that merge by type.
pub(super) static CONDITION: Struct = Struct {
    name: "Condition",
    fields: &[
        ("type", Text),
        ("status", Text),
        ("reason", Text),
        ("message", Text),
        ("lastTransitionTime", Text),
        ("lastUpdateTime", Text),
        ("lastHeartbeatTime", Text),
        ("lastProbeTime", Text),
        ("observedGeneration", Integer),
    ],
};
