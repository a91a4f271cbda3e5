//! The load: TCP and UDP between two namespaces, in four kinds, each bounded in time.
//!
//! Sockets are made in their namespaces and then handed to plain threads: a socket stays where it
//! was made. Where client and server take turns ([`turns`]) they share a CPU
//! ([`SharedCpu`](cpu::SharedCpu)), so that the rate is what the path costs.

mod cpu;
mod server;
mod streams;
mod turns;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::frame::{Better, Metric};
use super::namespace::inside;

pub(super) use self::server::{PORTS, Server};

/// Nothing here takes that long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(5);

const RATE: Metric = Metric {
    name: "rate",
    unit: "1/s",
    better: Better::Higher,
};
const P50: Metric = Metric {
    name: "p50",
    unit: "us",
    better: Better::Lower,
};
const P99: Metric = Metric {
    name: "p99",
    unit: "us",
    better: Better::Lower,
};
const CPU: Metric = Metric {
    name: "cpu",
    unit: "us",
    better: Better::Lower,
};
const GBPS: Metric = Metric {
    name: "gbps",
    unit: "Gbit/s",
    better: Better::Higher,
};
const CPU_PER_GIB: Metric = Metric {
    name: "cpu_per_gib",
    unit: "s/GiB",
    better: Better::Lower,
};

/// One way to a server.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    /// Where the client's namespace is kept.
    pub(super) client: PathBuf,
    /// The server as that client knows it.
    pub(super) server: SocketAddr,
}

/// A kind of load.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// One byte there, one byte back, again and again on one connection. Yields requests a
    /// second, quantiles of a request, and the CPU time of one at both ends, which others on the
    /// machine do not reach.
    Requests,
    /// Connect, one byte there, one back, close. Yields connections a second and quantiles of
    /// one.
    Connections,
    /// A datagram there and one back, from a new socket each time: what the first packet of a
    /// flow takes, and its answer. Yields such pairs a second and quantiles of one.
    First,
    /// That many streams from client to server. Yields gigabits a second, and CPU time a gibibyte.
    Streams(usize),
}

impl Load {
    /// What a run yields, in this order.
    pub(super) fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Requests => &[RATE, P50, P99, CPU],
            Self::Connections | Self::First => &[RATE, P50, P99],
            Self::Streams(_) => &[GBPS, CPU_PER_GIB],
        }
    }

    /// How many measurements make a round: turns are quickly taken, streams need time to flow.
    pub(super) fn a_round(self) -> usize {
        match self {
            Self::Requests | Self::Connections | Self::First => 3,
            Self::Streams(_) => 1,
        }
    }

    /// Runs once, on threads named after the variant that is measured.
    ///
    /// # Errors
    /// When a connection fails, or a thread does.
    pub(super) fn run(self, variant: &str, server: &Server, leg: &Leg) -> anyhow::Result<Vec<f64>> {
        cpu::work_for(variant)?;
        match self {
            Self::Requests => turns::requests(server, leg),
            Self::Connections => turns::connections(server, leg),
            Self::First => turns::datagrams(server, leg),
            Self::Streams(count) => streams::streams(server, leg, count),
        }
    }
}

/// A connection: the client's end, then the server's.
///
/// # Errors
/// When it does not come about, or another one comes.
pub(super) fn connected(server: &Server, leg: &Leg) -> anyhow::Result<(TcpStream, TcpStream)> {
    let client = inside(&leg.client, || {
        TcpStream::connect_timeout(&leg.server, PATIENCE)
            .with_context(|| format!("cannot connect to {}", leg.server))
    })?;
    prepare(&client)?;
    Ok((client, server.accept()?))
}

/// No waiting for more to send, and none for ever.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

fn joined<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_panic| anyhow!("a panic"))?
}
