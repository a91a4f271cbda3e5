//! How long it takes from an EndpointSlice's event to the changed answer.
//!
//! The event goes out on the watch, and the server is asked over UDP without a pause until it
//! says the new address. So the time has the event's way, its reading, the index and one question
//! in it.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::NAME;
use super::changing;
use super::names;
use super::servers::{HOST, Server};
use crate::bench::api::Api;
use crate::bench::frame::{self, Better, Row};
use crate::bench::quantile::quantile;

/// Events of one round.
const EVENTS: u32 = 300;
/// Longer than any change may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Type A and class IN.
const A: [u8; 4] = [0, 1, 0, 1];

const QUANTILES: [(&str, f64); 2] = [("p50", 0.50), ("p99", 0.99)];

/// Measures, and takes quantiles over all rounds: a single one has too few events for a p99.
///
/// # Errors
/// When the server does not answer, or never what it was told.
pub(super) fn rows(
    case: &str,
    api: &Api,
    server: &Server,
    rounds: usize,
) -> anyhow::Result<Vec<Row>> {
    let mut client = Client::new(server)?;
    let mut told = 0;
    let measure = move || -> anyhow::Result<Vec<f64>> {
        (0..EVENTS)
            .map(|_| {
                told += 1;
                client.change(api, told)
            })
            .collect()
    };
    let contender: frame::Contender<'_> = ("ours".to_owned(), Box::new(measure));
    let measured = frame::alternate(case, vec![contender], rounds)?;
    let times: Vec<f64> = measured
        .into_iter()
        .flat_map(|(_, rounds)| rounds.concat())
        .collect();
    let row = |(metric, q): (&str, f64)| Row {
        bench: NAME.to_owned(),
        case: case.to_owned(),
        metric: metric.to_owned(),
        unit: "ms".to_owned(),
        better: Better::Lower,
        ours: quantile(&times, q),
        peers: [].into(),
        runs: rounds,
    };
    Ok(QUANTILES.map(row).into())
}

struct Client {
    socket: UdpSocket,
    question: Vec<u8>,
}

impl Client {
    fn new(server: &Server) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((HOST, 0)).context("a client's socket")?;
        socket.connect((HOST, server.port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            question: question(names::CHANGING),
        })
    }

    /// Tells the server of change number `n`; the milliseconds until it says so.
    fn change(&mut self, api: &Api, n: u32) -> anyhow::Result<f64> {
        let wanted = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 200, 0, 0)) + n);
        let begun = Instant::now();
        changing::change(api, wanted, n)?;
        let mut answer = [0; 1500];
        loop {
            self.socket.send(&self.question)?;
            let length = self.socket.recv(&mut answer).context("no answer")?;
            let mut words = answer[..length].windows(4);
            if words.any(|word| word == wanted.octets()) {
                return Ok(begun.elapsed().as_secs_f64() * 1e3);
            }
            ensure!(begun.elapsed() < PATIENCE, "change {n} was not taken in");
        }
    }
}

/// A question for the A records of `name`.
fn question(name: &str) -> Vec<u8> {
    // A number, recursion desired, one question.
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        // Labels are at most 63 bytes.
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(A);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one() {
        let wanted = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01";
        assert_eq!(question("a.bc"), wanted);
    }
}
