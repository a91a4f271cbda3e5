//! GC: removes what is left of attachments that are no more, in the order of DEL, and goes on
//! past everything that cannot be removed. The runtime runs neither ADD nor DEL meanwhile.

use std::collections::BTreeSet;
use std::fs;

use proxy_abi::ownership::map::{HOST_PORTS, PACKET_PODS, PODS};

use crate::attachment::Attachment;
use crate::config::Places;
use crate::del;
use crate::error::Error;
use crate::host_ports;
use crate::lease::{Lease, Leases};
use crate::observe::Link;
use crate::owned;
use crate::pin;
use crate::program::{HOOKS, Hook};
use crate::reply::Reply;
use crate::request::Gc;
use crate::table::{HostPorts, PacketPods, Pods};

/// Removes all of the network's attachments but the valid ones. Routes, neighbours and filters go
/// with their interface.
///
/// # Errors
/// All that could not be removed.
pub(crate) fn gc(request: &Gc) -> Result<Reply, Error> {
    let valid: BTreeSet<_> = request
        .valid
        .iter()
        .map(Attachment::host_interface)
        .collect();
    let is_stale =
        |link: &Link| owned::is_of(link, &request.places.network) && !valid.contains(&link.name);
    let (stale, kept): (Vec<_>, Vec<_>) = owned::host_ends()?.into_iter().partition(is_stale);

    let indices: BTreeSet<_> = kept.iter().map(|link| link.index).collect();
    let forgotten = forget(&request.places, &indices);
    let mut errors: Vec<_> = forgotten.into_iter().filter_map(Result::err).collect();
    let mut stuck = BTreeSet::new();
    for link in stale {
        if let Err(error) = del::delete_interface(&link) {
            errors.push(error);
            stuck.insert(link.name);
        }
    }
    let kept = kept.into_iter().map(|link| link.name);
    errors.extend(unpin(&request.places, &kept.chain(stuck.clone()).collect()));
    errors.extend(release(request, &stuck).err());
    Error::all(errors)?;
    Ok(Reply::Done)
}

/// Removes the entries, also of host ports and of namespaces, of pods whose interface is not to stay, or is gone already.
fn forget(places: &Places, kept: &BTreeSet<u32>) -> [Result<(), Error>; 3] {
    let ports = HostPorts::open_if_there(&places.map_pin(HOST_PORTS));
    let pods = Pods::open_if_there(&places.map_pin(PODS));
    let packet_pods = PacketPods::open_if_there(&places.map_pin(PACKET_PODS));
    [
        ports.and_then(|ports| match ports {
            Some(ports) => host_ports::release(&ports, |held| !kept.contains(&held.ifindex)),
            None => Ok(()),
        }),
        pods.and_then(|pods| match pods {
            Some(pods) => pods.remove(|_, pod| !kept.contains(&pod.ifindex)),
            None => Ok(()),
        }),
        packet_pods.and_then(|pods| match pods {
            Some(pods) => pods.remove(|_, held| !kept.contains(held)),
            None => Ok(()),
        }),
    ]
}

/// Removes the pins of links to interfaces that do not stand any more.
fn unpin(places: &Places, standing: &BTreeSet<String>) -> Vec<Error> {
    // A folder that cannot be read has no pins to remove: before the agent's first start there
    // is none.
    let entries = fs::read_dir(places.links()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let interface = |name: &str, hook: Hook| {
        let rest = name.strip_prefix(hook.program)?;
        rest.strip_prefix('-').map(str::to_owned)
    };
    let stale = names.filter(|name| {
        let interface = HOOKS.iter().find_map(|hook| interface(name, *hook));
        interface.is_some_and(|interface| !standing.contains(&interface))
    });
    stale
        .filter_map(|name| pin::remove(&places.links().join(name)).err())
        .collect()
}

/// Releases the leases of attachments that are not valid, unless the interface could not be
/// removed: the address is still routed to it.
fn release(request: &Gc, stuck: &BTreeSet<String>) -> Result<(), Error> {
    let mut keep: BTreeSet<_> = request.valid.iter().map(Attachment::lease).collect();
    keep.extend(request.valid.iter().map(|it| it.old_lease().to_owned()));
    let is_stuck = |lease: &Lease| {
        let owner = Attachment::of_lease(&lease.owner);
        owner.is_some_and(|owner| stuck.contains(&owner.host_interface()))
    };
    let leases = Leases::of(&request.places.leases);
    let mut stale = leases.list()?;
    stale.retain(|lease| !keep.contains(&lease.owner) && !is_stuck(lease));
    leases.release(&stale)
}
