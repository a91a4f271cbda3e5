//! DEL: removes what ADD made, as much of it as is there, and reports all that could not be
//! removed. It needs neither the pod's namespace nor a lease nor a previous result: every name
//! follows from the attachment.

use std::net::IpAddr;

use proxy_abi::ownership::map::{HOST_PORTS, PACKET_PODS, PODS};

use crate::error::Error;
use crate::host_ports;
use crate::lease::{Lease, Leases};
use crate::message;
use crate::netlink::Netlink;
use crate::observe::Link;
use crate::owned::{self, Standing};
use crate::pin;
use crate::reply::Reply;
use crate::request::Del;
use crate::table::{HostPorts, PacketPods, Pods};

/// Takes a pod off the network.
///
/// # Errors
/// All that could not be removed. While the interface stands, so do its programs (else the pod's
/// packets would go past it) and its leases (else another pod would get an address whose route
/// still points here): then the runtime's next DEL has all three to do.
pub(crate) fn del(request: &Del) -> Result<Reply, Error> {
    let attachment = &request.attachment;
    let leases = Leases::of(&request.places.leases);
    let theirs = leases.of_owner(attachment);
    let standing = owned::standing(attachment, &request.places.network)?;

    // The programs must no longer send to an interface that is about to go.
    let addresses = theirs.as_deref().unwrap_or_default();
    let index = match &standing {
        Standing::Theirs(link) => Some(link.index),
        _ => None,
    };
    let mut errors = vec![
        forget_ports(request, index, addresses),
        forget(request, index, addresses),
        forget_namespace(request, index),
    ];
    let removed = match &standing {
        Standing::Theirs(link) => delete_interface(link),
        _ => Ok(()),
    };
    if removed.is_ok() {
        // An interface of that name that is another's has its programs by pins of that name.
        if standing != Standing::Anothers {
            let interface = attachment.host_interface();
            let pins = request.places.link_pins(&interface);
            errors.extend(pins.iter().map(|pin| pin::remove(pin)));
        }
        errors.push(theirs.and_then(|theirs| leases.release(&theirs)));
    }
    errors.push(removed);
    Error::all(errors.into_iter().filter_map(Result::err).collect())?;
    Ok(Reply::Done)
}

/// Gives back the node's ports: those that lead to the pod's addresses, and those that name its
/// interface, should a lease have been lost.
fn forget_ports(request: &Del, index: Option<u32>, leases: &[Lease]) -> Result<(), Error> {
    let pin = request.places.map_pin(HOST_PORTS);
    let Some(ports) = HostPorts::open_if_there(&pin)? else {
        return Ok(());
    };
    host_ports::release(&ports, |held| {
        let address = IpAddr::from(held.endpoint.address);
        Some(held.ifindex) == index || leases.iter().any(|lease| lease.address == address)
    })
}

/// Removes the entries of the pod's addresses, found likewise.
fn forget(request: &Del, index: Option<u32>, leases: &[Lease]) -> Result<(), Error> {
    let Some(pods) = Pods::open_if_there(&request.places.map_pin(PODS))? else {
        return Ok(());
    };
    pods.remove(|address, pod| {
        let address = IpAddr::from(*address);
        Some(pod.ifindex) == index || leases.iter().any(|lease| lease.address == address)
    })
}

/// Removes the entry of a pod whose sockets were left alone. Its namespace may be gone, and then
/// nobody asks for it again: what an interface that is gone leaves behind waits for GC.
fn forget_namespace(request: &Del, index: Option<u32>) -> Result<(), Error> {
    let pin = request.places.map_pin(PACKET_PODS);
    match PacketPods::open_if_there(&pin)? {
        Some(pods) => pods.remove(|_, held| Some(*held) == index),
        None => Ok(()),
    }
}

/// Deletes a host interface, and with it the pod's end, its routes, its neighbours and its
/// filters; fine if it is gone.
///
/// # Errors
/// When it is there and cannot be deleted.
pub(crate) fn delete_interface(link: &Link) -> Result<(), Error> {
    match Netlink::open()?.run(vec![message::delete_link(&link.name, link.index)]) {
        Err(error) if !error.is_absence() => Err(error),
        _gone => Ok(()),
    }
}
