//! How many Service ports drop traffic here because a `Local` policy finds no endpoint on this
//! node.

use std::collections::BTreeMap;

use cluster_model::{FrontendKind, ServiceName};
use proxy_abi::Treatment;

use crate::plan::desired::PortWish;
use crate::plan::services::Wishes;

/// Ports by the policy that leaves them nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// The internal one.
    pub(super) internal: u32,
    /// The external one.
    pub(super) external: u32,
}

/// The Services that have such ports.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<ServiceName, Without>);

impl Tally {
    /// These Services have so many now.
    pub(super) fn change(&mut self, services: BTreeMap<ServiceName, Without>) {
        for (service, without) in services {
            match without == Without::default() {
                true => self.0.remove(&service),
                false => self.0.insert(service, without),
            };
        }
    }

    /// Who has such ports.
    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.0.keys()
    }

    /// All together.
    pub(super) fn total(&self) -> Without {
        Without {
            internal: self.0.values().map(|without| without.internal).sum(),
            external: self.0.values().map(|without| without.external).sum(),
        }
    }
}

/// How many such ports each of these Services has.
pub(super) fn of(wishes: &Wishes) -> BTreeMap<ServiceName, Without> {
    let without = |ports: &Vec<PortWish>| Without {
        internal: ports.iter().map(|port| drops(port, true)).sum(),
        external: ports.iter().map(|port| drops(port, false)).sum(),
    };
    let each = wishes.iter();
    each.map(|(service, ports)| (service.clone(), without(ports)))
        .collect()
}

/// 1 if a frontend of that policy drops what comes under it, else 0.
fn drops(port: &PortWish, internal: bool) -> u32 {
    let dropped = port.frontends.values().any(|front| {
        (front.kind == FrontendKind::ClusterIp) == internal
            && front.treatment.has(Treatment::DROP_OUTSIDE)
    });
    u32::from(dropped)
}

#[cfg(test)]
mod tests {
    use cluster_model::Protocol::Tcp;
    use cluster_model::testing::{mk_endpoint, mk_index, mk_service, mk_slice};
    use cluster_model::{ClusterIndex, Here};

    use super::*;
    use crate::pass::wishes;

    #[test]
    fn a_port_counts_once_a_policy() {
        let web = || {
            mk_service("shop", "web")
                .cluster_ip("10.96.0.1")
                .external_ip("192.0.2.1")
                .external_ip("192.0.2.2")
                .port("", Tcp, 80)
        };
        let at = |node: &str| {
            let end = mk_endpoint("10.244.1.2").on(node);
            mk_slice("shop", "web", "s").port("", Tcp, 80).endpoint(end)
        };
        let names = [ServiceName::new("shop", "web")];
        let wished = |index: &ClusterIndex| wishes(index, names.iter(), &Here::new("n1"));
        let mut tally = Tally::default();
        let mut count = |index| {
            tally.change(of(&wished(&index)));
            let Without { internal, external } = tally.total();
            (internal, external)
        };
        let both = || web().internal_local().external_local();
        assert_eq!(count(mk_index([both()], [at("n2")])), (1, 1));
        assert_eq!(
            count(mk_index([web().external_local()], [at("n2")])),
            (0, 1)
        );
        assert_eq!(count(mk_index([both()], [at("n1")])), (0, 0));
        assert_eq!(
            count(mk_index([both()], [])),
            (0, 0),
            "none anywhere is no policy's doing"
        );
    }
}
