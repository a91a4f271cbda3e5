//! The network under the cluster: one bridge or router in a namespace of its own, and every node
//! and the outside client joined to it by a veth. The machine's own namespace gets nothing.

mod command;
mod layout;

use std::fs;
use std::io;
use std::path::Path;

pub(crate) use command::ip_batch_in;
pub(crate) use layout::{CLIENT, Member};

use crate::namespaces;
use crate::network::Network;
use crate::places::Places;

/// Makes the fabric and joins `members` to it. Their namespaces must not exist yet.
pub(crate) fn build(places: &Places, network: &Network, members: &[Member]) -> io::Result<()> {
    let fabric = places.netns(layout::FABRIC);
    namespaces::create_netns(&fabric)?;
    for member in members {
        namespaces::create_netns(&places.netns(&member.name))?;
    }
    set_in(&fabric, layout::hub_parameters(network))?;
    ip_batch_in(&fabric, &layout::hub(network))?;
    for member in members {
        let netns = places.netns(&member.name);
        ip_batch_in(&fabric, &layout::cable(network, member, &netns))?;
        set_in(&netns, layout::inside_parameters(network))?;
        ip_batch_in(&netns, &layout::inside(member))?;
    }
    Ok(())
}

/// Sets kernel parameters of the namespace kept at `netns`: `/proc/sys/net` shows each thread
/// those of its own.
fn set_in(netns: &Path, parameters: Vec<layout::Parameter>) -> io::Result<()> {
    namespaces::inside(netns, || {
        for (name, value) in parameters {
            let file = Path::new("/proc/sys/net").join(name);
            fs::write(&file, value).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", file.display()))
            })?;
        }
        Ok(())
    })
}
