//! Ports of the node that are a pod's: claimed by ADD, given back by DEL.
//!
//! Who finds a port taken decides by what stands there whether it may be replaced, and the kernel
//! has no way to compare and replace in one step. So that nobody acts on what is no longer so, it
//! is done under a lock: that of the folder the map is pinned in, which needs no file of its own
//! and goes with its holder.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};

use nix::fcntl::{Flock, FlockArg};
use proxy_abi::{Endpoint, FrontendKey, HostPort, protocol};

use crate::error::Error;
use crate::observe::Link;
use crate::owned;
use crate::table::{HostPorts, Pods};

/// Makes these ports those of the pod behind that interface.
///
/// # Errors
/// [`Error::PortTaken`] when one is another pod's. An entry that a crash left is replaced.
pub(crate) fn claim(
    ports: &HostPorts,
    pods: &Pods,
    wanted: &BTreeMap<FrontendKey, Endpoint>,
    ifindex: u32,
) -> Result<(), Error> {
    let _lock = lock(ports)?;
    for (key, endpoint) in wanted {
        let value = HostPort::new(*endpoint, ifindex);
        if ports.create(key, &value)? {
            continue;
        }
        if let Some(held) = ports.get(key)?
            && let Some(holder) = holder(&held, pods)?
        {
            return Err(Error::PortTaken {
                port: told(key),
                holder: format!(
                    "{} behind {}, {}",
                    at(&held.endpoint),
                    holder.name,
                    holder.alias.unwrap_or_default()
                ),
            });
        }
        ports.set(key, &value)?;
    }
    Ok(())
}

/// Gives back the ports that are to go, as far as they are there.
///
/// # Errors
/// All that could not be given back.
pub(crate) fn release(ports: &HostPorts, to_go: impl Fn(&HostPort) -> bool) -> Result<(), Error> {
    // Most pods have none, and need not wait for those that have.
    if !ports.has(|_, held| to_go(held))? {
        return Ok(());
    }
    let _lock = lock(ports)?;
    ports.remove(|_, held| to_go(held))
}

/// A port as a person would write it.
pub(crate) fn told(key: &FrontendKey) -> String {
    let protocol = match key.protocol {
        protocol::UDP => "udp",
        protocol::SCTP => "sctp",
        _ => "tcp",
    };
    let address = IpAddr::from(key.address);
    format!("{}/{protocol}", SocketAddr::new(address, key.port.number()))
}

/// A pod's port as a person would write it.
pub(crate) fn at(endpoint: &Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address.into(), endpoint.port.number())
}

/// The host end of the pod that holds a port: it must stand, and the programs must know the pod
/// by it. An interface's number may be another pod's meanwhile.
fn holder(held: &HostPort, pods: &Pods) -> Result<Option<Link>, Error> {
    let pod = pods.get(&held.endpoint.address)?;
    if pod.is_none_or(|pod| pod.ifindex != held.ifindex) {
        return Ok(None);
    }
    let mut ends = owned::host_ends()?.into_iter();
    Ok(ends.find(|link| link.index == held.ifindex))
}

fn lock(ports: &HostPorts) -> Result<Flock<File>, Error> {
    let folder = ports.pin().parent().unwrap_or(ports.pin());
    let file = File::open(folder).map_err(Error::file("open", folder))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_file, errno)| Error::file("lock", folder)(errno.into()))
}
