//! A client beyond the nodes that can be made to ask: this machine, if it is none of them, or in a lab
//! the outside client.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use proxy_agent::kernel::ask;
use proxy_agent::local::api::Probe;
use proxy_agent::local::sockets;

use super::walk::{Ask, Says};
use crate::nodes::Where;

/// The client, by its network namespace.
#[derive(Clone, Debug)]
pub(super) struct Outside(PathBuf);

impl Outside {
    /// The one that belongs to these nodes. Whether it is outside, its address tells.
    pub(super) fn of(at: &Where) -> Self {
        Self(at.outside())
    }

    /// The address from which it would ask. Nothing is sent.
    ///
    /// # Errors
    /// If there is no such client, or it has no way there.
    pub(super) fn address(&self, to: SocketAddr) -> io::Result<IpAddr> {
        ask::source_in(File::open(&self.0)?, to)
    }

    /// What to do where it cannot ask under that address.
    pub(super) fn advice(&self, from: IpAddr, ask: &Ask) -> String {
        let here = match self.address(ask.to) {
            Ok(here) if here == from => "nobody is there".to_owned(),
            Ok(here) => format!("from here it would come from {here}, and not from {from}"),
            Err(error) => format!("from here there is no way: {error}"),
        };
        let (to, protocol) = (ask.to, ask.protocol.name());
        let watch = format!("flatnet trace --watch --port {} -p {protocol}", to.port());
        format!(
            "the model alone, no packet was sent: {here}. Run this on the client (--cluster), or have the \
             client ask {to} and see what comes: {watch}"
        )
    }

    /// Asks, and says what came of it.
    pub(super) async fn ask(&self, ask: &Ask, says: &Says) -> Probe {
        let (size, name) = match says {
            Says::Bytes(size) => (*size, None),
            Says::Name(name) => (0, Some(name.as_str())),
        };
        let question = sockets::question(ask.to, ask.protocol.name(), name, size);
        let namespace = self.0.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let question = question.map_err(io::Error::other)?;
            ask::ask_in(File::open(namespace)?, question)
        });
        let asked = asked.await;
        sockets::told(asked.unwrap_or_else(|broken| Err(io::Error::other(broken))))
    }
}
