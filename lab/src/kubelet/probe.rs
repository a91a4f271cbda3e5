//! Probes: what to ask a container, how often, and when answers count (pure, but for `ask`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::entry::Entry;
use crate::namespaces;
use crate::objects::{Container, Handler, Probe};

/// Bytes of a status line worth waiting for.
const LONGEST_STATUS: u64 = 256;

/// How often and how long, with Kubernetes' defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rhythm {
    pub(super) initial_delay: Duration,
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    successes: u32,
    failures: u32,
}

impl Rhythm {
    pub(super) fn of(probe: &Probe) -> Self {
        let at_least_one = |seconds: Option<u64>, default| seconds.unwrap_or(default).max(1);
        Self {
            initial_delay: Duration::from_secs(probe.initial_delay_seconds),
            period: Duration::from_secs(at_least_one(probe.period_seconds, 10)),
            timeout: Duration::from_secs(at_least_one(probe.timeout_seconds, 1)),
            successes: probe.success_threshold.unwrap_or(1).max(1),
            failures: probe.failure_threshold.unwrap_or(3).max(1),
        }
    }
}

/// Counts answers in a row until they mean something.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    rhythm: Rhythm,
    last: Option<bool>,
    run: u32,
}

impl Tally {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        Self {
            rhythm,
            last: None,
            run: 0,
        }
    }

    /// Takes one answer; returns the verdict once the threshold is reached.
    pub(super) fn count(&mut self, answer: bool) -> Option<bool> {
        self.run = if self.last == Some(answer) {
            self.run.saturating_add(1)
        } else {
            1
        };
        self.last = Some(answer);
        let threshold = if answer {
            self.rhythm.successes
        } else {
            self.rhythm.failures
        };
        (self.run >= threshold).then_some(answer)
    }
}

/// Where a container is asked.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The node asks, as a kubelet does, so the sockets are made in its namespace.
    pub(super) node_netns: PathBuf,
    pub(super) address: IpAddr,
    pub(super) container: Container,
    pub(super) entry: Entry,
}

impl Target {
    /// Asks once.
    ///
    /// # Errors
    /// Why the answer is no.
    pub(super) async fn ask(&self, handler: &Handler) -> Result<(), String> {
        if let Some(http) = &handler.http_get {
            let address = self.socket(
                http.host.as_deref(),
                http.port.resolve("TCP", &self.container.ports),
            )?;
            let path = http.path.as_deref().unwrap_or("/");
            return self.http(address, path).await;
        }
        if let Some(tcp) = &handler.tcp_socket {
            let address = self.socket(
                tcp.host.as_deref(),
                tcp.port.resolve("TCP", &self.container.ports),
            )?;
            return self
                .connect(address)
                .await
                .map(drop)
                .map_err(|error| error.to_string());
        }
        if let Some(exec) = &handler.exec {
            return self.execute(&exec.command).await;
        }
        if let Some(sleep) = &handler.sleep {
            tokio::time::sleep(Duration::from_secs(sleep.seconds)).await;
            return Ok(());
        }
        Err("the lab knows httpGet, tcpSocket, exec and (preStop) sleep".to_owned())
    }

    fn socket(&self, host: Option<&str>, port: Option<u16>) -> Result<SocketAddr, String> {
        let port = port.ok_or("the container has no port of that name")?;
        let address = match host {
            Some(host) => host
                .parse()
                .map_err(|_| format!("host {host:?} is no address"))?,
            None => self.address,
        };
        Ok(SocketAddr::new(address, port))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let make = || match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        };
        let socket = tokio::task::block_in_place(|| namespaces::inside(&self.node_netns, make))?;
        socket.connect(address).await
    }

    async fn http(&self, address: SocketAddr, path: &str) -> Result<(), String> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: kube-probe/1.36\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n"
        );
        let exchange = async {
            let mut stream = self.connect(address).await?;
            stream.write_all(request.as_bytes()).await?;
            // The status line is all that counts, and a body without end must not hold the probe.
            let mut answer = String::new();
            BufReader::new(stream.take(LONGEST_STATUS))
                .read_line(&mut answer)
                .await?;
            io::Result::Ok(answer)
        };
        let answer = exchange.await.map_err(|error| error.to_string())?;
        match status(&answer) {
            Some(code) if (200..400).contains(&code) => Ok(()),
            Some(code) => Err(format!("HTTP status {code}")),
            None => Err("the answer is not HTTP".to_owned()),
        }
    }

    async fn execute(&self, argv: &[String]) -> Result<(), String> {
        let run = || {
            let mut command = self.entry.command(argv)?;
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            tokio::process::Command::from(command)
                .kill_on_drop(true)
                .spawn()
        };
        let mut child = run().map_err(|error| error.to_string())?;
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(status.to_string())
        }
    }
}

fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.")?
        .split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects;
    use serde_json::json;

    #[test]
    fn the_rhythm_has_kubernetes_defaults() {
        let probe: Probe = objects::read(&json!({"exec": {"command": ["true"]}})).expect("probe");
        let rhythm = Rhythm::of(&probe);
        assert_eq!(rhythm.period, Duration::from_secs(10));
        assert_eq!(
            (rhythm.timeout, rhythm.initial_delay),
            (Duration::from_secs(1), Duration::ZERO)
        );
        assert_eq!((rhythm.successes, rhythm.failures), (1, 3));
        assert!(probe.handler.exec.is_some());
    }

    #[test]
    fn answers_count_in_a_row() {
        let probe: Probe =
            objects::read(&json!({"successThreshold": 2, "failureThreshold": 3})).expect("probe");
        let mut tally = Tally::new(Rhythm::of(&probe));
        let answers = [
            true, true, true, false, false, true, false, false, false, false,
        ];
        let verdicts = answers.map(|answer| tally.count(answer));
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(
            verdicts,
            [None, yes, yes, None, None, None, None, None, no, no]
        );
    }

    #[test]
    fn a_status_line_is_read() {
        assert_eq!(status("HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status("HTTP/1.0 503 \r\n"), Some(503));
        assert_eq!(status("SSH-2.0-x\r\n"), None);
        assert_eq!(status(""), None);
    }
}
