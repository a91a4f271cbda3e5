//! From the cluster's words to the kernel's: the frontends of Services as map keys, their
//! endpoints as lists in slot order.

use std::collections::BTreeMap;

use cluster_model::{ClusterIndex, EndpointAddress, Frontend, ServiceName, frontends_of};
use proxy_abi::{Endpoint, FrontendKey, Ip, Port};

/// Frontends and their endpoint lists; each list ascends and has no duplicates.
pub type Lists = BTreeMap<FrontendKey, Vec<Endpoint>>;

/// What one Service wants on this node; empty if it is none of the proxy's.
#[must_use]
pub fn of_service(index: &ClusterIndex, service: &ServiceName, node: &str) -> Lists {
    frontends_of(index, service, node)
        .into_iter()
        .map(|(frontend, endpoints)| (key(&frontend), list(&endpoints)))
        .collect()
}

fn key(frontend: &Frontend) -> FrontendKey {
    let Frontend {
        address,
        port,
        protocol,
    } = *frontend;
    FrontendKey::new(Ip::from(address), Port::new(port), protocol.number())
}

fn list(endpoints: &[EndpointAddress]) -> Vec<Endpoint> {
    let mut list: Vec<Endpoint> = endpoints
        .iter()
        .map(|EndpointAddress { address, port }| {
            Endpoint::new(Ip::from(*address), Port::new(*port))
        })
        .collect();
    list.sort();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use cluster_model::Protocol;
    use cluster_model::testing::{mk_endpoint, mk_index, mk_service, mk_slice};

    use super::*;

    #[test]
    fn a_service_becomes_keys_and_sorted_lists() {
        let service =
            mk_service("shop", "web")
                .cluster_ip("10.96.1.1")
                .port("http", Protocol::Tcp, 80);
        let slice = mk_slice("shop", "web", "web-1")
            .port("http", Protocol::Tcp, 8080)
            .endpoint(mk_endpoint("10.244.2.9"))
            .endpoint(mk_endpoint("10.244.1.3"));
        let index = mk_index([service], [slice]);
        let lists = of_service(&index, &ServiceName::new("shop", "web"), "node-1");
        let key = FrontendKey::new(
            Ip::v4([10, 96, 1, 1]),
            Port::new(80),
            proxy_abi::protocol::TCP,
        );
        let at = |octets| Endpoint::new(Ip::v4(octets), Port::new(8080));
        assert_eq!(lists[&key], [at([10, 244, 1, 3]), at([10, 244, 2, 9])]);
        assert_eq!(lists.len(), 1);
    }

    #[test]
    fn an_unknown_service_wants_nothing() {
        let index = mk_index([], []);
        assert!(of_service(&index, &ServiceName::new("a", "b"), "node-1").is_empty());
    }
}
