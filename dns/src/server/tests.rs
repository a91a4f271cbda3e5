//! The server on real sockets: what one sees on the wire that the pure answer does not decide.

mod connections;
mod dig;
mod forwarding;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster_model::Protocol::Tcp;
use cluster_model::testing::{mk_index, mk_pod, mk_service, mk_slice};
use cluster_model::{ClusterIndex, ServiceName};
use cluster_watch::Feed;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::*;
use crate::listen::{Capacity, Listeners};
use crate::upstream::Limits;
use crate::upstream::servers::Routes;

const WEB: &str = "web.default.svc.cluster.local.";
/// A headless Service of a hundred endpoints.
const BIG: &str = "big.default.svc.cluster.local.";
/// TCP connections that the servers take at once.
const CONNECTIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(15);
/// Long enough for an answer on loopback, where none is to come.
const SILENCE: Duration = Duration::from_millis(200);

fn index() -> ClusterIndex {
    let big = mk_slice("default", "big", "big-1");
    let big = (1..=100).fold(big, |slice, n| slice.ready(&format!("10.244.1.{n}")));
    mk_index(
        [
            mk_service("default", "web")
                .cluster_ip("10.96.0.1")
                .port("http", Tcp, 80),
            mk_service("default", "big").headless(),
        ],
        [big],
    )
}

/// A server of `feed` on loopback, which forwards nothing. It ends when the returned value is
/// dropped.
async fn serving(feed: Feed) -> (Listeners, SocketAddr) {
    serving_with(feed, |_| {}).await
}

/// As [`serving`], with upstreams that `set` sets.
async fn serving_with(feed: Feed, set: impl FnOnce(&mut Server)) -> (Listeners, SocketAddr) {
    let apex = Name::from_ascii("cluster.local.").expect("a name");
    let metrics = Arc::new(Metrics::new());
    let limits = Limits {
        patience: Duration::from_millis(300),
        concurrent: 100,
        cache: 1 << 20,
        stale: Duration::from_secs(60),
    };
    let mut server = Server {
        feed,
        zone: Zone::new(apex, 5, 1, ServiceName::new("kube-system", "kube-dns")),
        upstream: Arc::new(Upstream::new(limits, metrics.clone())),
        metrics,
        autopath: false,
    };
    set(&mut server);
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let capacity = Capacity {
        threads: 2,
        connections: CONNECTIONS,
    };
    let listeners = Listeners::bind(&[loopback], &Arc::new(server), capacity);
    let listeners = listeners.expect("loopback");
    let [(_, udp), (_, tcp)] = *listeners.addresses() else {
        panic!("one of each")
    };
    assert_eq!(udp, tcp, "one port for both");
    (listeners, udp)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect(name), kind));
    message
}

fn with_edns(mut message: Message, payload: u16, version: u8) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload).set_version(version);
    message.edns = Some(edns);
    message
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a message that can be written")
}

/// The answer to these bytes over UDP, if there is one within `patience`.
async fn udp_within(patience: Duration, server: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    socket.send_to(query, server).await.expect("sent");
    let mut answer = vec![0; 65536];
    let length = timeout(patience, socket.recv(&mut answer))
        .await
        .ok()?
        .expect("received");
    answer.truncate(length);
    Some(answer)
}

async fn udp(server: SocketAddr, query: &Message) -> Message {
    let answer = udp_within(PATIENCE, server, &bytes(query))
        .await
        .expect("an answer");
    Message::from_vec(&answer).expect("a message")
}

/// The answers to these questions, asked at once on one TCP connection.
async fn tcp(server: SocketAddr, queries: &[Message]) -> Vec<Message> {
    let mut stream = TcpStream::connect(server).await.expect("loopback");
    for query in queries {
        stream.write_all(&framed(query)).await.expect("sent");
    }
    let mut answers = Vec::new();
    for _ in queries {
        answers.push(heard(&mut stream, PATIENCE).await.expect("in time"));
    }
    answers
}

/// A question as it is sent over TCP.
fn framed(query: &Message) -> Vec<u8> {
    let query = bytes(query);
    let length = u16::try_from(query.len()).expect("a short question");
    [&length.to_be_bytes(), &query[..]].concat()
}

/// The next answer on a connection, if one begins within `patience`.
async fn heard(stream: &mut TcpStream, patience: Duration) -> Option<Message> {
    let length = timeout(patience, stream.read_u16()).await.ok()?;
    let mut answer = vec![0; usize::from(length.expect("not closed"))];
    stream.read_exact(&mut answer).await.expect("received");
    Some(Message::from_vec(&answer).expect("a message"))
}

/// Has the server ask `upstream` alone.
fn to(upstream: SocketAddr) -> impl FnOnce(&mut Server) {
    move |server| {
        let known = crate::upstream::servers::Server::new(upstream, Instant::now());
        let routes = Routes::new(vec![Arc::new(known)], Vec::new());
        server.upstream.set_routes(routes, &[]);
    }
}

fn code(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

#[tokio::test]
async fn answers_over_udp_and_tcp_alike() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let query = question("WEB.default.svc.cluster.local.", RecordType::A);
    let over_udp = udp(address, &query).await;
    let over_tcp = tcp(address, std::slice::from_ref(&query)).await;
    for answer in over_tcp.iter().chain([&over_udp]) {
        let header = &answer.metadata;
        assert_eq!(
            (header.id, header.message_type),
            (4711, MessageType::Response)
        );
        assert!(header.authoritative && !header.truncation);
        assert!(
            header.recursion_desired && header.recursion_available,
            "copied; offered"
        );
        assert_eq!(code(answer), ResponseCode::NoError);
        assert!(
            answer.queries[0].name().eq_case(query.queries[0].name()),
            "its own case"
        );
        assert!(
            answer.answers[0].name.eq_case(query.queries[0].name()),
            "its own case"
        );
        assert_eq!(
            answer.answers[0].data.ip_addr(),
            Some([10, 96, 0, 1].into())
        );
        assert!(answer.edns.is_none(), "only for those who speak it");
    }
}

#[tokio::test]
async fn long_answers_are_cut_to_the_clients_size_and_whole_over_tcp() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let query = || question(BIG, RecordType::A);
    // Datagram size offered, and how many of the hundred addresses can be in it.
    let rows = [
        (query(), 512, 10..40),
        (with_edns(query(), 100, 0), 512, 10..40),
        (with_edns(query(), 1232, 0), 1232, 40..90),
        (with_edns(query(), 4096, 0), 4096, 100..101),
        (with_edns(query(), 65535, 0), 4096, 100..101),
    ];
    for (query, size, wanted) in rows {
        let answer = udp_within(PATIENCE, address, &bytes(&query))
            .await
            .expect("an answer");
        assert!(answer.len() <= size, "{} of {size}", answer.len());
        let answer = Message::from_vec(&answer).expect("a message");
        let count = answer.answers.len();
        assert!(wanted.contains(&count), "{count} in {size}");
        assert_eq!(answer.metadata.truncation, count < 100, "{size}");
    }
    let whole = tcp(address, &[query()]).await;
    assert_eq!(
        (whole[0].answers.len(), whole[0].metadata.truncation),
        (100, false)
    );
}

#[tokio::test]
async fn edns_is_answered_with_edns() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let mut query = with_edns(question(WEB, RecordType::A), 1232, 0);
    if let Some(edns) = &mut query.edns {
        edns.set_dnssec_ok(true);
    }
    let answer = udp(address, &query).await;
    let edns = answer.edns.as_ref().expect("EDNS");
    assert_eq!(
        (edns.version(), edns.max_payload(), edns.flags().dnssec_ok),
        (0, 1232, true)
    );

    let answer = udp(address, &with_edns(question(WEB, RecordType::A), 1232, 1)).await;
    // 16 is BADVERS, or BADSIG where there is a signature: hickory reads it as the latter.
    assert_eq!(u16::from(code(&answer)), u16::from(ResponseCode::BADVERS));
    assert_eq!(answer.edns.as_ref().expect("EDNS").version(), 0);
    assert!(answer.answers.is_empty());
}

#[tokio::test]
async fn what_is_no_question_is_told_so() {
    let (_server, address) = serving(Feed::offline(index())).await;
    for opcode in [
        OpCode::Status,
        OpCode::Notify,
        OpCode::Update,
        OpCode::Unknown(9),
    ] {
        let mut message = question(WEB, RecordType::SOA);
        message.metadata.op_code = opcode;
        let answer = udp(address, &message).await;
        assert_eq!(code(&answer), ResponseCode::NotImp, "{opcode}");
        assert_eq!(answer.metadata.op_code, opcode);
    }
    let mut chaos = question(WEB, RecordType::A);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(code(&udp(address, &chaos).await), ResponseCode::Refused);
    let mut two = question(WEB, RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(code(&udp(address, &two).await), ResponseCode::FormErr);
    let mut none = question(WEB, RecordType::A);
    none.queries.clear();
    assert_eq!(code(&udp(address, &none).await), ResponseCode::FormErr);
}

#[tokio::test]
async fn malformed_packets_cost_one_formerr_or_silence() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let good = bytes(&question(WEB, RecordType::A));

    let cut = udp_within(PATIENCE, address, &good[..20])
        .await
        .expect("an answer");
    assert_eq!(
        code(&Message::from_vec(&cut).expect("a message")),
        ResponseCode::FormErr
    );
    assert_eq!(
        udp_within(SILENCE, address, &good[..11]).await,
        None,
        "less than a header"
    );
    let mut answer = question(WEB, RecordType::A);
    answer.metadata.message_type = MessageType::Response;
    assert_eq!(
        udp_within(SILENCE, address, &bytes(&answer)).await,
        None,
        "no answer to answers"
    );

    // Every byte of a good question replaced by every kind of wrong one. A good one in between
    // each time, so that no packet is lost to a full socket.
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    for at in 0..good.len() {
        for wrong in [0x00, 0x3f, 0x40, 0x80, 0xc0, 0xff] {
            let mut packet = good.clone();
            packet[at] = wrong;
            socket.send_to(&packet, address).await.expect("sent");
        }
        let answer = udp(address, &question(WEB, RecordType::A)).await;
        assert_eq!(answer.answers.len(), 1, "still there after byte {at}");
    }
}

#[tokio::test]
async fn a_cold_server_fails_and_a_warm_one_follows_the_feed() {
    let (_server, cold) = serving(Feed::silent()).await;
    let answer = udp(cold, &question(WEB, RecordType::A)).await;
    assert_eq!(code(&answer), ResponseCode::ServFail);
    assert!(answer.authorities.is_empty(), "nothing to keep");

    let feed = Feed::offline(index());
    let (_server, warm) = serving(feed.clone()).await;
    let name = "new.default.svc.cluster.local.";
    let denied = udp(warm, &question(name, RecordType::A)).await;
    assert_eq!(code(&denied), ResponseCode::NXDomain);
    assert_eq!(denied.authorities[0].record_type(), RecordType::SOA);
    feed.edit(|index| index.apply_service(mk_service("default", "new").cluster_ip("10.96.0.7")));
    assert_eq!(
        udp(warm, &question(name, RecordType::A))
            .await
            .answers
            .len(),
        1
    );
}

#[tokio::test]
async fn closing_ends_every_socket() {
    let (server, address) = serving(Feed::offline(index())).await;
    server.close().await;
    assert!(TcpStream::connect(address).await.is_err());
    let query = bytes(&question(WEB, RecordType::A));
    assert_eq!(udp_within(SILENCE, address, &query).await, None);
}
