//! Connect, one byte each way, close: what a new connection costs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Latencies in microseconds, the rate in connections a second.
#[derive(Debug, PartialEq, Serialize)]
struct Measured {
    address: String,
    count: usize,
    failed: usize,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    max_us: f64,
    per_second: f64,
}

/// Measures `count` connections one after another; whether all succeeded.
///
/// The calls block: a runtime between the clock and the system call would be measured too.
pub(crate) fn measure(address: &str, count: u32, warm_up: u32, json: bool) -> anyhow::Result<bool> {
    let resolved = address
        .to_socket_addrs()
        .with_context(|| format!("resolve {address}"))?;
    let target = resolved
        .into_iter()
        .next()
        .with_context(|| format!("resolve {address}"))?;
    for _ in 0..warm_up {
        exchange(target).with_context(|| format!("connect {target}"))?;
    }
    let began = Instant::now();
    let mut failed = 0;
    let mut latencies = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let asked = Instant::now();
        match exchange(target) {
            Ok(()) => latencies.push(asked.elapsed()),
            Err(error) => {
                failed += 1;
                eprintln!("failed: {error}");
            }
        }
    }
    let measured = summarise(address, latencies, failed, began.elapsed());
    if json {
        println!("{}", serde_json::to_string(&measured)?);
    } else {
        let Measured {
            p50_us,
            p90_us,
            p99_us,
            max_us,
            per_second,
            ..
        } = measured;
        println!(
            "{address}: p50 {p50_us:.1} us, p90 {p90_us:.1} us, p99 {p99_us:.1} us, \
             max {max_us:.1} us, {per_second:.0}/s, {failed} failed"
        );
    }
    Ok(failed == 0)
}

fn exchange(target: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&[1])?;
    // The byte and the end: the server closes first, so TIME_WAIT is on its side.
    let mut answer = vec![];
    match stream.read_to_end(&mut answer)? {
        1 => Ok(()),
        other => Err(std::io::Error::other(format!(
            "{other} bytes instead of one"
        ))),
    }
}

fn summarise(
    address: &str,
    mut latencies: Vec<Duration>,
    failed: usize,
    took: Duration,
) -> Measured {
    latencies.sort_unstable();
    let us = |latency: Duration| latency.as_secs_f64() * 1e6;
    // The smallest latency that at least `percent` of all do not exceed.
    let percentile = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100);
        latencies
            .get(rank.saturating_sub(1))
            .copied()
            .map_or(0.0, us)
    };
    Measured {
        address: address.to_owned(),
        count: latencies.len(),
        failed,
        p50_us: percentile(50),
        p90_us: percentile(90),
        p99_us: percentile(99),
        max_us: percentile(100),
        per_second: latencies.len() as f64 / took.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_latencies() {
        let latencies = (1..=100).rev().map(Duration::from_micros).collect();
        let measured = summarise("x", latencies, 0, Duration::from_secs(1));
        let seen = [
            measured.p50_us,
            measured.p90_us,
            measured.p99_us,
            measured.max_us,
        ];
        assert_eq!(seen.map(f64::round), [50.0, 90.0, 99.0, 100.0]);
        assert_eq!(measured.per_second, 100.0);
        let none = summarise("x", vec![], 3, Duration::from_secs(1));
        assert_eq!((none.count, none.failed, none.max_us), (0, 3, 0.0));
    }
}
