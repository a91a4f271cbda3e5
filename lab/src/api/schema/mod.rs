//! The shape of the objects: which fields exist, of which type, and how their lists merge.
//!
//! One table serves three readers: bodies are checked against it ([`conform`]), strategic merge
//! patches find their merge keys in it, and server-side apply its list keys.
//! Where the lab never looks (volume sources, affinity, node information) the table says
//! [`Shape::Any`] and everything is taken as it comes.

mod access;
mod conform;
mod core;
mod metadata;
mod pod;
mod workload;

pub(super) use conform::conform;

use crate::store::Kind;

/// What may stand in a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Anything; not looked into.
    Any,
    /// Text.
    Text,
    /// Whole number.
    Integer,
    /// true or false.
    Boolean,
    /// A number, or a name or percentage.
    IntOrText,
    /// Map from text to text, merged key by key.
    TextMap,
    /// Map from text to anything, merged key by key.
    AnyMap,
    /// List of texts that is replaced as a whole.
    TextList,
    /// List of texts that merges as a set.
    TextSet,
    /// Map with known fields.
    Object(&'static Struct),
    /// List of maps that is replaced as a whole.
    List(&'static Struct),
    /// List of maps that merges by the given fields: a strategic merge patch goes by the first
    /// of them, server-side apply by all.
    Keyed(&'static Struct, &'static [&'static str]),
}

/// A map with known fields.
#[derive(Debug)]
pub(super) struct Struct {
    /// Its Go name, for error messages.
    pub(super) name: &'static str,
    /// Its fields.
    pub(super) fields: &'static [(&'static str, Shape)],
}

impl Struct {
    /// Shape of a field, if there is such a field.
    pub(super) fn field(&self, name: &str) -> Option<Shape> {
        self.fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, shape)| *shape)
    }
}

/// Shape of the objects of a kind.
pub(super) fn of(kind: Kind) -> &'static Struct {
    match kind {
        Kind::Node => &core::NODE,
        Kind::Namespace => &core::NAMESPACE,
        Kind::Pod => &pod::POD,
        Kind::Service => &core::SERVICE,
        Kind::EndpointSlice => &workload::ENDPOINT_SLICE,
        Kind::Deployment => &workload::DEPLOYMENT,
        Kind::ConfigMap => &core::CONFIG_MAP,
        Kind::ServiceAccount => &core::SERVICE_ACCOUNT,
        Kind::Event => &core::EVENT,
        Kind::Lease => &workload::LEASE,
        Kind::DaemonSet => &workload::DAEMON_SET,
        Kind::ClusterRole => &access::CLUSTER_ROLE,
        Kind::ClusterRoleBinding => &access::CLUSTER_ROLE_BINDING,
        Kind::ServiceCidr => &workload::SERVICE_CIDR,
    }
}

/// Shape of `autoscaling/v1` Scale.
pub(super) fn scale() -> &'static Struct {
    &workload::SCALE
}
