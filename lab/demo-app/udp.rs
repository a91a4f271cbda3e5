//! Datagrams to an echo server.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use tokio::net::UdpSocket;

use crate::answer::{Answer, LARGEST};
use crate::patience::within;

/// How many, how patient, how fast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) count: u32,
    pub(crate) timeout: Duration,
    pub(crate) interval: Duration,
}

/// Prints every answer; whether all came. Without `one_socket` every datagram is a flow of its
/// own.
pub(crate) async fn ask(
    address: &str,
    pace: &Pace,
    question: &[u8],
    one_socket: bool,
) -> anyhow::Result<bool> {
    let mut resolved = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("resolve {address}"))?;
    let target = resolved
        .next()
        .with_context(|| format!("resolve {address}"))?;
    let mut all = true;
    let mut kept = None;
    for number in 0..pace.count {
        if number > 0 {
            tokio::time::sleep(pace.interval).await;
        }
        let socket = match kept.take() {
            Some(socket) => socket,
            None => connected(target).await?,
        };
        match exchange(&socket, question, pace.timeout).await {
            Ok(answer) => println!("{}", serde_json::to_string(&answer)?),
            Err(error) => {
                eprintln!("failed: {error:#}");
                all = false;
            }
        }
        kept = one_socket.then_some(socket);
    }
    Ok(all)
}

async fn connected(target: SocketAddr) -> anyhow::Result<UdpSocket> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target).await?;
    Ok(socket)
}

async fn exchange(
    socket: &UdpSocket,
    question: &[u8],
    timeout: Duration,
) -> anyhow::Result<Answer> {
    let mut answer = vec![0; LARGEST];
    socket.send(question).await.context("send")?;
    let received = within(timeout, socket.recv(&mut answer)).await;
    let length = received
        .with_context(|| format!("no answer in {timeout:?}"))?
        .context("receive")?;
    serde_json::from_slice(&answer[..length]).context("the answer is not that of flatnet-demo")
}
