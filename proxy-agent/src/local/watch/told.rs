//! What was seen, in words: numbers of reasons, counters and namespaces by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use packet::transport::{ACK, FIN, RST, SYN};
use proxy_abi::trace::{Event as Raw, EventKind, PROGRAMS};
use proxy_abi::{Counter, FlowKey, Ip, Port, protocol};

use crate::kernel::spaces::Space;
use crate::kernel::trace::types;
use crate::kernel::{capture, symbols, trace};
use crate::local::api::{Event, Sighting, Watched, What};

/// The names of TCP's flags.
const FLAGS: [(u8, &str); 4] = [(SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (ACK, "ACK")];

/// What is known beforehand.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Of each namespace by its number, which pod's it is; none: the node's own.
    spaces: BTreeMap<u32, Option<IpAddr>>,
    /// Every address of these pods.
    pods: BTreeSet<IpAddr>,
    /// Why there is less than there could be.
    pub(super) blind: Vec<String>,
}

impl Told {
    /// A pod of several addresses is called by the first.
    pub(super) fn new(spaces: &[(Option<IpAddr>, Space)]) -> Self {
        let mut told = Self::default();
        for (pod, space) in spaces {
            told.pods.extend(*pod);
            if let Ok(number) = u32::try_from(space.inode) {
                told.spaces.entry(number).or_insert(*pod);
            }
        }
        told
    }

    /// The numbers of the namespaces.
    pub(super) fn inodes(&self) -> Vec<u32> {
        self.spaces.keys().copied().collect()
    }

    /// Each namespace once.
    pub(super) fn spaces<'a>(
        &self,
        all: &'a [(Option<IpAddr>, Space)],
    ) -> impl Iterator<Item = (Option<IpAddr>, &'a Space)> + use<'a> {
        let mut left: BTreeSet<u64> = self.spaces.keys().map(|one| (*one).into()).collect();
        let first = all
            .iter()
            .filter(move |(_, space)| left.remove(&space.inode));
        first.map(|(pod, space)| (*pod, space))
    }

    /// `offset` makes the kernel's time the node's.
    pub(super) fn all(
        &self,
        captured: impl Iterator<Item = (Option<IpAddr>, capture::Taken)>,
        followed: Option<trace::Taken>,
        offset: u64,
    ) -> Watched {
        let mut watched = Watched {
            blind: self.blind.clone(),
            ..Watched::default()
        };
        for (pod, taken) in captured {
            watched.missed += taken.missed;
            let seen = taken.sightings.into_iter().map(|one| sighting(pod, one));
            watched.sightings.extend(seen);
        }
        watched.sightings.sort_by_key(|one| one.nanoseconds);
        let followed = followed.unwrap_or_default();
        watched.lost = followed.lost;
        let places: BTreeSet<u64> = followed.events.iter().map(|one| one.location).collect();
        let functions = symbols::functions(&places.into_iter().filter(|at| *at != 0).collect());
        let event = |one: &Raw| self.event(one, &functions, offset);
        watched.events = followed.events.iter().filter_map(event).collect();
        watched.events.sort_by_key(|one| one.nanoseconds);
        watched
    }

    fn event(&self, raw: &Raw, functions: &BTreeMap<u64, String>, offset: u64) -> Option<Event> {
        let pod = match self.spaces.get(&raw.space) {
            Some(pod) => *pod,
            // A packet without an interface is this node's if one of its ends is.
            None => Some(self.owner(&raw.before)?),
        };
        let (from, to) = ends(&raw.before);
        let end = raw.interface.iter().position(|byte| *byte == 0);
        let name = raw.interface.get(..end.unwrap_or(16)).unwrap_or_default();
        let is_tcp = raw.before.protocol == protocol::TCP;
        Some(Event {
            nanoseconds: raw.nanoseconds + offset,
            what: what(raw, functions)?,
            pod,
            interface: String::from_utf8_lossy(name).into_owned(),
            protocol: raw.before.protocol,
            from,
            to,
            length: raw.length,
            tcp: if is_tcp {
                flags(raw.tcp_flags)
            } else {
                String::new()
            },
        })
    }

    /// The pod of this node that sends such a packet or gets it.
    fn owner(&self, tuple: &FlowKey) -> Option<IpAddr> {
        let mut ends = [tuple.destination, tuple.source].into_iter();
        ends.find_map(|end| self.pods.get(&end.into()).copied())
    }
}

fn what(raw: &Raw, functions: &BTreeMap<u64, String>) -> Option<What> {
    Some(match EventKind::of(raw.kind)? {
        EventKind::Received => What::Received,
        EventKind::Sent => What::Sent,
        EventKind::Freed => {
            let known = types::kernel().ok();
            let named = known.and_then(|kernel| kernel.reasons.get(&raw.reason).cloned());
            What::Freed {
                reason: named.unwrap_or_else(|| raw.reason.to_string()),
                function: functions.get(&raw.location).cloned(),
                ours: reasons(raw.counters),
            }
        }
        EventKind::Program => {
            let (after_from, after_to) = ends(&raw.after);
            What::Program {
                name: (*PROGRAMS.get(usize::from(raw.program))?).to_owned(),
                verdict: verdict(raw.verdict).to_owned(),
                nanoseconds: raw.took,
                after_from,
                after_to,
                counters: counters(raw.counters),
            }
        }
    })
}

/// tcx and tc (linux/bpf.h, linux/pkt_cls.h).
const fn verdict(number: i32) -> &'static str {
    match number {
        2 => "dropped",
        7 => "redirected",
        _ => "passed",
    }
}

fn counters(bits: u32) -> Vec<String> {
    let moved = |counter: &Counter| bits & 1 << *counter as u32 != 0;
    let all = Counter::ALL.into_iter().filter(moved);
    all.map(|counter| counter.name().to_owned()).collect()
}

/// Of a drop there is one reason: a full table alone drops nothing where something else did.
fn reasons(bits: u32) -> Vec<String> {
    let full = 1 << Counter::FlowTableFull as u32;
    counters(if bits & !full == 0 {
        bits
    } else {
        bits & !full
    })
}

fn flags(bits: u8) -> String {
    let set = FLAGS.iter().filter(|(bit, _)| bits & bit != 0);
    let names: Vec<&str> = set.map(|(_, name)| *name).collect();
    names.join("+")
}

fn sighting(pod: Option<IpAddr>, one: capture::Sighting) -> Sighting {
    let (from, to) = ends(&one.tuple);
    Sighting {
        nanoseconds: one.nanoseconds,
        pod,
        interface: one.interface,
        outgoing: one.outgoing,
        from,
        to,
    }
}

fn ends(tuple: &FlowKey) -> (SocketAddr, SocketAddr) {
    let socket = |(ip, port): (Ip, Port)| SocketAddr::new(ip.into(), port.number());
    (socket(tuple.from()), socket(tuple.towards()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        let space = |inode| Space {
            inode,
            pids: vec![],
        };
        let pod = Some("10.0.0.2".parse().expect("an address"));
        let other = Some("fd00::2".parse().expect("an address"));
        Told::new(&[(None, space(1)), (pod, space(2)), (other, space(2))])
    }

    fn raw(kind: EventKind, space: u32, to: [u8; 4]) -> Raw {
        let end = |octets, port| (Ip::v4(octets), Port::new(port));
        let tuple = FlowKey::new(end([10, 0, 0, 1], 4000), end(to, 80), protocol::TCP);
        Raw {
            nanoseconds: 5,
            before: tuple,
            after: tuple,
            interface: *b"eth0\0\0\0\0\0\0\0\0\0\0\0\0",
            space,
            kind: kind.number(),
            tcp_flags: SYN | ACK,
            ..Raw::default()
        }
    }

    #[test]
    fn an_event_is_told_by_names() {
        let event = told().event(
            &raw(EventKind::Received, 2, [10, 0, 0, 2]),
            &BTreeMap::new(),
            100,
        );
        let event = event.expect("one");
        assert_eq!((event.nanoseconds, &*event.interface), (105, "eth0"));
        assert_eq!(event.pod, Some("10.0.0.2".parse().expect("an address")));
        assert_eq!((&*event.tcp, event.what), ("SYN+ACK", What::Received));
    }

    #[test]
    fn a_packet_without_an_interface_is_its_ends_or_nobodys() {
        let functions = BTreeMap::new();
        let own = told().event(&raw(EventKind::Freed, 0, [10, 0, 0, 2]), &functions, 0);
        assert_eq!(own.expect("one").pod, Some("10.0.0.2".parse().expect("v4")));
        let others = told().event(&raw(EventKind::Freed, 0, [10, 0, 0, 3]), &functions, 0);
        assert_eq!(others, None);
    }

    #[test]
    fn a_full_table_is_the_reason_only_where_nothing_else_is() {
        let bit = |counter: Counter| 1 << counter as u32;
        let full = bit(Counter::FlowTableFull);
        assert_eq!(reasons(full), ["flow-table-full"]);
        assert_eq!(reasons(full | bit(Counter::NoRoute)), ["no-route"]);
        assert!(reasons(0).is_empty());
    }
}
