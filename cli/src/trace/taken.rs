//! Which of several endpoints our own packet was sent to: the programs choose, so the model learns it
//! from what was seen.

use std::net::SocketAddr;

use proxy_agent::local::api::{Flows, Probe};

use super::gather::{Agents, escaped};
use super::observed::Pointed;
use super::path::{End, Hop, Kind};
use super::walk::{Ask, Walked};
use super::watches::Seen;

/// Conversations of one client that are looked through.
const MOST: usize = 10_000;

/// The endpoint that our packet went to, where it is another than the model's.
pub(super) async fn other(
    agents: &Agents,
    (walked, ask): (&Walked, &Ask),
    probe: &Probe,
    (client, seen): (Option<SocketAddr>, &Seen),
) -> Option<SocketAddr> {
    let client = client.filter(|_| walked.candidates.len() > 1)?;
    let among = &walked.candidates;
    let taken = match taken(among, probe, client, seen) {
        Some(taken) => taken,
        None => of_flows(agents, walked, ask, client).await?,
    };
    (model(walked) != Some(taken)).then_some(taken)
}

/// Whom the model has it go to.
fn model(walked: &Walked) -> Option<SocketAddr> {
    let changes = walked.forward.iter().filter_map(|hop| hop.change);
    let mut ends = changes.filter_map(|change| change.after.to.socket());
    ends.find(|at| walked.candidates.contains(at))
}

/// By the connection itself, else by the first of its packets that has an endpoint's address.
fn taken(
    among: &[SocketAddr],
    probe: &Probe,
    client: SocketAddr,
    seen: &Seen,
) -> Option<SocketAddr> {
    let is_one = |at: &SocketAddr| among.contains(at);
    let packets = seen.values().flat_map(|watched| {
        let sightings = watched.sightings.iter().map(|one| (one.from, one.to));
        sightings.chain(watched.events.iter().map(|one| (one.from, one.to)))
    });
    let mut own = packets.filter(|(from, _)| *from == client);
    let towards = probe.towards.filter(is_one);
    towards.or_else(|| own.find_map(|(_, to)| Some(to).filter(is_one)))
}

/// By the conversation that the programs keep: behind a node's address its packets are nobody's.
async fn of_flows(
    agents: &Agents,
    walked: &Walked,
    ask: &Ask,
    client: SocketAddr,
) -> Option<SocketAddr> {
    let mut hops = walked.forward.iter().filter(|hop| hop.change.is_some());
    let node = hops.find_map(|hop| hop.node.as_deref())?;
    let address = escaped(&client.ip().to_string());
    let path = format!("/v1/flows?address={address}&limit={MOST}");
    let flows = agents.of_node(node)?.get::<Flows>(&path).await.ok()?;
    let mut flows = flows.flows.iter();
    let own = flows.find(|flow| flow.client == client && flow.asked == ask.to)?;
    Some(own.endpoint)
}

/// Writes into the hop of connect() where our connection went, and says where that is not what the
/// model has.
pub(super) fn point(hops: &mut [Hop], ask: &Ask, probe: &Probe) -> Option<String> {
    let (towards, peer) = (probe.towards?, probe.peer?);
    let Some(hop) = hops.iter_mut().find(|hop| hop.kind == Kind::Connect) else {
        let words = format!("connect() was pointed at {towards}, which the model leaves alone");
        return (towards != ask.to).then_some(words);
    };
    hop.pointed = Some(Pointed { towards, peer });
    let model = hop.change?.after.to;
    let words = || format!("connect() was pointed at {towards}, and not at {model}");
    (End::from(towards) != model).then(words)
}

#[cfg(test)]
mod tests {
    use proxy_agent::local::api::{Sighting, Watched};

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_connection_tells_else_its_packets() {
        let among = [at("10.0.0.1:80"), at("10.0.0.2:80")];
        let client = at("10.0.1.1:4000");
        let packet = |from: &str, to: &str| Sighting {
            nanoseconds: 1,
            pod: None,
            interface: "eth0".to_owned(),
            outgoing: true,
            from: at(from),
            to: at(to),
        };
        let seen = Watched {
            sightings: vec![
                packet("10.0.1.1:4001", "10.0.0.1:80"),
                packet("10.0.1.1:4000", "10.96.0.1:80"),
                packet("10.0.1.1:4000", "10.0.0.2:80"),
            ],
            ..Watched::default()
        };
        let seen = Seen::from([("n1".to_owned(), seen)]);
        let probe = |towards: Option<&str>| Probe {
            towards: towards.map(at),
            ..Probe::default()
        };
        let rows = [
            (Some("10.0.0.1:80"), Some("10.0.0.1:80")),
            (Some("10.96.0.1:80"), Some("10.0.0.2:80")),
            (None, Some("10.0.0.2:80")),
        ];
        for (towards, expected) in rows {
            let found = taken(&among, &probe(towards), client, &seen);
            assert_eq!(found, expected.map(at), "{towards:?}");
        }
        assert_eq!(taken(&among, &probe(None), at("10.0.1.9:1"), &seen), None);
    }
}
