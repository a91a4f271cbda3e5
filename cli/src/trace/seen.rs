//! Where a packet should be seen, by the model, and where it was: the two joined hop by hop. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use proxy_agent::local::api::Sighting;

use super::path::{End, Hop, Kind, Tuple};

/// What nodes saw, by their names.
pub(super) type Sightings = BTreeMap<String, Vec<Sighting>>;

/// Where and how a hop's packet shows itself to who watches interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    node: String,
    pod: Option<IpAddr>,
    /// None: any of the namespace.
    interface: Option<String>,
    outgoing: bool,
    tuple: Tuple,
}

/// What has to be watched: on each node the pods, and every address of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) nodes: BTreeMap<String, BTreeSet<IpAddr>>,
    pub(super) addresses: BTreeSet<IpAddr>,
}

/// What to watch for these hops of a packet that begins with `first`, and its answer.
pub(super) fn plan(forward: &[Hop], back: &[Hop], first: Tuple) -> Plan {
    let (there, last) = expected(forward, first);
    let (home, end) = expected(back, last.reversed());
    let mut plan = Plan::default();
    for one in there.into_iter().chain(home).flatten() {
        plan.nodes.entry(one.node).or_default().extend(one.pod);
        for end in [one.tuple.from, one.tuple.to] {
            plan.addresses.insert(end.address);
        }
    }
    for tuple in [first, last, end] {
        plan.addresses.insert(tuple.from.address);
        plan.addresses.insert(tuple.to.address);
    }
    plan
}

/// Writes into the hops when the packet was seen there, and returns the last hop where it was and
/// the first where it was not, in words; none if it was seen wherever it could be.
///
/// `client` is the end from which it was sent.
pub(super) fn join(
    (forward, back): (&mut [Hop], &mut [Hop]),
    first: Tuple,
    client: SocketAddr,
    sightings: &Sightings,
) -> Option<String> {
    let (there, last) = expected(forward, first);
    let (home, _) = expected(back, last.reversed());
    let places = there.into_iter().chain(home);
    let mut begun = None;
    let mut seen_last = "nowhere".to_owned();
    for (hop, expected) in forward.iter_mut().chain(back).zip(places) {
        let Some(expected) = expected else { continue };
        // A node that was not watched says nothing.
        let Some(all) = sightings.get(&expected.node) else {
            continue;
        };
        let place = format!("{} of {}", hop.place, expected.node);
        match all.iter().find(|one| expected.fits(one, client)) {
            Some(found) => {
                let start = *begun.get_or_insert(found.nanoseconds);
                hop.seen_after_nanoseconds = Some(found.nanoseconds.saturating_sub(start));
                seen_last = place;
            }
            None => {
                hop.not_seen = true;
                return Some(format!("seen last at {seen_last}, and not at {place}"));
            }
        }
    }
    None
}

/// For each hop where its packet shows itself, and the tuple after the last.
fn expected(hops: &[Hop], first: Tuple) -> (Vec<Option<Expected>>, Tuple) {
    let mut tuple = first;
    let mut all = Vec::new();
    for (index, hop) in hops.iter().enumerate() {
        let before = tuple;
        tuple = hop.change.map_or(tuple, |change| change.after);
        let leaving = hops
            .get(index + 1)
            .is_some_and(|next| next.kind == Kind::FromPod);
        let interface = || hop.place.split(' ').next().map(str::to_owned);
        let place = match hop.kind {
            Kind::PodInterface if leaving => Some((Some(tuple.from.address), None, true, tuple)),
            Kind::PodInterface => Some((Some(tuple.to.address), None, false, tuple)),
            Kind::ToNetwork | Kind::Tunnel => Some((None, interface(), true, tuple)),
            // Whoever watches sees it before the program does.
            Kind::FromNetwork if !hop.does.starts_with("turned round") => {
                Some((None, interface(), false, before))
            }
            _ => None,
        };
        all.push(place.and_then(|(pod, interface, outgoing, tuple)| {
            let node = hop.node.clone()?;
            Some(Expected {
                node,
                pod,
                interface,
                outgoing,
                tuple,
            })
        }));
    }
    (all, tuple)
}

impl Expected {
    fn fits(&self, seen: &Sighting, client: SocketAddr) -> bool {
        let interface = self.interface.as_ref();
        seen.pod == self.pod
            && seen.outgoing == self.outgoing
            && interface.is_none_or(|name| *name == seen.interface)
            && end_fits(self.tuple.from, seen.from, client)
            && end_fits(self.tuple.to, seen.to, client)
    }
}

fn end_fits(end: End, seen: SocketAddr, client: SocketAddr) -> bool {
    // A port that is not known before is the client's, or one that masquerade has chosen.
    let chosen = (client.ip() == seen.ip()).then(|| client.port());
    let port = end.port.or(chosen);
    end.address == seen.ip() && port.is_none_or(|port| port == seen.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::path::Change;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn tuple(from: End, to: &str) -> Tuple {
        Tuple {
            from,
            to: at(to).into(),
        }
    }

    fn hop(node: Option<&str>, kind: Kind, place: &str) -> Hop {
        Hop {
            node: node.map(str::to_owned),
            kind,
            place: place.to_owned(),
            owner: String::new(),
            does: String::new(),
            change: None,
            shown_by: None,
            seen_after_nanoseconds: None,
            not_seen: false,
        }
    }

    fn first() -> Tuple {
        tuple(End::any(ip("10.244.1.2")), "10.96.0.1:80")
    }

    /// A pod on n1 asks a Service whose endpoint is on n2.
    fn forward() -> Vec<Hop> {
        let mut program = hop(Some("n1"), Kind::FromPod, "fn1 ingress");
        program.change = Some(Change {
            before: first(),
            after: tuple(End::any(ip("10.244.1.2")), "10.244.2.2:8080"),
        });
        vec![
            hop(Some("n1"), Kind::Application, "a"),
            hop(Some("n1"), Kind::PodInterface, "a"),
            program,
            hop(Some("n1"), Kind::Stack, "routes"),
            hop(Some("n1"), Kind::ToNetwork, "eth0 egress"),
            hop(None, Kind::Fabric, "between"),
            hop(Some("n2"), Kind::FromNetwork, "eth0 ingress"),
            hop(Some("n2"), Kind::PodInterface, "b"),
            hop(Some("n2"), Kind::Listener, "b"),
        ]
    }

    fn seen(pod: Option<&str>, interface: &str, outgoing: bool, to: &str, at_: u64) -> Sighting {
        Sighting {
            nanoseconds: at_,
            pod: pod.map(ip),
            interface: interface.to_owned(),
            outgoing,
            from: at("10.244.1.2:40000"),
            to: at(to),
        }
    }

    fn all() -> Sightings {
        let n1 = vec![
            seen(Some("10.244.1.2"), "eth0", true, "10.96.0.1:80", 1_000),
            seen(None, "eth0", true, "10.244.2.2:8080", 1_400),
        ];
        let n2 = vec![
            seen(None, "eth0", false, "10.244.2.2:8080", 2_000),
            seen(Some("10.244.2.2"), "eth0", false, "10.244.2.2:8080", 2_500),
        ];
        Sightings::from([("n1".to_owned(), n1), ("n2".to_owned(), n2)])
    }

    fn joined(sightings: &Sightings, client: &str) -> (Vec<Hop>, Option<String>) {
        let mut hops = forward();
        let client = at(client);
        let difference = join((&mut hops, &mut []), first(), client, sightings);
        (hops, difference)
    }

    #[test]
    fn each_wire_on_the_way_says_when_the_packet_passed() {
        let (hops, difference) = joined(&all(), "10.244.1.2:40000");
        assert_eq!(difference, None);
        let times: Vec<_> = hops
            .iter()
            .filter_map(|hop| hop.seen_after_nanoseconds)
            .collect();
        assert_eq!(times, [0, 400, 1_000, 1_500]);
    }

    #[test]
    fn the_first_place_where_it_is_missing_is_marked() {
        let mut lost = all();
        lost.insert("n2".to_owned(), vec![]);
        let (hops, difference) = joined(&lost, "10.244.1.2:40000");
        let words = "seen last at eth0 egress of n1, and not at eth0 ingress of n2";
        assert_eq!(difference.as_deref(), Some(words));
        let marked: Vec<_> = hops.iter().map(|hop| hop.not_seen).collect();
        assert_eq!(marked.iter().position(|mark| *mark), Some(6));
        assert_eq!(marked.iter().filter(|mark| **mark).count(), 1);
    }

    #[test]
    fn a_packet_from_another_port_is_another_packet() {
        let (_, difference) = joined(&all(), "10.244.1.2:40001");
        assert_eq!(
            difference.as_deref(),
            Some("seen last at nowhere, and not at a of n1")
        );
    }

    #[test]
    fn a_node_that_was_not_watched_is_no_difference() {
        let mut half = all();
        half.remove("n2");
        let (_, difference) = joined(&half, "10.244.1.2:40000");
        assert_eq!(difference, None);
    }

    #[test]
    fn pods_and_addresses_of_the_path_are_watched() {
        let plan = plan(&forward(), &[], first());
        let of = |node: &str| plan.nodes[node].iter().copied().collect::<Vec<_>>();
        assert_eq!(of("n1"), [ip("10.244.1.2")]);
        assert_eq!(of("n2"), [ip("10.244.2.2")]);
        let addresses = ["10.96.0.1", "10.244.1.2", "10.244.2.2"].map(ip);
        assert_eq!(plan.addresses, BTreeSet::from(addresses));
    }
}
