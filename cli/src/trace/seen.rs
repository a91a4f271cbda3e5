//! Where a packet should be seen, by the model, and where it was: the two joined hop by hop. Pure.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use proxy_agent::local::api::{Event, Sighting, Watched, What};

use super::observed::Ran;
use super::path::{End, Hop, Kind, Tuple};
use super::watches::Seen;

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

/// What has to be watched: on each node the pods, and every address and port of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) nodes: BTreeMap<String, BTreeSet<IpAddr>>,
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) ports: BTreeSet<u16>,
}

/// What to watch for these hops of a packet that begins with `first`, and its answer.
pub(super) fn plan(forward: &[Hop], back: &[Hop], first: Tuple) -> Plan {
    let (there, last) = expected(forward, first);
    let (home, _) = expected(back, last.reversed());
    let mut plan = Plan::default();
    for one in there.into_iter().chain(home).flatten() {
        plan.nodes.entry(one.node).or_default().extend(one.pod);
    }
    for tuple in tuples(forward, back, first) {
        for end in [tuple.from, tuple.to] {
            plan.addresses.insert(end.address);
            plan.ports.extend(end.port);
        }
    }
    plan
}

/// Every tuple that the packet has on its way, and its answer.
pub(super) fn tuples(forward: &[Hop], back: &[Hop], first: Tuple) -> BTreeSet<Tuple> {
    let (_, last) = expected(forward, first);
    let (_, end) = expected(back, last.reversed());
    let changes = forward.iter().chain(back).filter_map(|hop| hop.change);
    let changes = changes.flat_map(|change| [change.before, change.after]);
    let both = |tuple: Tuple| [tuple, tuple.reversed()];
    changes.chain([first, last, end]).flat_map(both).collect()
}

/// Writes into the hops when the packet was seen there and what our programs made of it, and returns
/// the last hop where it was and the first where it was not, or what a program did otherwise than
/// the model has it, in words; none if it was seen wherever it could be.
///
/// `client` is the end from which it was sent.
pub(super) fn join(
    (forward, back): (&mut [Hop], &mut [Hop]),
    first: Tuple,
    client: SocketAddr,
    seen: &Seen,
) -> Option<String> {
    let (there, last) = expected(forward, first);
    let (home, _) = expected(back, last.reversed());
    let places = there.into_iter().chain(home);
    let (mut begun, mut before, mut otherwise) = (None, None, None);
    let mut seen_last = "nowhere".to_owned();
    for (hop, expected) in forward.iter_mut().chain(back).zip(places) {
        let Some(expected) = expected else { continue };
        // A node that was not watched says nothing.
        let Some(watched) = seen.get(&expected.node) else {
            continue;
        };
        let place = format!("{} of {}", hop.place, expected.node);
        if let Some((ran, after)) = expected.run(watched, hop, client) {
            otherwise = otherwise.or_else(|| differs(hop, (&place, after), client));
            hop.ran = Some(ran);
        }
        match expected.first(watched, client) {
            Some(nanoseconds) => {
                let start = *begun.get_or_insert(nanoseconds);
                hop.seen_after_nanoseconds = Some(nanoseconds.saturating_sub(start));
                let last: Option<u64> = before.replace(nanoseconds);
                hop.since_before_nanoseconds = last.map(|last| nanoseconds.saturating_sub(last));
                seen_last = place;
            }
            None => {
                hop.not_seen = true;
                let words = format!("seen last at {seen_last}, and not at {place}");
                return otherwise.or(Some(words));
            }
        }
    }
    otherwise
}

/// Whether no node saw a packet from outside, though it was answered: then it comes under another
/// address, and where it passes is not known. Nothing is marked as not seen then.
pub(super) fn is_disguised(forward: &mut [Hop]) -> bool {
    let outside = forward.first().is_some_and(|hop| hop.kind == Kind::Outside);
    let seen = forward
        .iter()
        .any(|hop| hop.seen_after_nanoseconds.is_some());
    let missing = forward.iter_mut().find(|hop| hop.not_seen);
    match missing {
        Some(missing) if outside && !seen => {
            missing.not_seen = false;
            true
        }
        _ => false,
    }
}

/// What a program wrote, where the model has it write something else.
fn differs(
    hop: &Hop,
    (place, after): (&str, (SocketAddr, SocketAddr)),
    client: SocketAddr,
) -> Option<String> {
    let model = hop.change?.after;
    let (from, to) = after;
    let words = || format!("at {place} the program wrote {from} > {to}, and not {model}");
    (!is_of(model, after, client)).then(words)
}

/// For each hop where its packet shows itself, and the tuple after the last.
fn expected(hops: &[Hop], first: Tuple) -> (Vec<Option<Expected>>, Tuple) {
    let mut tuple = first;
    let mut all = Vec::new();
    for (index, hop) in hops.iter().enumerate() {
        let before = tuple;
        tuple = hop.change.map_or(tuple, |change| change.after);
        let next = hops.get(index + 1).map(|next| next.kind);
        let leaving = next == Some(Kind::FromPod);
        // A program at an uplink may end it there or send it back into the node: nobody sees it leave.
        let turned = ![Some(Kind::Fabric), Some(Kind::Outside)].contains(&next);
        let interface = || hop.place.split(' ').next().map(str::to_owned);
        let place = match hop.kind {
            Kind::PodInterface if leaving => Some((Some(tuple.from.address), None, true, tuple)),
            Kind::PodInterface => Some((Some(tuple.to.address), None, false, tuple)),
            Kind::ToNetwork if turned => None,
            Kind::ToPod | Kind::ToNetwork | Kind::Tunnel => Some((None, interface(), true, tuple)),
            // Whoever watches sees it before the program does.
            Kind::FromPod => Some((None, interface(), false, before)),
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
    /// When it was seen first, by packet socket or event.
    fn first(&self, watched: &Watched, client: SocketAddr) -> Option<u64> {
        let sightings = watched.sightings.iter();
        let mut seen = sightings.filter(|one| self.fits(one, client));
        let events = watched.events.iter();
        let mut told = events.filter(|one| self.fits_event(one, client));
        let times = [
            seen.next().map(|one| one.nanoseconds),
            told.next().map(|one| one.nanoseconds),
        ];
        times.into_iter().flatten().min()
    }

    fn fits(&self, seen: &Sighting, client: SocketAddr) -> bool {
        self.is_at(seen.pod, &seen.interface)
            && seen.outgoing == self.outgoing
            && is_of(self.tuple, (seen.from, seen.to), client)
    }

    fn fits_event(&self, seen: &Event, client: SocketAddr) -> bool {
        let outgoing = match seen.what {
            What::Received => false,
            What::Sent => true,
            _ => return false,
        };
        self.is_at(seen.pod, &seen.interface)
            && outgoing == self.outgoing
            && is_of(self.tuple, (seen.from, seen.to), client)
    }

    fn is_at(&self, pod: Option<IpAddr>, interface: &str) -> bool {
        let named = self.interface.as_ref();
        pod == self.pod && named.is_none_or(|name| name == interface)
    }

    /// The run of the hop's program on the packet, and what tuple it left.
    fn run(
        &self,
        watched: &Watched,
        hop: &Hop,
        client: SocketAddr,
    ) -> Option<(Ran, (SocketAddr, SocketAddr))> {
        let program = hop.kind.name().replace('-', "_");
        let before = hop.change.map_or(self.tuple, |change| change.before);
        watched.events.iter().find_map(|event| match &event.what {
            What::Program {
                name,
                verdict,
                nanoseconds,
                after_from,
                after_to,
                counters,
            } if *name == program
                && self.is_at(event.pod, &event.interface)
                && is_of(before, (event.from, event.to), client) =>
            {
                let ran = Ran {
                    nanoseconds: *nanoseconds,
                    verdict: verdict.clone(),
                    counters: counters.clone(),
                };
                Some((ran, (*after_from, *after_to)))
            }
            _ => None,
        })
    }
}

/// Whether a packet has this tuple, in a conversation of that client's.
pub(super) fn is_of(
    tuple: Tuple,
    (from, to): (SocketAddr, SocketAddr),
    client: SocketAddr,
) -> bool {
    end_fits(tuple.from, from, client) && end_fits(tuple.to, to, client)
}

fn end_fits(end: End, seen: SocketAddr, client: SocketAddr) -> bool {
    // A port that is not known before is the client's, or one that masquerade has chosen.
    let chosen = (client.ip() == seen.ip()).then(|| client.port());
    let port = end.port.or(chosen);
    end.address == seen.ip() && port.is_none_or(|port| port == seen.port())
}
