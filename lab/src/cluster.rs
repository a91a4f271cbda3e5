//! The names every cluster of the lab has. Its addresses are the network plan's.

/// The DNS zone.
pub(crate) const ZONE: &str = "cluster.local";
/// The port of the API server's Service.
pub(crate) const API_SERVICE_PORT: u16 = 443;
