//! What the agent of a node tells of itself: the text of its `/metrics`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use anyhow::Context;

use super::namespace::inside;

/// Where the agent answers, in its node's namespace.
const AT: &str = "127.0.0.1:10249";

/// The frontends in the maps of the agent whose node's namespace is kept at `netns`.
///
/// # Errors
/// When it does not answer, or does not count them.
pub(super) fn frontends(netns: &Path) -> anyhow::Result<usize> {
    frontends_at(netns, AT)
}

/// The same of an agent that answers at another address.
///
/// # Errors
/// As [`frontends`].
pub(super) fn frontends_at(netns: &Path, at: &str) -> anyhow::Result<usize> {
    let name = "flatnet_map_entries{map=\"frontends\"}";
    let read = read(&said(netns, at)?, name);
    read.context("the agent does not count its frontends")
}

/// How many full passes there were, and the seconds that they took together.
///
/// # Errors
/// As [`frontends`].
pub(super) fn full_passes(netns: &Path) -> anyhow::Result<(f64, f64)> {
    let said = said(netns, AT)?;
    let part = |name: &str| {
        let name = format!("kubeproxy_sync_full_proxy_rules_duration_seconds_{name}");
        read(&said, &name).context("the agent does not time its passes")
    };
    Ok((part("count")?, part("sum")?))
}

fn said(netns: &Path, at: &str) -> anyhow::Result<String> {
    inside(netns, || {
        let mut stream = TcpStream::connect(at).context("the agent's metrics")?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        Ok(said)
    })
}

fn read<T: std::str::FromStr>(metrics: &str, name: &str) -> Option<T> {
    let mut lines = metrics.lines();
    let line = lines.find(|line| line.starts_with(name))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frontends_are_counted() {
        let text = "flatnet_map_entries{map=\"endpoints\"} 100\n\
                    flatnet_map_entries{map=\"frontends\"} 10\n";
        let name = "flatnet_map_entries{map=\"frontends\"}";
        assert_eq!(read(text, name), Some(10));
        assert_eq!(read::<usize>("", name), None);
    }
}
