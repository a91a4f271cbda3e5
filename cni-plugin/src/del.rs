//! DEL: removes what ADD made, as much of it as is there, and reports all that could not be
//! removed. It needs neither the pod's namespace nor a lease nor a previous result: every name
//! follows from the attachment.

use nix::errno::Errno;
use proxy_abi::ownership::program::FROM_POD;

use crate::error::Error;
use crate::lease::Leases;
use crate::message;
use crate::netlink::Netlink;
use crate::program;
use crate::reply::Reply;
use crate::request::Del;

/// Takes a pod off the network.
///
/// # Errors
/// All that could not be removed. While the interface stands, so do its program (else the pod's
/// packets would go past it) and its lease (else another pod would get an address whose route
/// still points here): then the runtime's next DEL has all three to do.
pub(crate) fn del(request: &Del) -> Result<Reply, Error> {
    let interface = request.attachment.host_interface();
    delete_interface(&interface)?;
    let rest = [
        program::unpin(&request.places.link_pin(FROM_POD, &interface)),
        Leases::of(&request.places.leases)
            .release(&request.attachment)
            .map(drop),
    ];
    Error::all(rest.into_iter().filter_map(Result::err).collect())?;
    Ok(Reply::Done)
}

/// Deletes a host interface, and with it the pod's end, its routes and its neighbours; fine if
/// there is none.
///
/// # Errors
/// When it is there and cannot be deleted.
pub(crate) fn delete_interface(name: &str) -> Result<(), Error> {
    match Netlink::open()?.run(vec![message::delete_link(name)]) {
        Err(error) if error.errno() != Some(Errno::ENODEV as i32) => Err(error),
        _gone => Ok(()),
    }
}
