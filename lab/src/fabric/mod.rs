//! The network under the cluster: one bridge in a namespace of its own, and every node and the
//! outside client joined to it by a veth. The machine's own namespace gets nothing.

mod command;
mod layout;

use std::io;

pub(crate) use command::ip_batch_in;
pub(crate) use layout::{CLIENT, CLIENT_ADDRESS, Member};

use crate::namespaces;
use crate::places::Places;

/// Makes the fabric and joins `members` to it. Their namespaces must not exist yet.
pub(crate) fn build(places: &Places, members: &[Member]) -> io::Result<()> {
    let fabric = places.netns(layout::FABRIC);
    namespaces::create_netns(&fabric)?;
    for member in members {
        namespaces::create_netns(&places.netns(&member.name))?;
    }
    ip_batch_in(&fabric, &layout::bridge())?;
    for member in members {
        let netns = places.netns(&member.name);
        ip_batch_in(&fabric, &layout::cable(member, &netns))?;
        ip_batch_in(&netns, &layout::inside(member))?;
    }
    Ok(())
}
