//! ServiceCIDRs: few, and each change concerns every node as a whole.

use std::collections::BTreeSet;

use super::ClusterIndex;
use crate::object::ServiceCidr;

impl ClusterIndex {
    /// Adds a ServiceCIDR or puts it in the place of the one of that name.
    pub fn apply_service_cidr(&mut self, cidr: ServiceCidr) {
        if self.service_cidrs.get(&cidr.name) == Some(&cidr) {
            return;
        }
        self.service_cidrs.insert(cidr.name.clone(), cidr);
        self.dirty.service_cidrs = true;
    }

    /// Removes a ServiceCIDR.
    pub fn delete_service_cidr(&mut self, name: &str) {
        if self.service_cidrs.remove(name).is_some() {
            self.dirty.service_cidrs = true;
        }
    }

    /// Makes `cidrs` all the ServiceCIDRs there are: what a full list says.
    pub fn replace_service_cidrs(&mut self, cidrs: Vec<ServiceCidr>) {
        let listed: BTreeSet<_> = cidrs.iter().map(|cidr| cidr.name.clone()).collect();
        let before = self.service_cidrs.len();
        self.service_cidrs.retain(|name, _| listed.contains(name));
        self.dirty.service_cidrs |= self.service_cidrs.len() != before;
        cidrs
            .into_iter()
            .for_each(|cidr| self.apply_service_cidr(cidr));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(name: &str, cidrs: &[&str]) -> ServiceCidr {
        let cidrs = cidrs.iter().map(|cidr| cidr.parse().expect("a CIDR"));
        ServiceCidr {
            name: name.into(),
            cidrs: cidrs.collect(),
        }
    }

    /// A step, and which ServiceCIDRs there are then, and whether that is a change.
    type Row = (
        &'static str,
        fn(&mut ClusterIndex),
        &'static [&'static str],
        bool,
    );

    #[test]
    fn what_differs_is_a_change() {
        let first = || cidr("kubernetes", &["10.96.0.0/16", "fd00:10:96::/112"]);
        let more = || cidr("more", &["10.196.196.0/24"]);
        let rows: [Row; 6] = [
            (
                "the same again",
                |i| {
                    i.replace_service_cidrs(vec![cidr(
                        "kubernetes",
                        &["10.96.0.0/16", "fd00:10:96::/112"],
                    )])
                },
                &["kubernetes"],
                false,
            ),
            (
                "another",
                |i| i.apply_service_cidr(cidr("more", &["10.196.196.0/24"])),
                &["kubernetes", "more"],
                true,
            ),
            (
                "another version",
                |i| i.apply_service_cidr(cidr("kubernetes", &["10.96.0.0/12"])),
                &["kubernetes"],
                true,
            ),
            (
                "one goes",
                |i| i.delete_service_cidr("kubernetes"),
                &[],
                true,
            ),
            (
                "one that is not there goes",
                |i| i.delete_service_cidr("more"),
                &["kubernetes"],
                false,
            ),
            (
                "a list of others",
                |i| i.replace_service_cidrs(vec![cidr("more", &[])]),
                &["more"],
                true,
            ),
        ];
        for (case, step, names, dirty) in rows {
            let mut index = ClusterIndex::default();
            index.apply_service_cidr(first());
            index.take_dirty();
            step(&mut index);
            let held: Vec<_> = index.service_cidrs().map(|cidr| &*cidr.name).collect();
            assert_eq!(held, names, "{case}");
            assert_eq!(index.take_dirty().service_cidrs, dirty, "{case}");
        }
        let mut index = ClusterIndex::default();
        index.apply_service_cidr(more());
        assert!(!index.take_dirty().is_empty());
    }
}
