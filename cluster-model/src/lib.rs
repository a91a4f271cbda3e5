//! The cluster as flatnet sees it: trimmed objects, an index over them, the view of one node.
//!
//! Pure. Objects go in by `apply_*`, `delete_*` and `replace_*`, questions are answered from
//! memory, and nothing here can reach a clock, a socket or the API server. What a Kubernetes
//! object looks like on the wire is the business of `cluster-watch`, what becomes of the answer
//! that of the agent and the DNS server.

#![forbid(unsafe_code)]

pub mod name;
pub mod notice;
pub mod object;
pub mod index;
pub mod view;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use index::{Changes, ClusterIndex, Dirty};
pub use name::{Family, PodName, Protocol, ServiceName, SliceName};
pub use notice::{About, Notice};
pub use object::{
    Endpoint, EndpointSlice, Hints, Node, Pod, Service, ServiceCidr, ServiceKind, ServicePort,
    SlicePort, TrafficPolicy,
};
pub use view::{
    Answer, Behind, Candidate, EndpointAddress, Fate, Frontend, FrontendKind, Here, Nobody,
    NodePortAddresses, PortView, candidates, nobody, ports_of, unserved,
};
