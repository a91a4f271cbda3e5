//! A flood of SYNs from forged sources at a NodePort, inside the lab, leaves every established
//! conversation alive.

mod stage;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Instant;

use lab::Lab;
use socket2::{Domain, Protocol, Socket, Type};
use stage::askers::{From, Stage};
use stage::output;
use stage::place::Place;
use stage::talk::{Connection, Datagrams};

/// More than twice what the table of conversations that have just begun holds. The whole million:
/// `FLATNET_FLOOD=1000000`.
const SYNS: u32 = 150_000;
/// After each part of the flood the established ones are asked.
const PARTS: u32 = 10;
const NODE_PORT: u16 = 30_150;

#[test]
fn a_flood_of_syns_ends_no_established_conversation() {
    let Some(stage) = Stage::new("flood") else {
        return;
    };
    stage.service("web", "web", NODE_PORT, "type: NodePort");
    // The endpoint is on node1: at node2 the flood takes ports for the node's address as well.
    let targets: Vec<_> = ["node1", "node2"]
        .map(|node| stage.at(node, NODE_PORT))
        .concat();
    targets
        .iter()
        .for_each(|at| stage.settle(From::Outside, *at));
    let mut held = Held::open(&stage, &targets);
    held.ask("before it");
    let before = flows_made(&stage.lab, "node1");

    let syns = std::env::var("FLATNET_FLOOD")
        .ok()
        .and_then(|text| text.parse().ok());
    let syns = syns.unwrap_or(SYNS);
    let client = Place::member(&stage.lab, "client");
    let began = Instant::now();
    for part in 0..PARTS {
        for (node, at) in [("node1", targets[0]), ("node2", targets[2])] {
            let share = syns / PARTS / 2;
            let SocketAddr::V4(at) = at else {
                panic!("{node} has an IPv4 address first")
            };
            client
                .inside(|| flood(at, part * share, share))
                .expect("sent");
        }
        held.ask("during it");
    }
    eprintln!(
        "{syns} SYNs in {:?}, the asking between them included",
        began.elapsed()
    );
    let made = flows_made(&stage.lab, "node1") - before;
    assert!(
        made >= f64::from(syns) / 4.0,
        "the flood arrived: {made} flows of {syns} SYNs"
    );
    held.ask("after it");
    for at in &targets {
        stage.settle(From::Outside, *at);
    }
}

/// Conversations of everybody, in which both sides have spoken.
struct Held {
    connections: Vec<(From, SocketAddr, Connection)>,
    datagrams: Vec<(From, SocketAddr, Datagrams)>,
}

impl Held {
    fn open(stage: &Stage, targets: &[SocketAddr]) -> Self {
        let mut held = Self {
            connections: vec![],
            datagrams: vec![],
        };
        let mut port = 20_000;
        for from in [From::Outside, From::Pod("node2"), From::Node("node2")] {
            let place = match from {
                From::Outside => Place::member(&stage.lab, "client"),
                From::Node(node) => Place::member(&stage.lab, node),
                From::Pod(_) => Place::pod(&stage.lab, "on-node2"),
            };
            // A node's own process at the node's own address is not translated by packets.
            let others = |at: &&SocketAddr| !matches!(from, From::Node(node) if stage.at(node, at.port()).contains(at));
            for at in targets.iter().filter(others) {
                for _ in 0..20 {
                    port += 1;
                    let connection = Connection::open(&place, *at).expect("connected");
                    held.connections.push((from, *at, connection));
                    let datagrams = Datagrams::open(&place, port, *at).expect("a socket");
                    held.datagrams.push((from, *at, datagrams));
                }
            }
        }
        // A conversation is established when the client has answered an answer.
        held.ask("at first");
        held
    }

    fn ask(&mut self, when: &str) {
        for (from, at, connection) in &mut self.connections {
            let asked = connection.ask();
            assert!(asked.is_ok(), "{when}: {from:?} {at} over TCP: {asked:?}");
        }
        for (from, at, datagrams) in &self.datagrams {
            // A datagram may be lost among the flood's; the conversation is not.
            let asked = (0..3).map(|_| datagrams.ask()).find(Result::is_ok);
            assert!(asked.is_some(), "{when}: {from:?} {at} over UDP");
        }
    }
}

/// How many conversations the programs of a node have made so far.
fn flows_made(lab: &Lab, node: &str) -> f64 {
    let argv = ["curl", "-s", "-m", "5", "http://127.0.0.1:10249/metrics"];
    let text = output(lab.on_node(node, &argv));
    let name = "flatnet_counters_total{reason=\"flow-created\"}";
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.expect("the counter").trim().parse().expect("a number")
}

/// Sends `count` SYNs, each from an address and port of its own.
fn flood(to: SocketAddrV4, first: u32, count: u32) -> io::Result<()> {
    // IPPROTO_RAW: the sender writes the IP header itself (raw(7)).
    let socket = Socket::new(
        Domain::IPV4,
        Type::RAW,
        Some(Protocol::from(libc::IPPROTO_RAW)),
    )?;
    let target = SocketAddr::V4(SocketAddrV4::new(*to.ip(), 0)).into();
    for number in first..first + count {
        // 198.18.0.0/15 is for benchmarks of networks (RFC 2544).
        let [_, a, b, c] = number.to_be_bytes();
        let source = Ipv4Addr::new(198, 18 | (a & 1), b, c);
        let port = 1_024 + (number >> 17) as u16;
        let packet = syn((source, port), (*to.ip(), to.port()), number);
        match socket.send_to(&packet, &target) {
            // The queue of the interface is full: the packet is lost as on any wire.
            Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => return Err(error),
            _sent => {}
        }
    }
    Ok(())
}

fn syn(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), sequence: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    packet.extend(from.0.octets());
    packet.extend(to.0.octets());
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    // RFC 9293, 3.1: addresses, protocol and length count as well. The kernel does the header's.
    let pseudo = [0, 6, 0, 20];
    let sum = sum(packet[12..20].iter().chain(&pseudo).chain(&packet[20..]));
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn sum<'a>(bytes: impl Iterator<Item = &'a u8>) -> u16 {
    let bytes: Vec<_> = bytes.copied().collect();
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn the_floods_packets_have_the_right_checksum() {
    let packet = syn(
        (Ipv4Addr::new(10, 0, 0, 1), 1_234),
        (Ipv4Addr::new(10, 0, 0, 2), 80),
        7,
    );
    let pseudo = [0, 6, 0, 20];
    assert_eq!(
        sum(packet[12..20].iter().chain(&pseudo).chain(&packet[20..])),
        0
    );
}
