//! Whether each pod's interface runs the current `from_pod` and `to_pod`, and where the kernel has
//! no tcx, the node's own interfaces what links would run there.
//!
//! The CNI plugin attaches them at ADD, as filters of the interface's clsact qdisc, or by pinned
//! links where a later plugin of the chain needs the qdisc's place (that is for [`super::links`]).
//! The agent keeps the filters current, puts them back where somebody removed them, and adds what
//! an older plugin did not know of.

use std::collections::BTreeMap;
use std::fmt;

use proxy_abi::ownership::program::{FROM_POD, TO_POD};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its index.
    pub ifindex: u32,
    /// Whether it is up. It is not while the plugin is still making it.
    pub up: bool,
    /// The kernel's ids of the programs in our filters' places.
    pub programs: BTreeMap<Side, u32>,
}

/// What a pod's interface runs.
pub const OF_PODS: [(Side, &str); 2] = [(Side::Ingress, FROM_POD), (Side::Egress, TO_POD)];

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

impl Operation {
    /// Where it changes something.
    #[must_use]
    pub fn place(&self) -> &Place {
        let (Self::Put { place, .. } | Self::Remove(place)) = self;
        place
    }
}

/// What leads from the observed interfaces to ones that all run the programs with the ids that
/// `current` gives (`None`: one that has no id yet). `linked` says whether a program runs on
/// an interface by a link instead.
#[must_use]
pub fn diff(
    observed: &BTreeMap<String, Observed>,
    linked: impl Fn(&str, &str) -> bool,
    current: impl Fn(&str) -> Option<u32>,
) -> Vec<Operation> {
    let put = |name: &str, interface: &Observed, (side, program)| {
        let id = interface.programs.get(&side).copied();
        let stale = match id {
            Some(_) => id != current(program),
            None => interface.up,
        };
        stale.then(|| Operation::Put {
            program,
            place: (name.to_owned(), side),
            replaces: id.is_some(),
        })
    };
    let all = observed
        .iter()
        .flat_map(|one| OF_PODS.map(|of_pods| (one, of_pods)));
    all.filter(|((name, _), (_, program))| !linked(program, name))
        .filter_map(|((name, interface), of_pods)| put(name, interface, of_pods))
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

    fn mk_observed(up: bool, ingress: Option<u32>, egress: Option<u32>) -> Observed {
        let programs = [(Side::Ingress, ingress), (Side::Egress, egress)];
        let programs = programs
            .into_iter()
            .filter_map(|(side, id)| Some((side, id?)));
        Observed {
            ifindex: 2,
            up,
            programs: programs.collect(),
        }
    }

    #[test]
    fn each_interface_comes_to_run_the_current_programs() {
        let rows: [(&str, Observed, &[&str]); 7] = [
            ("fn-current", mk_observed(true, Some(7), Some(7)), &[]),
            ("fn-in-the-making", mk_observed(false, None, None), &[]),
            ("fn-linked", mk_observed(true, None, None), &[]),
            (
                "fn-lost",
                mk_observed(true, None, None),
                &[
                    "attach from_pod to fn-lost by a filter",
                    "attach to_pod to fn-lost by a filter",
                ],
            ),
            (
                "fn-of-an-older-plugin",
                mk_observed(true, Some(7), None),
                &["attach to_pod to fn-of-an-older-plugin by a filter"],
            ),
            (
                "fn-old",
                mk_observed(true, Some(6), Some(7)),
                &["put the current from_pod into the filter of fn-old"],
            ),
            (
                "fn-old-too",
                mk_observed(true, Some(7), Some(6)),
                &["put the current to_pod into the filter of fn-old-too"],
            ),
        ];
        let expected: Vec<&str> = rows.iter().flat_map(|row| row.2).copied().collect();
        let observed = rows.map(|(name, observed, _)| (name.to_owned(), observed));
        let puts = diff(&observed.into(), |_, name| name == "fn-linked", |_| Some(7));
        let lines: Vec<String> = puts.iter().map(ToString::to_string).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_program_about_to_be_replaced_makes_every_filter_stale() {
        let observed = mk_observed(true, Some(7), Some(8));
        let observed = BTreeMap::from([("fn1".to_owned(), observed)]);
        let current = |name: &str| (name == FROM_POD).then_some(7);
        assert_eq!(diff(&observed, |_, _| false, current).len(), 1);
        assert_eq!(diff(&observed, |_, _| false, |_| None).len(), 2);
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
