//! An upstream that knows every name, or says nothing.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;

/// Bytes of a header.
const HEADER: usize = 12;

/// Runs for as long as this process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Upstream {
    /// One that says of every name `count` times that it is at `says`, for an hour.
    pub(crate) fn knowing(address: SocketAddr, says: Ipv4Addr, count: u8) -> Self {
        let mut records = Vec::new();
        for _ in 0..count {
            // The question's name, A, IN, an hour, four bytes.
            records.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4]);
            records.extend(says.octets());
        }
        Self::start(address, move |packet| {
            let end = packet[HEADER..].iter().position(|byte| *byte == 0)?;
            let question = packet.get(HEADER..HEADER + end + 5)?;
            let mut answer = packet[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
            Some([&answer, question, &records].concat())
        })
    }

    /// One that never answers.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self::start(address, |_| None)
    }

    fn start(
        address: SocketAddr,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(address).expect("an address of our own");
        let address = socket.local_addr().expect("bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            let mut packet = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut packet) {
                // Not those that search for loops.
                let asks = |message: Message| {
                    let first = message.queries.first();
                    first.is_some_and(|question| question.query_type() == RecordType::A)
                };
                if Message::from_vec(&packet[..length]).is_ok_and(asks) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(bytes) = answer(&packet[..length]) {
                    // Whoever asked may have gone.
                    let _ = socket.send_to(&bytes, client);
                }
            }
        });
        Self { address, asked }
    }

    /// How many questions for addresses came.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A loopback address that no other test of this machine uses.
pub(crate) fn own_host() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high.max(1), low, COUNT.fetch_add(1, Ordering::Relaxed))
}
