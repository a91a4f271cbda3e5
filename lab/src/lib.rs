//! A cluster on one machine: nodes as network namespaces, a small API server, an outside client.

pub mod api;
pub mod store;
