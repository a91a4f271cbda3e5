//! An HTTP client that opens a new connection for each question and resolves the name each time,
//! so that every question goes through DNS and the Service anew.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::Answer;
use crate::patience::within;

/// The parts of `http://HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    host: String,
    port: u16,
    path: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let rest = text
            .strip_prefix("http://")
            .context("a URL begins with http://")?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        // An IPv6 address stands in brackets, and its colons are no sign of a port.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().context("the port is no number")?)
            }
            _ => (authority, 80),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            bail!("the URL has no host");
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    /// Asks once; the error says at which step it failed.
    pub(crate) async fn ask(&self, timeout: Duration) -> anyhow::Result<Answer> {
        match within(timeout, self.exchange()).await {
            Some(outcome) => outcome,
            None => bail!("no answer in {timeout:?}"),
        }
    }

    async fn exchange(&self) -> anyhow::Result<Answer> {
        let Self { host, port, path } = self;
        let mut addresses = tokio::net::lookup_host((host.as_str(), *port))
            .await
            .with_context(|| format!("resolve {host}"))?;
        let address = addresses
            .next()
            .with_context(|| format!("resolve {host}: no address"))?;
        let connecting = TcpStream::connect(address).await;
        let mut stream = connecting.with_context(|| format!("connect {address}"))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.context("send")?;
        let mut response = String::new();
        stream
            .read_to_string(&mut response)
            .await
            .context("receive")?;
        let (head, body) = response
            .split_once("\r\n\r\n")
            .context("the answer was cut off")?;
        let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
        if status != "200" {
            bail!("status {status:?}");
        }
        serde_json::from_str(body).context("the answer is not that of flatnet-demo")
    }
}

/// Prints the addresses of `name`, one a line; whether there is one.
pub(crate) async fn print_addresses(name: &str) -> anyhow::Result<bool> {
    let addresses = tokio::net::lookup_host((name, 0)).await;
    let addresses: Vec<_> = addresses
        .with_context(|| format!("resolve {name}"))?
        .collect();
    for address in &addresses {
        println!("{}", address.ip());
    }
    Ok(!addresses.is_empty())
}

/// Prints every answer; whether all came.
pub(crate) async fn print_answers(
    url: &Url,
    count: u32,
    timeout: Duration,
) -> anyhow::Result<bool> {
    let mut all = true;
    for _ in 0..count {
        match url.ask(timeout).await {
            Ok(answer) => println!("{}", serde_json::to_string(&answer)?),
            Err(error) => {
                eprintln!("failed: {error:#}");
                all = false;
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_host_and_defaults() {
        let url = |host: &str, port, path: &str| Url {
            host: host.into(),
            port,
            path: path.into(),
        };
        let rows = [
            ("http://backend", Some(url("backend", 80, "/"))),
            (
                "http://backend/healthz",
                Some(url("backend", 80, "/healthz")),
            ),
            (
                "http://10.96.0.7:8080/x",
                Some(url("10.96.0.7", 8080, "/x")),
            ),
            ("http://[fd00::7]", Some(url("fd00::7", 80, "/"))),
            ("http://[fd00::7]:81/x", Some(url("fd00::7", 81, "/x"))),
            ("https://backend", None),
            ("http://:80", None),
            ("http://a:b", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Url::parse(text).ok(), expected, "{text}");
        }
    }
}
