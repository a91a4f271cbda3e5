//! One question to one upstream: over UDP, and over TCP where the answer was cut.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// The largest datagram that we take. What is larger is cut, and asked for over TCP; a larger one
/// could come in fragments, which are easily forged (RFC 9715).
const PAYLOAD: u16 = 1232;

/// Room for upstreams that send more than they were told to.
const BUFFER: usize = 4096;

/// What a client said that the upstream should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Wishes {
    pub(crate) dnssec_ok: bool,
    pub(crate) checking_disabled: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// It said nothing in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// Nobody listens there, or the network is away.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The question cannot be written. Names come from packets, so that it always can.
    #[error("question: {0}")]
    Question(#[from] hickory_proto::ProtoError),
    /// Over TCP came something else than the answer.
    #[error("not an answer to the question")]
    Nonsense,
}

/// Asks `server`, and waits `patience` for each of the two ways.
pub(crate) async fn exchange(
    server: SocketAddr,
    question: &Question,
    wishes: Wishes,
    patience: Duration,
) -> Result<Message, ExchangeError> {
    let silent = |_| ExchangeError::Silent(patience);
    let message = message(question, wishes);
    let bytes = message.to_vec()?;
    let over_udp = over_udp(server, &message, &bytes);
    let answer = timeout(patience, over_udp).await.map_err(silent)??;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    let over_tcp = over_tcp(server, &message, &bytes);
    timeout(patience, over_tcp).await.map_err(silent)?
}

fn message(question: &Question, wishes: Wishes) -> Message {
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = wishes.checking_disabled;
    message.add_query(question.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    edns.set_dnssec_ok(wishes.dnssec_ok);
    message.edns = Some(edns);
    message
}

/// A socket of its own for each question: its port is one more thing that a forger has to guess.
async fn over_udp(
    server: SocketAddr,
    message: &Message,
    bytes: &[u8],
) -> Result<Message, ExchangeError> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What is no answer to this question may be forged: the right one may still come.
        if let Some(answer) = answer_to(message, &buffer[..length]) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    message: &Message,
    bytes: &[u8],
) -> Result<Message, ExchangeError> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).unwrap_or_default();
    let framed = [&length.to_be_bytes(), bytes].concat();
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    answer_to(message, &answer).ok_or(ExchangeError::Nonsense)
}

fn answer_to(asked: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let fits = answer.metadata.id == asked.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == asked.queries;
    fits.then_some(answer)
}
