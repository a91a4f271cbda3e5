//! packet -> reaction: an answer at once, silence, or work that has to wait for an upstream.
//!
//! Knows no sockets. What can be answered from memory is answered where the packet was read.

mod job;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use cluster_watch::Feed;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name};
use tokio::sync::OwnedSemaphorePermit;

pub(crate) use self::job::Job;
use self::job::Work;
use crate::answer::{Answer, Verdict, answer};
use crate::autopath;
use crate::metrics::{Metrics, Protocol, Source};
use crate::upstream::exchange::Wishes;
use crate::upstream::{Kept, Upstream};
use crate::wire::query::{CHECKING_DISABLED, Packet, Query};
use crate::wire::reply::{self, Form};
use crate::zone::Zone;

/// Largest UDP answer we send, whatever the client offers to take.
const MAX_DATAGRAM: u16 = 4096;

/// Largest UDP answer to a client that says nothing, and least that one may say (RFC 6891).
const MIN_DATAGRAM: u16 = 512;

/// Answers packets.
pub(crate) struct Server {
    pub(crate) feed: Feed,
    pub(crate) zone: Zone,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether to search the client's search list for it.
    pub(crate) autopath: bool,
}

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
}

/// What a packet leads to.
pub(crate) enum Reaction {
    /// The answer is in the room.
    Answer,
    Silence,
    /// The answer has to be waited for.
    Later(Box<Job>),
}

/// Room to work in, kept from packet to packet.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// The answer.
    pub(crate) out: Vec<u8>,
    key: Vec<u8>,
}

impl Server {
    /// Reacts to a packet. An answer is in `room.out`, which is emptied first.
    pub(crate) fn react(&self, packet: &[u8], client: Client, room: &mut Room) -> Reaction {
        let begun = Instant::now();
        room.out.clear();
        let query = match Packet::parse(packet) {
            Packet::Query(query) => query,
            Packet::Malformed => return self.complain(packet, ResponseCode::FormErr, begun, room),
            Packet::OtherOperation => {
                return self.complain(packet, ResponseCode::NotImp, begun, room);
            }
            Packet::Noise => return Reaction::Silence,
        };
        let asking = Asking {
            server: self,
            query,
            client,
            begun,
        };
        self.metrics
            .asked(client.protocol, is_v6(client.address), asking.query.kind);
        asking.react(room)
    }

    fn complain(
        &self,
        packet: &[u8],
        code: ResponseCode,
        begun: Instant,
        room: &mut Room,
    ) -> Reaction {
        reply::bare(packet, code, &mut room.out);
        self.metrics.answered(Source::Nobody, code, begun.elapsed());
        Reaction::Answer
    }
}

fn is_v6(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V4(_) => false,
        // A dual-stack socket shows IPv4 clients by mapped addresses.
        SocketAddr::V6(address) => address.ip().to_ipv4_mapped().is_none(),
    }
}

/// One question of one client.
struct Asking<'a> {
    server: &'a Server,
    query: Query<'a>,
    client: Client,
    begun: Instant,
}

impl Asking<'_> {
    fn react(&self, room: &mut Room) -> Reaction {
        let version = self.query.edns.map_or(0, |edns| edns.version);
        if version > 0 {
            return self.bare(ResponseCode::BADVERS, Source::Nobody, room);
        }
        if ![DNSClass::IN, DNSClass::ANY].contains(&self.query.class) {
            return self.bare(ResponseCode::Refused, Source::Nobody, room);
        }
        let Some(name) = self.query.name() else {
            return self.bare(ResponseCode::FormErr, Source::Nobody, room);
        };
        let (answer, search) = match self.look_up(&name) {
            (Verdict::Elsewhere, _) => return self.elsewhere(name, room),
            (Verdict::Ours(answer), search) => (answer, search),
        };
        let work = match (&answer.leads_to, search) {
            (Some(target), _) => Work::Chase(target.clone(), answer),
            (None, Some(candidates)) => Work::Search(candidates, answer),
            (None, None) => {
                self.write(&answer, Source::Cluster, room);
                return Reaction::Answer;
            }
        };
        let Some(permit) = self.server.upstream.permit() else {
            // Too many wait already. Ours is no less true for it.
            if let Work::Chase(_, answer) | Work::Search(_, answer) = &work {
                self.write(answer, Source::Cluster, room);
            }
            return Reaction::Answer;
        };
        self.later(work, permit)
    }

    /// What the cluster says, and where else to search if it denies the name.
    fn look_up(&self, name: &Name) -> (Verdict, Option<Vec<Name>>) {
        let Server {
            feed,
            zone,
            upstream,
            autopath,
            ..
        } = self.server;
        let index = feed.is_synced().then(|| feed.read());
        let turn = fastrand::usize(..);
        let verdict = answer(zone, index.as_deref(), name, self.query.kind, turn);
        let denied = matches!(&verdict, Verdict::Ours(a) if a.code == ResponseCode::NXDomain);
        let index = index.filter(|_| *autopath && denied);
        let search = index.and_then(|index| {
            let client = self.client.address.ip().to_canonical();
            let namespace = index.namespace_of_pod_at(client)?;
            autopath::candidates(zone, namespace, &upstream.search(), name)
        });
        (verdict, search)
    }

    fn elsewhere(&self, name: Name, room: &mut Room) -> Reaction {
        let upstream = &self.server.upstream;
        if upstream.is_probe(&name, self.query.kind) {
            return self.bare(ResponseCode::ServFail, Source::Upstream, room);
        }
        let asked = (self.query.name_bytes(), self.query.kind, self.wishes());
        if let Kept::Fresh(stored) = upstream.kept(asked, &mut room.key, self.begun) {
            stored.write(&self.query, self.begun, self.limits(), &mut room.out);
            self.answered(Source::Cache, stored.code());
            return Reaction::Answer;
        }
        match upstream.permit() {
            Some(permit) => self.later(Work::Elsewhere, permit),
            None => self.bare(ResponseCode::ServFail, Source::Upstream, room),
        }
    }

    fn later(&self, work: Work, permit: OwnedSemaphorePermit) -> Reaction {
        Reaction::Later(Box::new(Job {
            packet: self.query.packet().into(),
            client: self.client,
            begun: self.begun,
            work,
            _permit: permit,
        }))
    }

    fn bare(&self, code: ResponseCode, source: Source, room: &mut Room) -> Reaction {
        self.write(&Answer::bare(code), source, room);
        Reaction::Answer
    }

    fn write(&self, answer: &Answer, source: Source, room: &mut Room) {
        let (limit, payload) = self.limits();
        let form = Form {
            apex: self.server.zone.apex(),
            limit,
            payload,
        };
        reply::write(&self.query, answer, form, &mut room.out);
        self.answered(source, answer.code);
    }

    fn answered(&self, source: Source, code: ResponseCode) {
        let took = self.begun.elapsed();
        self.server.metrics.answered(source, code, took);
    }

    /// The most bytes of the answer, and the size of datagrams that we tell the client.
    fn limits(&self) -> (usize, u16) {
        let offered = self.query.edns.map_or(MIN_DATAGRAM, |edns| edns.payload);
        let payload = offered.clamp(MIN_DATAGRAM, MAX_DATAGRAM);
        let limit = match self.client.protocol {
            Protocol::Udp => payload,
            Protocol::Tcp => u16::MAX,
        };
        (usize::from(limit), payload)
    }

    fn wishes(&self) -> Wishes {
        Wishes {
            dnssec_ok: self.query.edns.is_some_and(|edns| edns.dnssec_ok),
            checking_disabled: self.query.flags() & CHECKING_DISABLED != 0,
        }
    }
}
