//! Which program is attached where: links by the name of their pin.

use std::collections::BTreeMap;
use std::fmt;

use proxy_abi::ownership::program;

/// Where a program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// tcx ingress of the interface of this name.
    Ingress(String),
    /// tcx egress of the interface of this name.
    Egress(String),
    /// The cgroup with this id (the inode number of its folder).
    Cgroup(u64),
    /// Nowhere any more: the interface or cgroup is gone.
    Gone,
}

impl Hook {
    /// The interface, if it is at one.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Ingress(name) | Self::Egress(name) => Some(name),
            Self::Cgroup(_) | Self::Gone => None,
        }
    }
}

/// A link that should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the program.
    pub program: &'static str,
    /// Where.
    pub hook: Hook,
}

/// A link that is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The kernel's id of the program that runs there.
    pub program_id: u32,
    /// Where.
    pub hook: Hook,
}

/// One change of the links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes and pins a link.
    Attach {
        /// Name of the pin.
        pin: String,
        /// What to attach where.
        wanted: Wanted,
    },
    /// Puts the current program into a link, atomically.
    Swap {
        /// Name of the pin.
        pin: String,
        /// Name of the program.
        program: &'static str,
    },
    /// Removes a pin, and with it the link.
    Detach {
        /// Name of the pin.
        pin: String,
    },
}

/// Start of the names of the links on pods' interfaces: the CNI plugin makes and removes them.
const POD_LINK: &str = "from_pod-";

/// Whether a pod's interface runs `from_pod` by a link.
#[must_use]
pub fn is_linked(links: &BTreeMap<String, Observed>, interface: &str) -> bool {
    let link = links.get(&format!("{POD_LINK}{interface}"));
    link.is_some_and(|link| link.hook != Hook::Gone)
}

/// The links of the node itself: its uplinks, its tunnels, and its cgroup if sockets are
/// translated.
///
/// What leaves by a tunnel has been seen already: pods' packets where they came in, the node's own
/// to a frontend at the uplink, to which the routing table sent them for the frontend's sake. There
/// `to_network` would take a translated request for one that was never translated.
#[must_use]
pub fn wanted<'a>(
    uplinks: impl Iterator<Item = &'a str>,
    tunnels: impl Iterator<Item = &'a str>,
    cgroup: Option<u64>,
) -> BTreeMap<String, Wanted> {
    let ingress = |name: &'a str| (program::FROM_NETWORK, name, Hook::Ingress(name.into()));
    let egress = |name: &'a str| (program::TO_NETWORK, name, Hook::Egress(name.into()));
    let of_uplinks = uplinks.flat_map(|name| [ingress(name), egress(name)]);
    let hooks = of_uplinks.chain(tunnels.map(ingress));
    let mut wanted: BTreeMap<String, Wanted> = hooks
        .map(|(program, name, hook)| (format!("{program}-{name}"), Wanted { program, hook }))
        .collect();
    if let Some(cgroup) = cgroup {
        let sockets = [
            program::CONNECT4,
            program::CONNECT6,
            program::SENDMSG4,
            program::SENDMSG6,
            program::RECVMSG4,
            program::RECVMSG6,
            program::GETPEERNAME4,
            program::GETPEERNAME6,
        ];
        wanted.extend(sockets.map(|program| {
            (
                program.into(),
                Wanted {
                    program,
                    hook: Hook::Cgroup(cgroup),
                },
            )
        }));
    }
    wanted
}

/// What leads from the observed links to the wanted ones. `current` gives the id of the program
/// of that name that should run now.
///
/// A pod's link is only kept current, or removed once its interface is gone: whether it should
/// be there is the CNI plugin's to say.
#[must_use]
pub fn diff(
    observed: &BTreeMap<String, Observed>,
    wanted: &BTreeMap<String, Wanted>,
    current: impl Fn(&str) -> Option<u32>,
) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (pin, link) in observed {
        match wanted.get(pin) {
            Some(wish) if wish.hook == link.hook => {
                if current(wish.program) != Some(link.program_id) {
                    operations.push(Operation::Swap {
                        pin: pin.clone(),
                        program: wish.program,
                    });
                }
            }
            Some(wish) => {
                operations.push(Operation::Detach { pin: pin.clone() });
                operations.push(Operation::Attach {
                    pin: pin.clone(),
                    wanted: wish.clone(),
                });
            }
            None if pin.starts_with(POD_LINK) && link.hook != Hook::Gone => {
                if current(program::FROM_POD) != Some(link.program_id) {
                    let program = program::FROM_POD;
                    operations.push(Operation::Swap {
                        pin: pin.clone(),
                        program,
                    });
                }
            }
            None => operations.push(Operation::Detach { pin: pin.clone() }),
        }
    }
    let missing = wanted
        .iter()
        .filter(|(pin, _)| !observed.contains_key(*pin));
    operations.extend(missing.map(|(pin, wish)| Operation::Attach {
        pin: pin.clone(),
        wanted: wish.clone(),
    }));
    operations
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach { pin, wanted } => {
                write!(
                    out,
                    "attach {} to {} as link {pin}",
                    wanted.program, wanted.hook
                )
            }
            Self::Swap { pin, program } => write!(out, "put the current {program} into link {pin}"),
            Self::Detach { pin } => write!(out, "remove link {pin}"),
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingress(interface) => write!(out, "tcx ingress of {interface}"),
            Self::Egress(interface) => write!(out, "tcx egress of {interface}"),
            Self::Cgroup(id) => write!(out, "cgroup {id}"),
            Self::Gone => write!(out, "nothing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(name: &str) -> Hook {
        Hook::Ingress(name.into())
    }

    fn egress(name: &str) -> Hook {
        Hook::Egress(name.into())
    }

    fn link(program_id: u32, hook: Hook) -> Observed {
        Observed { program_id, hook }
    }

    /// The current id of every program is 10.
    fn lines(observed: &[(&str, Observed)], wanted: &BTreeMap<String, Wanted>) -> Vec<String> {
        let observed = observed
            .iter()
            .map(|(pin, link)| ((*pin).into(), link.clone()))
            .collect();
        diff(&observed, wanted, |_| Some(10))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_fresh_node_attaches_all() {
        let lines = lines(
            &[],
            &wanted(["eth0"].into_iter(), ["tunnel"].into_iter(), Some(77)),
        );
        assert_eq!(
            lines,
            [
                "attach connect4 to cgroup 77 as link connect4",
                "attach connect6 to cgroup 77 as link connect6",
                "attach from_network to tcx ingress of eth0 as link from_network-eth0",
                "attach from_network to tcx ingress of tunnel as link from_network-tunnel",
                "attach getpeername4 to cgroup 77 as link getpeername4",
                "attach getpeername6 to cgroup 77 as link getpeername6",
                "attach recvmsg4 to cgroup 77 as link recvmsg4",
                "attach recvmsg6 to cgroup 77 as link recvmsg6",
                "attach sendmsg4 to cgroup 77 as link sendmsg4",
                "attach sendmsg6 to cgroup 77 as link sendmsg6",
                "attach to_network to tcx egress of eth0 as link to_network-eth0",
            ]
        );
    }

    #[test]
    fn what_is_right_stays_and_what_is_old_is_swapped() {
        let rows = [
            ("from_network-eth0", link(10, ingress("eth0"))),
            ("to_network-eth0", link(9, egress("eth0"))),
            ("from_pod-fn01", link(10, ingress("fn01"))),
            ("from_pod-fn02", link(9, ingress("fn02"))),
        ];
        assert_eq!(
            lines(&rows, &wanted(["eth0"].into_iter(), [].into_iter(), None)),
            [
                "put the current from_pod into link from_pod-fn02",
                "put the current to_network into link to_network-eth0",
            ]
        );
    }

    #[test]
    fn what_hangs_on_the_wrong_thing_is_moved_and_what_hangs_nowhere_goes() {
        let rows = [
            ("connect4", link(10, Hook::Cgroup(5))),
            ("from_network-eth0", link(10, Hook::Gone)),
            ("from_network-eth1", link(10, ingress("eth1"))),
            ("from_pod-fn01", link(10, Hook::Gone)),
            ("to_network-eth0", link(10, egress("eth0"))),
        ];
        assert_eq!(
            lines(&rows, &wanted(["eth0"].into_iter(), [].into_iter(), None)),
            [
                "remove link connect4",
                "remove link from_network-eth0",
                "attach from_network to tcx ingress of eth0 as link from_network-eth0",
                "remove link from_network-eth1",
                "remove link from_pod-fn01",
            ]
        );
    }
}
