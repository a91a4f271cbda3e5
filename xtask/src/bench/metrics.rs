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
    let said = inside(netns, || {
        let mut stream = TcpStream::connect(at).context("the agent's metrics")?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        Ok(said)
    })?;
    read(&said).context("the agent does not count its frontends")
}

fn read(metrics: &str) -> Option<usize> {
    let mut lines = metrics.lines();
    let line = lines.find(|line| line.starts_with("flatnet_map_entries{map=\"frontends\"}"))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frontends_are_counted() {
        let text = "flatnet_map_entries{map=\"endpoints\"} 100\n\
                    flatnet_map_entries{map=\"frontends\"} 10\n";
        assert_eq!(read(text), Some(10));
        assert_eq!(read(""), None);
    }
}
