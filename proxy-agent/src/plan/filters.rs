//! Whether each pod's interface runs the current `from_pod`, and where the kernel has no tcx, the
//! node's own interfaces what links would run there.
//!
//! The CNI plugin attaches it at ADD, as a filter of the interface's clsact qdisc, or by a pinned
//! link where a later plugin of the chain needs the qdisc's place (that is for [`super::links`]).
//! The agent keeps the filter current and puts it back where somebody removed it.

use std::collections::BTreeMap;
use std::fmt;

use proxy_abi::ownership::program::FROM_POD;

use super::links::{Hook, Wanted};

/// Which packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Those that come in.
    Ingress,
    /// Those that leave.
    Egress,
}

/// A filter of ours has one place at each side of an interface, which is named.
pub type Place = (String, Side);

/// The host end of a pod's veth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its index.
    pub ifindex: u32,
    /// Whether it is up. It is not while the plugin is still making it.
    pub up: bool,
    /// The kernel's id of the program in our filter's place.
    pub program_id: Option<u32>,
}

/// One change of the filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Puts the current program into our filter's place, in one step.
    Put {
        /// Name of the program.
        program: &'static str,
        /// Where.
        place: Place,
        /// Whether a program of ours is in that place now.
        replaces: bool,
    },
    /// Removes our filter.
    Remove(Place),
}

/// What leads from the observed interfaces to ones that all run the program with id `current`
/// (`None`: one that has no id yet). `linked` says whether an interface has a link instead.
#[must_use]
pub fn diff(
    observed: &BTreeMap<String, Observed>,
    linked: impl Fn(&str) -> bool,
    current: Option<u32>,
) -> Vec<Operation> {
    let stale = |interface: &Observed| match interface.program_id {
        Some(id) => Some(id) != current,
        None => interface.up,
    };
    observed
        .iter()
        .filter(|(name, interface)| stale(interface) && !linked(name))
        .map(|(name, interface)| Operation::Put {
            program: FROM_POD,
            place: (name.clone(), Side::Ingress),
            replaces: interface.program_id.is_some(),
        })
        .collect()
}

/// The filters that do the work of these links at interfaces, on a kernel without tcx. They are
/// taken out of the links.
#[must_use]
pub fn instead_of(links: &mut BTreeMap<String, Wanted>) -> BTreeMap<Place, &'static str> {
    let place = |hook: &Hook| match hook {
        Hook::Ingress(name) => Some((name.clone(), Side::Ingress)),
        Hook::Egress(name) => Some((name.clone(), Side::Egress)),
        Hook::Cgroup(_) | Hook::Gone => None,
    };
    let filters = links.values();
    let filters = filters.filter_map(|link| Some((place(&link.hook)?, link.program)));
    let filters = filters.collect();
    links.retain(|_, link| place(&link.hook).is_none());
    filters
}

/// What leads from the observed filters on the node's own interfaces, by the id of their program,
/// to the wanted ones.
#[must_use]
pub fn diff_own(
    observed: &BTreeMap<Place, u32>,
    wanted: &BTreeMap<Place, &'static str>,
    current: impl Fn(&str) -> Option<u32>,
) -> Vec<Operation> {
    let holds = |place: &Place, program: &str| {
        let id = observed.get(place);
        id.is_some() && id.copied() == current(program)
    };
    let stale = wanted
        .iter()
        .filter(|(place, program)| !holds(place, program));
    let put = stale.map(|(place, program)| Operation::Put {
        program,
        place: place.clone(),
        replaces: observed.contains_key(place),
    });
    let unwanted = observed.keys().filter(|place| !wanted.contains_key(place));
    put.chain(unwanted.cloned().map(Operation::Remove))
        .collect()
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put {
                program,
                place: (interface, _),
                replaces: true,
            } => write!(
                out,
                "put the current {program} into the filter of {interface}"
            ),
            Self::Put {
                program,
                place: (interface, _),
                replaces: false,
            } => write!(out, "attach {program} to {interface} by a filter"),
            Self::Remove((interface, side)) => {
                write!(out, "remove the {side:?} filter of {interface}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_comes_to_run_the_current_program() {
        let rows = [
            ("fn-current", 2, true, Some(7), None),
            ("fn-in-the-making", 3, false, None, None),
            ("fn-linked", 4, true, None, None),
            (
                "fn-lost",
                5,
                true,
                None,
                Some("attach from_pod to fn-lost by a filter"),
            ),
            (
                "fn-old",
                6,
                true,
                Some(6),
                Some("put the current from_pod into the filter of fn-old"),
            ),
        ];
        let observed = rows
            .iter()
            .map(|(name, ifindex, up, program_id, _)| {
                let observed = Observed {
                    ifindex: *ifindex,
                    up: *up,
                    program_id: *program_id,
                };
                ((*name).to_owned(), observed)
            })
            .collect();
        let puts = diff(&observed, |name| name == "fn-linked", Some(7));
        let lines: Vec<String> = puts.iter().map(ToString::to_string).collect();
        let expected: Vec<&str> = rows.iter().filter_map(|row| row.4).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_program_about_to_be_replaced_makes_every_filter_stale() {
        let observed = Observed {
            ifindex: 2,
            up: true,
            program_id: Some(7),
        };
        let observed = BTreeMap::from([("fn1".to_owned(), observed)]);
        assert_eq!(diff(&observed, |_| false, None).len(), 1);
    }

    #[test]
    fn filters_stand_in_for_links_at_interfaces() {
        let names = || ["eth0"].into_iter();
        let mut links = crate::plan::links::wanted(names(), [].into_iter(), Some(7));
        let wanted = instead_of(&mut links);
        assert_eq!(links.len(), 8, "the cgroup's");
        assert_eq!(instead_of(&mut links), BTreeMap::new());
        let place = |name: &str, side| (name.to_owned(), side);
        let observed = BTreeMap::from([
            (place("eth0", Side::Ingress), 7),
            (place("eth1", Side::Egress), 8),
        ]);
        let lines = |current: Option<u32>| -> Vec<String> {
            let operations = diff_own(&observed, &wanted, |_| current);
            operations.iter().map(ToString::to_string).collect()
        };
        let last = "remove the Egress filter of eth1";
        let attach = "attach to_network to eth0 by a filter";
        assert_eq!(lines(Some(7)), [attach, last]);
        let put = "put the current from_network into the filter of eth0";
        assert_eq!(lines(None), [put, attach, last]);
        assert!(diff_own(&BTreeMap::new(), &BTreeMap::new(), |_| None).is_empty());
    }
}
