//! The names that a pod's resolver will ask for next (`--autopath`). Pure.
//!
//! With `ndots:5` a pod asks for `api.example.com.default.svc.cluster.local` first, then for the
//! name in `svc.cluster.local`, in `cluster.local`, in the node's own domains, and at last for
//! `api.example.com`. Whoever asks the first of these from that very namespace means the others.

use hickory_proto::rr::Name;

use crate::zone::Zone;

/// What follows the denied name `asked` in the search list of a pod of `namespace`, whose node
/// searches `search`; none if it is not the first of such a list.
pub(crate) fn candidates(
    zone: &Zone,
    namespace: &str,
    search: &[Name],
    asked: &Name,
) -> Option<Vec<Name>> {
    let first = zone.name_of(&[namespace, "svc"])?;
    if !first.zone_of(asked) {
        return None;
    }
    let inner = usize::from(asked.num_labels() - first.num_labels());
    let labels: Vec<&[u8]> = asked.iter().take(inner).collect();
    (!labels.is_empty()).then_some(())?;
    let services = zone.name_of(&["svc"])?;
    let domains = [&services, zone.apex()].into_iter().chain(search);
    let in_domain = |domain: &Name| {
        // One that would be too long is none.
        Name::from_labels(labels.iter().copied().chain(domain.iter())).ok()
    };
    let mut names: Vec<_> = domains.filter_map(in_domain).collect();
    names.extend(in_domain(&Name::root()));
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster_model::ServiceName;

    #[test]
    fn what_a_resolver_asks_next() {
        let name = |text: &str| Name::from_ascii(text).expect(text);
        let service = ServiceName::new("kube-system", "kube-dns");
        let zone = Zone::new(name("cluster.local."), 5, 1, service);
        let search = [name("corp.example.")];
        let after = |asked: &str| {
            let names = candidates(&zone, "shop", &search, &name(asked));
            names.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            after("api.example.com.Shop.SVC.cluster.local."),
            Some(
                [
                    "api.example.com.svc.cluster.local.",
                    "api.example.com.cluster.local.",
                    "api.example.com.corp.example.",
                    "api.example.com.",
                ]
                .map(str::to_owned)
                .to_vec()
            )
        );
        for other in [
            "api.example.com.other.svc.cluster.local.",
            "api.example.com.svc.cluster.local.",
            "shop.svc.cluster.local.",
            "api.example.com.",
        ] {
            assert_eq!(after(other), None, "{other}");
        }
    }
}
