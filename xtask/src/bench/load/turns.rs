//! Client and server take turns: requests, connections, first datagrams.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::cpu::{self, SharedCpu};
use super::server::{self, Server, echo};
use super::{Leg, PATIENCE, connected, joined};
use crate::bench::namespace::inside;
use crate::bench::quantile::quantile;

/// How long requests go back and forth, and before it, uncounted, how many. A tenth of a second:
/// many short turns even out what else the machine does better than few long ones.
const REQUESTS_FOR: Duration = Duration::from_millis(100);
const WARM_UP: usize = 200;
/// New connections, or flows, of one measurement: so many, or as many as this time is enough for.
const NEW: usize = 500;
const NEW_FOR: Duration = Duration::from_millis(250);
/// And before them, uncounted.
const NEW_WARM_UP: usize = 30;

/// [`Load::Requests`](super::Load::Requests).
pub(super) fn requests(server: &Server, leg: &Leg) -> anyhow::Result<Vec<f64>> {
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

/// [`Load::Connections`](super::Load::Connections).
pub(super) fn connections(server: &Server, leg: &Leg) -> anyhow::Result<Vec<f64>> {
    anew(server, leg, connect)
}

/// [`Load::First`](super::Load::First).
pub(super) fn datagrams(server: &Server, leg: &Leg) -> anyhow::Result<Vec<f64>> {
    anew(server, leg, send)
}

/// Takes a turn again and again, each with a new socket.
fn anew(
    server: &Server,
    leg: &Leg,
    turn: fn(SocketAddr) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let cpu = SharedCpu::here()?;
    let turns = thread::scope(|scope| {
        let mut serving = Vec::new();
        for listener in &server.listeners {
            serving.push(scope.spawn(move || {
                cpu.stay()?;
                server::connections(listener)
            }));
        }
        for socket in &server.sockets {
            serving.push(scope.spawn(move || {
                cpu.stay()?;
                server::datagrams(socket)
            }));
        }
        let turns = inside(&leg.client, || {
            cpu.stay()?;
            timed(leg.server, turn)
        });
        server.wake()?;
        let served = serving.into_iter().try_for_each(joined);
        turns.and_then(|turns| served.map(|()| turns))
    })?;
    Ok(summary(&turns))
}

/// Microseconds of each turn.
fn timed(to: SocketAddr, turn: fn(SocketAddr) -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
    for _ in 0..NEW_WARM_UP {
        turn(to)?;
    }
    let (begun, mut turns) = (Instant::now(), Vec::new());
    while turns.len() < NEW && begun.elapsed() < NEW_FOR {
        let start = Instant::now();
        turn(to)?;
        turns.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(turns)
}

/// A connection from connect() to the end of close().
fn connect(to: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).context("cannot connect")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(&mut stream)
}

/// A datagram and its answer.
fn send(to: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"?")?;
    socket.recv(&mut [0]).context("no answer")?;
    Ok(())
}

/// One byte there and one back.
fn exchange(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(b"?")?;
    stream.read_exact(&mut [0]).context("no answer")
}

/// Of turns taken one after the other: turns a second, the median and the p99.
fn summary(turns: &[f64]) -> Vec<f64> {
    let mean = turns.iter().sum::<f64>() / turns.len() as f64;
    vec![1e6 / mean, quantile(turns, 0.5), quantile(turns, 0.99)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_summed_up_as_rate_and_quantiles() {
        let turns: Vec<f64> = (1..=200)
            .map(|turn| if turn > 197 { 500.0 } else { 100.0 })
            .collect();
        let values = summary(&turns);
        for (value, expected) in values.iter().zip([1e6 / 106.0, 100.0, 500.0]) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }
}
