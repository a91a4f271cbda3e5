//! Forwarding against upstreams on loopback that do as they are told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::probe::PROBE;
use super::*;

const PLAIN: Wishes = Wishes {
    dnssec_ok: false,
    checking_disabled: false,
};

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect(text)
}

/// What a [`Fake`] does with a question.
#[derive(Clone, Copy)]
enum Manner {
    /// One address, to be kept for so many seconds.
    Answers(u32),
    /// No such name, to be kept for so many seconds.
    Denies(u32),
    Fails,
    /// Says nothing.
    Silent,
    /// Cut over UDP, one address over TCP.
    Cuts,
    /// First an answer to another question, then the right one.
    Forged,
}

/// An upstream on loopback.
struct Fake {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    manner: Arc<Mutex<Manner>>,
}

impl Fake {
    async fn start(manner: Manner) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = tcp.local_addr().expect("bound");
        let udp = UdpSocket::bind(address).await.expect("loopback");
        let fake = Self {
            address,
            asked: Arc::default(),
            manner: Arc::new(Mutex::new(manner)),
        };
        let (asked, manner) = (fake.asked.clone(), fake.manner.clone());
        tokio::spawn(async move {
            let mut packet = [0; 1500];
            while let Ok((length, client)) = udp.recv_from(&mut packet).await {
                asked.fetch_add(1, Ordering::Relaxed);
                let manner = *lock(&manner);
                let query = Message::from_vec(&packet[..length]).expect("a question");
                if let Manner::Forged = manner {
                    let mut other = answer(&query, Manner::Answers(60)).expect("an answer");
                    other.metadata.id ^= 1;
                    let bytes = other.to_vec().expect("bytes");
                    udp.send_to(&bytes, client).await.expect("sent");
                }
                if let Some(answer) = answer(&query, manner) {
                    let bytes = answer.to_vec().expect("bytes");
                    udp.send_to(&bytes, client).await.expect("sent");
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.expect("a question");
                let mut packet = vec![0; usize::from(length)];
                stream.read_exact(&mut packet).await.expect("a question");
                let query = Message::from_vec(&packet).expect("a question");
                let answer = answer(&query, Manner::Answers(60)).expect("an answer");
                let bytes = answer.to_vec().expect("bytes");
                let length = u16::try_from(bytes.len()).expect("short");
                stream.write_u16(length).await.expect("sent");
                stream.write_all(&bytes).await.expect("sent");
            }
        });
        fake
    }

    fn set(&self, manner: Manner) {
        *lock(&self.manner) = manner;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(query: &Message, manner: Manner) -> Option<Message> {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.queries = query.queries.clone();
    let owner = query.queries[0].name().clone();
    match manner {
        Manner::Silent => return None,
        Manner::Fails => answer.metadata.response_code = ResponseCode::ServFail,
        Manner::Cuts => answer.metadata.truncation = true,
        Manner::Answers(ttl) => {
            let data = RData::A(A::new(192, 0, 2, 7));
            answer.add_answer(Record::from_rdata(owner, ttl, data));
        }
        Manner::Forged => {
            let data = RData::A(A::new(192, 0, 2, 7));
            answer.add_answer(Record::from_rdata(owner, 60, data));
        }
        Manner::Denies(ttl) => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(name("ns."), name("root."), 1, 2, 3, 4, ttl);
            answer.add_authority(Record::from_rdata(name("."), 900, RData::SOA(soa)));
        }
    }
    Some(answer)
}

fn upstream(fakes: &[&Fake]) -> Arc<Upstream> {
    upstream_of(fakes, 1 << 20)
}

fn upstream_of(fakes: &[&Fake], cache: u64) -> Arc<Upstream> {
    let limits = Limits {
        patience: Duration::from_millis(200),
        concurrent: 100,
        cache,
        stale: Duration::from_secs(60),
    };
    let upstream = Upstream::new(limits, Arc::new(Metrics::new()));
    let now = Instant::now();
    let servers = fakes
        .iter()
        .map(|fake| Arc::new(Server::new(fake.address, now)));
    upstream.set_routes(Routes::new(servers.collect(), Vec::new()), &[]);
    Arc::new(upstream)
}

async fn code(upstream: &Arc<Upstream>, text: &str) -> Option<ResponseCode> {
    let answer = upstream.resolve(&name(text), RecordType::A, PLAIN).await;
    answer.map(|answer| answer.code())
}

const YES: Option<ResponseCode> = Some(ResponseCode::NoError);
const FAILED: Option<ResponseCode> = Some(ResponseCode::ServFail);

#[tokio::test]
async fn an_answer_is_kept_for_its_time_whatever_its_case() {
    let fake = Fake::start(Manner::Answers(60)).await;
    let upstream = upstream(&[&fake]);
    for text in ["example.com.", "EXAMPLE.com.", "example.com."] {
        assert_eq!(code(&upstream, text).await, YES);
    }
    assert_eq!(fake.asked(), 1);
    let example = name("example.com.");
    let of_other_type = upstream.resolve(&example, RecordType::AAAA, PLAIN);
    assert!(of_other_type.await.is_some());
    let signed = Wishes {
        dnssec_ok: true,
        ..PLAIN
    };
    let signed = upstream.resolve(&example, RecordType::A, signed);
    assert!(signed.await.is_some());
    assert_eq!(fake.asked(), 3, "each is a question of its own");

    fake.set(Manner::Answers(0));
    assert_eq!(code(&upstream, "now.example.").await, YES);
    assert_eq!(code(&upstream, "now.example.").await, YES);
    assert_eq!(fake.asked(), 5, "not to be kept");
}

#[tokio::test]
async fn a_denial_is_kept_as_its_soa_says_and_a_failure_briefly() {
    let fake = Fake::start(Manner::Denies(1)).await;
    let upstream = upstream(&[&fake]);
    for _ in 0..2 {
        let denied = code(&upstream, "no.example.").await;
        assert_eq!(denied, Some(ResponseCode::NXDomain));
    }
    assert_eq!(fake.asked(), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    code(&upstream, "no.example.").await;
    assert_eq!(fake.asked(), 2);
    fake.set(Manner::Fails);
    for _ in 0..2 {
        assert_eq!(code(&upstream, "bad.example.").await, FAILED);
    }
    assert_eq!(fake.asked(), 3);
}

#[tokio::test]
async fn who_asks_the_same_at_once_waits_for_one_answer() {
    let fake = Fake::start(Manner::Answers(60)).await;
    let upstream = upstream(&[&fake]);
    let asking = (0..50).map(|_| code(&upstream, "example.com."));
    let answers = futures::future::join_all(asking).await;
    assert!(answers.into_iter().all(|code| code == YES));
    assert_eq!(fake.asked(), 1);
}

#[tokio::test]
async fn the_next_upstream_is_asked_when_one_is_silent_or_fails() {
    for manner in [Manner::Silent, Manner::Fails] {
        let first = Fake::start(manner).await;
        let second = Fake::start(Manner::Answers(60)).await;
        let upstream = upstream(&[&first, &second]);
        assert_eq!(code(&upstream, "a.example.").await, YES);
        assert_eq!((first.asked(), second.asked()), (1, 1));
        assert_eq!(code(&upstream, "b.example.").await, YES);
        if let Manner::Silent = manner {
            assert_eq!(first.asked(), 1, "it comes last for a while");
        }
    }
    let silent = Fake::start(Manner::Silent).await;
    let upstream = upstream(&[&silent]);
    assert_eq!(code(&upstream, "a.example.").await, FAILED);
    assert_eq!(silent.asked(), ROUNDS);
    let none = self::upstream(&[]);
    assert_eq!(code(&none, "a.example.").await, None);
}

#[tokio::test]
async fn cut_answers_come_over_tcp_and_forged_ones_are_passed_over() {
    for manner in [Manner::Cuts, Manner::Forged] {
        let fake = Fake::start(manner).await;
        let upstream = upstream(&[&fake]);
        let found = upstream
            .resolve(&name("big.example."), RecordType::A, PLAIN)
            .await;
        let message = found.and_then(|found| found.message());
        assert_eq!(message.expect("an answer").answers.len(), 1);
    }
}

#[tokio::test]
async fn old_answers_are_served_while_the_upstream_is_away() {
    let fake = Fake::start(Manner::Answers(1)).await;
    let upstream = upstream(&[&fake]);
    assert_eq!(code(&upstream, "example.com.").await, YES);
    fake.set(Manner::Silent);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(code(&upstream, "example.com.").await, YES, "old");
    let asked = fake.asked();
    let begun = Instant::now();
    assert_eq!(code(&upstream, "example.com.").await, YES, "old");
    assert!(begun.elapsed() < Duration::from_millis(100), "and at once");
    assert_eq!(fake.asked(), asked, "what failed rests");
    assert_eq!(code(&upstream, "other.example.").await, FAILED);
}

#[tokio::test]
async fn a_flood_of_names_stays_within_the_bound() {
    let fake = Fake::start(Manner::Answers(60)).await;
    let bound = 256 << 10;
    let upstream = upstream_of(&[&fake], bound);
    let key = |n: usize| Key::new(format!("n{n}").as_bytes(), RecordType::A, PLAIN);
    let question = Question::query(name("example.com."), RecordType::A);
    let stored = || Stored::failure(&question, Instant::now()).map(Arc::new);
    for n in 0..50_000 {
        upstream.keep(&key(n), stored());
        assert!(upstream.cached().1 <= bound);
    }
    assert!(upstream.cached().0 > 100, "it is used");
}

#[tokio::test]
async fn an_upstream_that_sends_our_questions_back_is_asked_no_more() {
    let fakes = [
        Fake::start(Manner::Answers(60)).await,
        Fake::start(Manner::Answers(60)).await,
    ];
    let upstream = upstream(&[&fakes[0], &fakes[1]]);
    upstream.probe().await;
    assert_eq!((fakes[0].asked(), fakes[1].asked()), (1, 1));
    let probe = upstream.routes().default[0].probe.clone();
    assert!(!upstream.is_probe(&probe, RecordType::A));
    assert!(!upstream.is_probe(&name("example.com."), PROBE));
    assert!(upstream.is_probe(&probe, PROBE));
    assert_eq!(code(&upstream, "a.example.").await, YES);
    assert_eq!((fakes[0].asked(), fakes[1].asked()), (1, 2));
}
