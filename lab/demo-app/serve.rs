//! The server: HTTP, UDP echo, single bytes. Ends as a well-behaved application does.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use axum::Json;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use crate::answer::{Answer, LARGEST};

/// Serves until SIGTERM, and `drain` longer: an endpoint is taken out of the Service at the same
/// time as its process is asked to end, so for a moment clients still come.
pub(crate) async fn run(port: u16, byte_port: Option<u16>, drain: Duration) -> anyhow::Result<()> {
    let end = ended_after(drain)?;
    let listener = TcpListener::bind(any(port))
        .await
        .with_context(|| format!("TCP {port}"))?;
    let echo = UdpSocket::bind(any(port))
        .await
        .with_context(|| format!("UDP {port}"))?;
    tokio::spawn(echo_datagrams(echo));
    if let Some(port) = byte_port {
        let listener = TcpListener::bind(any(port))
            .await
            .with_context(|| format!("TCP {port}"))?;
        tokio::spawn(serve_bytes(listener));
    }
    println!("serving on {port}");
    let app = Router::new()
        .route("/", get(who))
        .route("/healthz", get(|| async { "ok\n" }));
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(end)
        .await?;
    println!("ended");
    Ok(())
}

/// Both families on one socket, as Linux has it; IPv4 alone where the kernel has no IPv6.
fn any(port: u16) -> SocketAddr {
    match std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_probe) => (Ipv6Addr::UNSPECIFIED, port).into(),
        Err(_no_ipv6) => (Ipv4Addr::UNSPECIFIED, port).into(),
    }
}

fn ended_after(drain: Duration) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {
                println!("asked to end; accepting for {drain:?} more");
                tokio::time::sleep(drain).await;
            }
            _ = interrupt.recv() => {}
        }
    })
}

async fn who(ConnectInfo(client): ConnectInfo<SocketAddr>) -> Json<Answer> {
    Json(Answer::to(canonical(client)))
}

/// An IPv4 client on an IPv6 socket by its IPv4 address.
fn canonical(client: SocketAddr) -> SocketAddr {
    SocketAddr::new(client.ip().to_canonical(), client.port())
}

async fn echo_datagrams(socket: UdpSocket) {
    let mut datagram = vec![0; LARGEST];
    loop {
        // An error is that of one client (such as its ICMP refusal): the next may be well.
        if let Ok((length, client)) = socket.recv_from(&mut datagram).await
            && let Ok(answer) = Answer::to(canonical(client)).datagram(&datagram[..length])
        {
            let _clients_loss = socket.send_to(&answer, client).await;
        }
    }
}

async fn serve_bytes(listener: TcpListener) {
    loop {
        if let Ok((stream, _client)) = listener.accept().await {
            tokio::spawn(exchange_byte(stream));
        }
    }
}

/// One byte in, one byte out, and the server closes first: so that the ports left in TIME_WAIT
/// are its own and a client can go on for as long as it likes.
async fn exchange_byte(mut stream: TcpStream) {
    let _latency_matters = stream.set_nodelay(true);
    if let Ok(byte) = stream.read_u8().await {
        let _clients_loss = stream.write_u8(byte).await;
    }
}
