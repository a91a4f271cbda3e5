//! The load: TCP between two namespaces, in three kinds, each bounded in time.
//!
//! Connections are set up in their namespaces and then handed to plain threads: a socket stays
//! where it was made. Where client and server take turns they share a CPU ([`SharedCpu`]), so that
//! the rate is what the path costs; streams are left to the scheduler, as two pods' processes are.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use super::cpu::{self, SharedCpu, SoftInterrupts};
use super::stage::{Leg, PORT};
use crate::bench::namespace::inside;
use crate::bench::quantile::quantile;

/// How long requests go back and forth, and before it, uncounted, how many. A tenth of a second:
/// many short turns even out what else the machine does better than few long ones.
const REQUESTS_FOR: Duration = Duration::from_millis(100);
const WARM_UP: usize = 200;
/// Connections of one measurement.
const CONNECTIONS: usize = 500;
/// How long streams flow.
const STREAM_FOR: Duration = Duration::from_millis(700);
/// What a stream's writer and reader hand to the kernel at a time.
const CHUNK: usize = 128 * 1024;
/// Nothing here takes that long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(5);
const GIB: f64 = (1_u64 << 30) as f64;

/// A kind of load.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// One byte there, one byte back, again and again on one connection. Yields requests a
    /// second, the p99 of a request in microseconds, and the CPU time of one at both ends in
    /// microseconds, which others on the machine do not reach.
    Requests,
    /// Connect, one byte there, one back, close. Yields connections a second, and the p99 of one
    /// in microseconds.
    Connections,
    /// That many streams from client to server. Yields gigabits a second, and seconds of CPU a
    /// gibibyte.
    Streams(usize),
}

/// The server of a variant: a listening socket in its pod's namespace.
pub(super) struct Server {
    netns: PathBuf,
    listener: TcpListener,
}

impl Server {
    /// Listens in the namespace kept at `netns`.
    ///
    /// # Errors
    /// When there is no such namespace, or its port is taken.
    pub(super) fn start(netns: &Path) -> anyhow::Result<Self> {
        let bind = || Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?);
        Ok(Self {
            netns: netns.to_owned(),
            listener: inside(netns, bind)?,
        })
    }

    /// The other end of a connection that a client has just made.
    fn accept(&self) -> anyhow::Result<TcpStream> {
        let (stream, _) = self.listener.accept()?;
        prepare(&stream)?;
        Ok(stream)
    }

    /// Makes a connection from the server's own namespace, which needs no path to it.
    fn wake(&self) -> anyhow::Result<()> {
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        inside(&self.netns, || Ok(TcpStream::connect(own).map(drop)?))
    }
}

impl Load {
    /// How many measurements make a round: turns are quickly taken, streams need time to flow.
    pub(super) fn a_round(self) -> usize {
        match self {
            Self::Requests | Self::Connections => 3,
            Self::Streams(_) => 1,
        }
    }

    /// Runs once.
    ///
    /// # Errors
    /// When a connection fails, or a thread does.
    pub(super) fn run(self, server: &Server, leg: &Leg) -> anyhow::Result<Vec<f64>> {
        match self {
            Self::Requests => requests(server, leg),
            Self::Connections => connections(server, leg),
            Self::Streams(count) => streams(server, leg, count),
        }
    }
}

fn requests(server: &Server, leg: &Leg) -> anyhow::Result<Vec<f64>> {
    let (client, mut served) = connected(server, leg)?;
    let cpu = SharedCpu::here()?;
    let (turns, used) = thread::scope(|scope| {
        let serving = scope.spawn(move || {
            cpu.stay()?;
            while echo(&mut served)? {}
            cpu::of_this_thread()
        });
        let asking = scope.spawn(move || {
            cpu.stay()?;
            Ok((ask(client)?, cpu::of_this_thread()?))
        });
        let (turns, asked) = joined(asking)?;
        anyhow::Ok((turns, asked + joined(serving)?))
    })?;
    let requests = (WARM_UP + turns.len()) as f64;
    let mut values = summary(&turns);
    values.push(used.as_secs_f64() * 1e6 / requests);
    Ok(values)
}

fn joined<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_panic| anyhow!("a panic"))?
}

/// Microseconds of each request.
fn ask(mut stream: TcpStream) -> anyhow::Result<Vec<f64>> {
    for _ in 0..WARM_UP {
        exchange(&mut stream)?;
    }
    let (start, mut turns) = (Instant::now(), Vec::new());
    let mut before = start;
    while before - start < REQUESTS_FOR {
        exchange(&mut stream)?;
        let now = Instant::now();
        turns.push((now - before).as_secs_f64() * 1e6);
        before = now;
    }
    Ok(turns)
}

fn connections(server: &Server, leg: &Leg) -> anyhow::Result<Vec<f64>> {
    let cpu = SharedCpu::here()?;
    let turns = thread::scope(|scope| {
        let serving = scope.spawn(|| {
            cpu.stay()?;
            // A connection that ends without a byte is the end.
            while echo(&mut server.accept()?)? {}
            anyhow::Ok(())
        });
        let turns = inside(&leg.client, || {
            cpu.stay()?;
            (0..CONNECTIONS).map(|_| connect(leg.server)).collect()
        });
        server.wake()?;
        let served = joined(serving);
        turns.and_then(|turns: Vec<f64>| served.map(|()| turns))
    })?;
    Ok(summary(&turns))
}

/// Microseconds of a connection from connect() to the end of close().
fn connect(to: SocketAddr) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).context("cannot connect")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(&mut stream)?;
    drop(stream);
    Ok(start.elapsed().as_secs_f64() * 1e6)
}

/// Of turns taken one after the other: turns a second, and the p99.
fn summary(turns: &[f64]) -> Vec<f64> {
    let mean = turns.iter().sum::<f64>() / turns.len() as f64;
    vec![1e6 / mean, quantile(turns, 0.99)]
}

fn streams(server: &Server, leg: &Leg, count: usize) -> anyhow::Result<Vec<f64>> {
    let pairs = (0..count).map(|_| connected(server, leg));
    let pairs: Vec<_> = pairs.collect::<anyhow::Result<_>>()?;
    let kernel = SoftInterrupts::find()?;
    let (before, start) = (kernel.used()?, Instant::now());
    let ends = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (client, served) in pairs {
            threads.push(scope.spawn(move || pour(client, start + STREAM_FOR)));
            threads.push(scope.spawn(move || drain(served)));
        }
        threads
            .into_iter()
            .map(joined)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = ends.iter().map(|end| end.cpu).sum::<Duration>() + (kernel.used()? - before);
    let bytes = ends.iter().map(|end| end.received).sum::<u64>() as f64;
    Ok(vec![
        bytes * 8.0 / seconds / 1e9,
        cpu.as_secs_f64() / (bytes / GIB),
    ])
}

/// What one end of a stream did.
struct End {
    received: u64,
    cpu: Duration,
}

fn pour(mut stream: TcpStream, until: Instant) -> anyhow::Result<End> {
    let chunk = vec![0; CHUNK];
    while Instant::now() < until {
        stream.write_all(&chunk)?;
    }
    drop(stream);
    Ok(End {
        received: 0,
        cpu: cpu::of_this_thread()?,
    })
}

fn drain(mut stream: TcpStream) -> anyhow::Result<End> {
    let (mut chunk, mut received) = (vec![0; CHUNK], 0);
    loop {
        match stream.read(&mut chunk)? {
            0 => break,
            count => received += count as u64,
        }
    }
    let cpu = cpu::of_this_thread()?;
    Ok(End { received, cpu })
}

/// A connection: the client's end, then the server's.
fn connected(server: &Server, leg: &Leg) -> anyhow::Result<(TcpStream, TcpStream)> {
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

/// One byte there and one back.
fn exchange(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(b"?")?;
    stream.read_exact(&mut [0]).context("no answer")
}

/// Sends one byte back; false at the end of the connection.
fn echo(stream: &mut TcpStream) -> io::Result<bool> {
    let mut byte = [0];
    if stream.read(&mut byte)? == 0 {
        return Ok(false);
    }
    stream.write_all(&byte)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_summed_up_as_rate_and_p99() {
        let turns: Vec<f64> = (1..=200)
            .map(|turn| if turn > 197 { 500.0 } else { 100.0 })
            .collect();
        let values = summary(&turns);
        assert!((values[0] - 1e6 / 106.0).abs() < 1e-6, "{values:?}");
        assert!((values[1] - 500.0).abs() < 1e-9, "{values:?}");
    }
}
