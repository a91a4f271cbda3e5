//! A cluster of so many Services, as an API server would list it. Pure.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// The port of every Service, over TCP.
pub(super) const PORT: u16 = 80;
/// The port of every endpoint.
pub(super) const TARGET: u16 = 8080;
/// Nodes that the endpoints are dealt to.
const NODES: usize = 1000;

/// Services of one port each, and their endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Population {
    /// Services.
    pub(super) services: usize,
    /// Endpoints of each.
    pub(super) endpoints: usize,
}

impl Population {
    /// Every Service as JSON text.
    pub(super) fn services(self) -> Vec<String> {
        (0..self.services).map(|n| service(n).to_string()).collect()
    }

    /// The one EndpointSlice of each as JSON text.
    pub(super) fn slices(self) -> Vec<String> {
        (0..self.services)
            .map(|n| {
                let endpoints = (0..self.endpoints).map(|e| self.endpoint(n, e));
                slice(n, endpoints, true).to_string()
            })
            .collect()
    }

    /// Address of endpoint `e` of Service `n`.
    pub(super) fn endpoint(self, n: usize, e: usize) -> Ipv4Addr {
        at([10, 128, 0, 0], n * self.endpoints + e)
    }
}

/// Namespace of Service `n`.
pub(super) fn namespace(n: usize) -> String {
    format!("team-{}", n % 100)
}

/// Name of Service `n`.
pub(super) fn name(n: usize) -> String {
    format!("service-{n}")
}

/// Cluster IP of Service `n`.
pub(super) fn cluster_ip(n: usize) -> Ipv4Addr {
    at([10, 96, 0, 0], n + 1)
}

fn at(base: [u8; 4], offset: usize) -> Ipv4Addr {
    // Far below 2^32.
    Ipv4Addr::from(u32::from_be_bytes(base) + offset as u32)
}

/// Service `n`.
pub(super) fn service(n: usize) -> Value {
    let address = cluster_ip(n);
    json!({
        "metadata": {"name": name(n), "namespace": namespace(n), "resourceVersion": "1"},
        "spec": {
            "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        },
    })
}

/// The slice of Service `n` with endpoints at these addresses, all of them ready or none.
pub(super) fn slice(n: usize, endpoints: impl Iterator<Item = Ipv4Addr>, ready: bool) -> Value {
    let endpoints: Vec<Value> = endpoints
        .enumerate()
        .map(|(e, address)| {
            json!({
                "addresses": [address],
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "nodeName": format!("worker-{}", (n + e) % NODES), "zone": "eu-central-1a",
            })
        })
        .collect();
    json!({
        "metadata": {
            "name": format!("{}-x7k2p", name(n)), "namespace": namespace(n),
            "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": name(n)},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": TARGET, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_a_slice_with_its_endpoints() {
        let population = Population {
            services: 300,
            endpoints: 10,
        };
        let read = |texts: Vec<String>| -> Vec<Value> {
            let read = texts.iter().map(|text| serde_json::from_str(text));
            read.collect::<Result<_, _>>().expect("JSON")
        };
        let (services, slices) = (read(population.services()), read(population.slices()));
        assert_eq!((services.len(), slices.len()), (300, 300));
        for (service, slice) in services.iter().zip(&slices) {
            let label = &slice["metadata"]["labels"]["kubernetes.io/service-name"];
            assert_eq!(*label, service["metadata"]["name"]);
            assert_eq!(slice["endpoints"].as_array().map(Vec::len), Some(10));
        }
        assert_eq!(services[255]["spec"]["clusterIPs"][0], "10.96.1.0");
        assert_eq!(slices[1]["endpoints"][0]["addresses"][0], "10.128.0.10");
        assert_eq!(population.endpoint(9999, 9).to_string(), "10.129.134.159");
    }

    #[test]
    fn the_endpoints_of_a_slice_are_ready_or_not() {
        for ready in [true, false] {
            let slice = slice(0, [Ipv4Addr::LOCALHOST].into_iter(), ready);
            assert_eq!(slice["endpoints"][0]["conditions"]["ready"], ready);
        }
    }
}
