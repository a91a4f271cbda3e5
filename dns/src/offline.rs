//! A server without sockets, API server and upstreams, for those who throw bytes at it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_model::{ClusterIndex, ServiceName};
use cluster_watch::Feed;
use hickory_proto::op::Message;
use hickory_proto::rr::Name;

use crate::metrics::{Metrics, Protocol};
use crate::server::{Client, Reaction, Room, Server};
use crate::upstream::{Limits, Upstream};
use crate::wire::stored::Stored;
use crate::zone::Zone;

/// The server, and room to work in.
pub struct Offline {
    server: Server,
    room: Room,
}

impl Offline {
    /// A server of this cluster, whose zone is `cluster.local`.
    ///
    /// # Errors
    /// None that can be met: the zone's name is one.
    pub fn new(index: ClusterIndex) -> Result<Self, hickory_proto::ProtoError> {
        let metrics = Arc::new(Metrics::new());
        let limits = Limits {
            patience: Duration::from_secs(1),
            // Nobody may wait: there is nobody to wait for.
            concurrent: 0,
            cache: 1 << 20,
            stale: Duration::ZERO,
        };
        let service = ServiceName::new("kube-system", "kube-dns");
        let zone = Zone::new(Name::from_ascii("cluster.local.")?, 5, 1, service);
        Ok(Self {
            server: Server {
                feed: Feed::offline(index),
                zone,
                upstream: Arc::new(Upstream::new(limits, metrics.clone())),
                metrics,
                autopath: false,
            },
            room: Room::default(),
        })
    }

    /// The answer to a packet over UDP or TCP; none where silence is.
    pub fn answer(&mut self, packet: &[u8], over_tcp: bool) -> Option<&[u8]> {
        let client = Client {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            protocol: if over_tcp {
                Protocol::Tcp
            } else {
                Protocol::Udp
            },
        };
        match self.server.react(packet, client, &mut self.room) {
            Reaction::Answer => Some(&self.room.out),
            Reaction::Silence | Reaction::Later(_) => None,
        }
    }
}

/// What is made of an upstream's answer: the bytes that would be kept of it.
pub fn kept(answer: &[u8]) -> Option<usize> {
    let message = Message::from_vec(answer).ok()?;
    let question = message.queries.first()?.clone();
    Stored::new(&question, message, Instant::now()).map(|stored| stored.size())
}
