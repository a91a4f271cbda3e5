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

/// The program of a link on a pod's interface, by the name of its pin. The CNI plugin makes and
/// removes them.
fn pods_program(pin: &str) -> Option<&'static str> {
    [program::FROM_POD, program::TO_POD]
        .into_iter()
        .find(|program| {
            pin.strip_prefix(program)
                .is_some_and(|rest| rest.starts_with('-'))
        })
}

/// Whether a pod's interface runs that program by a link.
fn is_linked(links: &BTreeMap<String, Observed>, program: &str, interface: &str) -> bool {
    let link = links.get(&format!("{program}-{interface}"));
    link.is_some_and(|link| link.hook != Hook::Gone)
}

/// Whether a pod's interface runs that program by a link, or is to, as [`of_pods`] has it.
#[must_use]
pub fn has_link(links: &BTreeMap<String, Observed>, program: &str, interface: &str) -> bool {
    let programs = [program, program::FROM_POD];
    programs
        .iter()
        .any(|program| is_linked(links, program, interface))
}

/// The links of `to_pod` on those of `interfaces` that run `from_pod` by one: an older plugin made
/// none, and nobody else puts a lost one back.
#[must_use]
pub fn of_pods<'a>(
    observed: &BTreeMap<String, Observed>,
    interfaces: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, Wanted> {
    let program = program::TO_POD;
    let linked = interfaces.filter(|name| is_linked(observed, program::FROM_POD, name));
    let wanted = linked.map(|interface| {
        let hook = Hook::Egress(interface.to_owned());
        (format!("{program}-{interface}"), Wanted { program, hook })
    });
    wanted.collect()
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
/// A pod's link that is not among the wanted is only kept current, or removed once its interface is
/// gone: whether it should be there is the CNI plugin's to say.
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
            None => match pods_program(pin).filter(|_| link.hook != Hook::Gone) {
                Some(program) if current(program) == Some(link.program_id) => {}
                Some(program) => operations.push(Operation::Swap {
                    pin: pin.clone(),
                    program,
                }),
                None => operations.push(Operation::Detach { pin: pin.clone() }),
            },
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
mod tests;
