//! DEL: removes what ADD made, as much of it as is there, and reports all that could not be
//! removed. It needs neither the pod's namespace nor a lease nor a previous result: every name
//! follows from the attachment.

use proxy_abi::ownership::map::PODS;
use proxy_abi::ownership::program::FROM_POD;

use crate::error::Error;
use crate::lease::{Lease, Leases};
use crate::message;
use crate::netlink::Netlink;
use crate::pin;
use crate::pods::Pods;
use crate::reply::Reply;
use crate::request::Del;

/// Takes a pod off the network.
///
/// # Errors
/// All that could not be removed. While the interface stands, so do its program (else the pod's
/// packets would go past it) and its leases (else another pod would get an address whose route
/// still points here): then the runtime's next DEL has all three to do.
pub(crate) fn del(request: &Del) -> Result<Reply, Error> {
    let interface = request.attachment.host_interface();
    let leases = Leases::of(&request.places.leases);
    let theirs = leases.of_owner(&request.attachment);

    // The programs must no longer send to an interface that is about to go.
    let addresses = theirs.as_deref().unwrap_or_default();
    let forgotten = forget(request, &interface, addresses);
    delete_interface(&interface)?;
    let rest = [
        forgotten,
        pin::remove(&request.places.link_pin(FROM_POD, &interface)),
        theirs.and_then(|theirs| leases.release(&theirs)),
    ];
    Error::all(rest.into_iter().filter_map(Result::err).collect())?;
    Ok(Reply::Done)
}

/// Removes the entries of the pod's addresses: those its leases name, and those that name its
/// interface, should a lease have been lost.
fn forget(request: &Del, interface: &str, leases: &[Lease]) -> Result<(), Error> {
    let Some(pods) = Pods::open_if_there(&request.places.map_pin(PODS))? else {
        return Ok(());
    };
    let index = Netlink::open()?.index(message::find_link(interface))?;
    pods.remove(|address, pod| {
        Some(pod.ifindex) == index || leases.iter().any(|lease| lease.address == address)
    })
}

/// Deletes a host interface, and with it the pod's end, its routes, its neighbours and its
/// filters; fine if there is none.
///
/// # Errors
/// When it is there and cannot be deleted.
pub(crate) fn delete_interface(name: &str) -> Result<(), Error> {
    match Netlink::open()?.run(vec![message::delete_link(name)]) {
        Err(error) if !error.is_absence() => Err(error),
        _gone => Ok(()),
    }
}
