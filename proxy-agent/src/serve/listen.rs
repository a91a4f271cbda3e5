//! A server on one port: bound as soon as the port is free, closed when it is dropped.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Pause between two tries to bind.
const RETRY: Duration = Duration::from_secs(2);

/// A server.
pub(super) struct Listener {
    address: SocketAddr,
    task: JoinHandle<()>,
    trouble: Trouble,
}

/// Why the port cannot be bound, while it cannot.
type Trouble = Arc<Mutex<Option<String>>>;

impl Listener {
    /// Serves `routes` at `address`; at "any address" of one family it answers on both.
    pub(super) fn start(address: SocketAddr, routes: Router) -> Self {
        let trouble = Trouble::default();
        let task = tokio::spawn(keep(address, routes, Arc::clone(&trouble)));
        Self {
            address,
            task,
            trouble,
        }
    }

    /// Where it is to answer.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Why it does not, if it does not.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(address: SocketAddr, routes: Router, trouble: Trouble) {
    let tell = |why| *trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
    let mut said = false;
    loop {
        match bind(address).await {
            Ok(listener) => {
                tell(None);
                if said {
                    tracing::info!("listening on {address} at last");
                }
                // Ends only if the listener fails.
                let served = axum::serve(listener, routes.clone()).await;
                tracing::warn!("no longer listening on {address}: {served:?}");
            }
            Err(error) if !said => {
                tracing::warn!("cannot listen on {address}: {error}; tried again until it works");
                tell(Some(error.to_string()));
                said = true;
            }
            Err(error) => tell(Some(error.to_string())),
        }
        sleep(RETRY).await;
    }
}

/// Binds, "any address" as that of both families where the kernel has IPv6.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_unspecified() {
        return TcpListener::bind(address).await;
    }
    let any = |ip| SocketAddr::new(ip, address.port());
    match TcpListener::bind(any(IpAddr::V6(Ipv6Addr::UNSPECIFIED))).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_) => TcpListener::bind(any(IpAddr::V4(Ipv4Addr::UNSPECIFIED))).await,
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    #[tokio::test]
    async fn a_port_is_served_once_it_is_free_until_it_is_dropped() {
        let squatter = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = squatter.local_addr().expect("its address");
        let listener = Listener::start(address, Router::new().route("/", get(async || "here")));
        sleep(Duration::from_millis(100)).await;
        let trouble = listener.trouble().expect("the port is taken");
        assert!(trouble.contains("in use"), "{trouble}");
        drop(squatter);
        let mut answer = Err(io::ErrorKind::TimedOut.into());
        for _ in 0..60 {
            answer = ask(address).await;
            if answer.is_ok() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let text = answer.expect("an answer");
        assert!(
            text.starts_with("HTTP/1.1 200") && text.ends_with("here"),
            "{text}"
        );
        assert_eq!(listener.trouble(), None);
        drop(listener);
        sleep(Duration::from_millis(100)).await;
        assert!(ask(address).await.is_err());
    }
}
