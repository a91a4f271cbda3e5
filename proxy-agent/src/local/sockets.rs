//! Sockets in the network namespaces of the node and its pods: who listens, and one that asks.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proxy_abi::protocol;

use super::api::{Listener, Probe};
use super::kernel::LookError;
use super::lookup;
use crate::kernel::ask::{self, Asked, Question};
use crate::kernel::pins::Pins;
use crate::kernel::routes::Netlink;
use crate::kernel::spaces::{self, Space};
use crate::kernel::{listeners, pods};

/// Who takes what comes to an address and port of this node or one of its pods.
///
/// # Errors
/// [`LookError`].
pub async fn listener(
    (address, port): (IpAddr, u16),
    number: u8,
    pins: &Pins,
    netlink: &Netlink,
) -> Result<Listener, LookError> {
    let Some(space) = space_of(address, pins, netlink).await? else {
        return Ok(Listener::default());
    };
    let found = listeners::at(&space, number, address, port);
    Ok(Listener {
        looked: [protocol::TCP, protocol::UDP].contains(&number),
        listens: found.is_some(),
        bound: found.as_ref().map(|one| one.address),
        pid: found.as_ref().and_then(|one| one.pid),
        stopped: found.as_ref().is_some_and(|one| one.stopped),
        process: found.and_then(|one| one.name),
    })
}

/// The node's own namespace, and those of the pods with these addresses, as far as they are found.
///
/// # Errors
/// [`LookError`].
pub async fn spaces_of(
    addresses: &[IpAddr],
    pins: &Pins,
    netlink: &Netlink,
) -> Result<Vec<(Option<IpAddr>, Space)>, LookError> {
    let all = spaces::all();
    let held = pods::pods(pins)?;
    let own = spaces::own(&all).cloned().map(|own| (None, own));
    let mut found: Vec<_> = own.into_iter().collect();
    for address in addresses {
        let Some(pod) = held.get(address) else {
            continue;
        };
        let space = netlink.space_behind(pod.ifindex, &all).await?;
        found.extend(space.map(|space| (Some(*address), space)));
    }
    Ok(found)
}

/// The namespace of the pod that has an address, else the node's own.
async fn space_of(
    address: IpAddr,
    pins: &Pins,
    netlink: &Netlink,
) -> Result<Option<Space>, LookError> {
    let all = spaces::all();
    Ok(match pods::pods(pins)?.remove(&address) {
        Some(pod) => netlink.space_behind(pod.ifindex, &all).await?,
        None => spaces::own(&all).cloned(),
    })
}

/// Sends one connection or datagram from a pod's or the node's namespace.
///
/// # Errors
/// [`LookError`].
pub async fn probe(
    from: IpAddr,
    question: Question,
    pins: &Pins,
    netlink: &Netlink,
) -> Result<Probe, LookError> {
    let space = space_of(from, pins, netlink).await?;
    let asked = match space {
        Some(space) => tokio::task::spawn_blocking(move || ask::ask(&space, question)).await,
        None => Ok(Err(io::ErrorKind::NotFound.into())),
    };
    Ok(told(
        asked.unwrap_or_else(|broken| Err(io::Error::other(broken))),
    ))
}

/// What is sent: a connection, or a datagram that asks for a name or has so many bytes.
///
/// # Errors
/// If the name is none.
pub fn question(
    to: SocketAddr,
    protocol: &str,
    dns: Option<&str>,
    size: u16,
) -> Result<Question, String> {
    match (protocol, dns) {
        ("tcp", _) => Ok(Question::Connection(to)),
        (_, None) => Ok(Question::datagram(to, size.into())),
        (_, Some(name)) => {
            let words = lookup::question(name, to.is_ipv6()).map_err(|error| error.to_string())?;
            Ok(Question::Datagram { to, words })
        }
    }
}

/// What came of a question, in words.
#[must_use]
pub fn told(asked: io::Result<Asked>) -> Probe {
    let asked = asked.unwrap_or_else(|error| Asked {
        answer: ask::Answer::Failed,
        took: Duration::ZERO,
        from: None,
        towards: None,
        heard: Vec::new(),
        words: Some(error.to_string()),
    });
    Probe {
        answer: match asked.answer {
            ask::Answer::Answered => "answered",
            ask::Answer::Refused => "refused",
            ask::Answer::Unreachable => "unreachable",
            ask::Answer::Silent => "silent",
            ask::Answer::Failed => "failed",
        }
        .to_owned(),
        milliseconds: asked.took.as_secs_f64() * 1000.0,
        from: asked.from,
        towards: asked.towards.map(|(kernels, _)| kernels),
        peer: asked.towards.map(|(_, told)| told),
        words: asked.words,
        lookup: lookup::told(&asked.heard),
    }
}
