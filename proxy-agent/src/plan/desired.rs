//! From the cluster's words to the kernel's: the frontends of Services as map keys, their
//! endpoints as lists in slot order.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster_model::{
    Answer, Behind, ClusterIndex, EndpointAddress, Frontend, FrontendKind, Here, PortView,
    Protocol, ServiceName, ports_of,
};
use ipnet::IpNet;
use proxy_abi::{Endpoint, FrontendKey, Ip, Port, Treatment};

/// What one port of a Service wants on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortWish {
    /// Which port of its Service it is.
    pub port: PortId,
    /// Seconds for which a client stays on its endpoint; 0: not.
    pub affinity_seconds: u32,
    /// Who may use the frontends that are treated with [`Treatment::SOURCE_RANGES`].
    pub source_ranges: Vec<IpNet>,
    /// Its frontends.
    pub frontends: BTreeMap<FrontendKey, FrontendWish>,
}

/// What tells the ports of a Service apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortId {
    /// Its name, empty for the single unnamed port.
    pub name: Box<str>,
    /// Its protocol.
    pub protocol: Protocol,
}

/// What one frontend wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendWish {
    /// What the address is to the Service: who has it, if two Services want it.
    pub kind: FrontendKind,
    /// Endpoints for clients on this node, ascending and without duplicates.
    pub inside: Arc<[Endpoint]>,
    /// Endpoints for clients whose packets come from the network, likewise.
    pub outside: Arc<[Endpoint]>,
    /// How clients are treated.
    pub treatment: Treatment,
}

/// What one Service wants on this node; empty if it is none of the proxy's.
#[must_use]
pub fn of_service(index: &ClusterIndex, service: &ServiceName, here: &Here) -> Vec<PortWish> {
    let views = ports_of(index, service, here);
    let mut wishes: Vec<_> = views.into_iter().map(port_wish).collect();
    // The addresses themselves are the first port's, which serves all of them or is none.
    if let Some(first) = wishes.first_mut() {
        let own = |(key, wish): (&FrontendKey, &FrontendWish)| {
            (wish.kind == FrontendKind::ClusterIp).then(|| FrontendKey::whole(key.address))
        };
        let wholes: Vec<_> = first.frontends.iter().filter_map(own).collect();
        first
            .frontends
            .extend(wholes.into_iter().map(|key| (key, refusing())));
    }
    wishes
}

/// A frontend that nobody serves.
fn refusing() -> FrontendWish {
    FrontendWish {
        kind: FrontendKind::ClusterIp,
        inside: Arc::default(),
        outside: Arc::default(),
        treatment: Treatment::default(),
    }
}

fn port_wish(view: PortView) -> PortWish {
    let PortView {
        name,
        protocol,
        affinity_seconds,
        source_ranges,
        frontends,
    } = view;
    let mut lists = Converted::default();
    let frontends = frontends
        .iter()
        .map(|(frontend, answer)| (key(frontend), lists.frontend(answer)))
        .collect();
    PortWish {
        port: PortId { name, protocol },
        affinity_seconds,
        source_ranges,
        frontends,
    }
}

fn key(frontend: &Frontend) -> FrontendKey {
    let Frontend {
        address,
        port,
        protocol,
    } = *frontend;
    FrontendKey::new(Ip::from(address), Port::new(port), protocol.number())
}

/// The lists of a port, each converted once however many frontends share it.
#[derive(Default)]
struct Converted(Vec<Conversion>);

/// A list in the cluster's words, and in the kernel's.
type Conversion = (Arc<[EndpointAddress]>, Arc<[Endpoint]>);

impl Converted {
    fn frontend(&mut self, answer: &Answer) -> FrontendWish {
        let Answer {
            kind,
            inside,
            outside,
            masquerade,
            limited,
            on_link,
        } = answer;
        let flags = [
            (*masquerade, Treatment::MASQUERADE),
            (inside.forbidden, Treatment::DROP_INSIDE),
            (outside.forbidden, Treatment::DROP_OUTSIDE),
            (*limited, Treatment::SOURCE_RANGES),
            (*on_link, Treatment::ON_LINK),
        ];
        let set = flags.into_iter().filter(|(set, _)| *set);
        FrontendWish {
            kind: *kind,
            inside: self.list(inside),
            outside: self.list(outside),
            treatment: set.fold(Treatment::default(), |all, (_, flag)| all.and(flag)),
        }
    }

    fn list(&mut self, behind: &Behind) -> Arc<[Endpoint]> {
        let list = &behind.endpoints;
        if let Some((_, known)) = self.0.iter().find(|(from, _)| Arc::ptr_eq(from, list)) {
            return known.clone();
        }
        let mut endpoints: Vec<Endpoint> = list
            .iter()
            .map(|EndpointAddress { address, port }| {
                Endpoint::new(Ip::from(*address), Port::new(*port))
            })
            .collect();
        endpoints.sort();
        let endpoints: Arc<[Endpoint]> = endpoints.into();
        self.0.push((list.clone(), endpoints.clone()));
        endpoints
    }
}

#[cfg(test)]
mod tests {
    use cluster_model::testing::{mk_endpoint, mk_index, mk_node, mk_service, mk_slice};

    use super::*;

    fn at(octets: [u8; 4]) -> Endpoint {
        Endpoint::new(Ip::v4(octets), Port::new(8080))
    }

    fn tcp(octets: [u8; 4], port: u16) -> FrontendKey {
        FrontendKey::new(Ip::v4(octets), Port::new(port), proxy_abi::protocol::TCP)
    }

    #[test]
    fn a_service_becomes_keys_and_sorted_lists() {
        let service = mk_service("shop", "web")
            .cluster_ip("10.96.1.1")
            .port("http", Protocol::Tcp, 80)
            .node_port(30080)
            .load_balancer_ip("192.0.2.7")
            .source_range("10.0.0.0/8")
            .external_local()
            .affinity(60);
        let slice = mk_slice("shop", "web", "web-1")
            .port("http", Protocol::Tcp, 8080)
            .endpoint(mk_endpoint("10.244.2.9"))
            .endpoint(mk_endpoint("10.244.1.3"));
        let mut index = mk_index([service], [slice]);
        index.apply_node(mk_node("node-1").address("172.30.0.11"));
        let here = Here::new("node-1");
        let wishes = of_service(&index, &ServiceName::new("shop", "web"), &here);
        let [wish] = &wishes[..] else {
            panic!("one port")
        };
        assert_eq!((&*wish.port.name, wish.affinity_seconds), ("http", 60));
        let both = [at([10, 244, 1, 3]), at([10, 244, 2, 9])];
        let own = &wish.frontends[&tcp([10, 96, 1, 1], 80)];
        assert_eq!((&own.inside[..], &own.outside[..]), (&both[..], &both[..]));
        assert_eq!(own.treatment, Treatment::MASQUERADE);
        let node_port = &wish.frontends[&tcp([172, 30, 0, 11], 30080)];
        assert_eq!(
            (&node_port.inside[..], &node_port.outside[..]),
            (&both[..], &[][..])
        );
        assert!(Arc::ptr_eq(&node_port.inside, &own.inside), "shared");
        assert_eq!(node_port.treatment, Treatment::DROP_OUTSIDE);
        let balanced = &wish.frontends[&tcp([192, 0, 2, 7], 80)];
        let closed = Treatment::DROP_OUTSIDE.and(Treatment::SOURCE_RANGES);
        assert_eq!(balanced.treatment, closed);
        let whole = &wish.frontends[&FrontendKey::whole(Ip::v4([10, 96, 1, 1]))];
        assert_eq!((whole, wish.frontends.len()), (&refusing(), 4));
    }

    #[test]
    fn an_unknown_service_wants_nothing() {
        let index = mk_index([], []);
        let here = Here::new("node-1");
        assert!(of_service(&index, &ServiceName::new("a", "b"), &here).is_empty());
    }
}
