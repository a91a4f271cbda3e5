//! The peer `bare`: pods with nothing in between. They have no node: the near client hangs on the
//! server by a veth pair, the far one and the server on the fabric.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::bench::namespace::{self, Room};
use crate::bench::network::{Variant, cable, up, variant};
use crate::bench::plugin::INTERFACE;

/// Makes them.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn bare(room: &Room, fabric: &Path) -> anyhow::Result<Variant> {
    let mut pods = Vec::new();
    for name in ["bare-server", "bare-near", "bare-far"] {
        let netns = room.create_netns(name)?;
        namespace::ip(&netns, &["link set lo up".to_owned()])?;
        pods.push(netns);
    }
    let [server, near, far] =
        <[PathBuf; 3]>::try_from(pods).map_err(|pods| anyhow::anyhow!("{} pods", pods.len()))?;
    namespace::ip(&near, &pair(&server))?;
    namespace::ip(&server, &up("near", "10.247.1.1/24"))?;
    for (name, netns, host) in [("bare-server", &server, 1), ("bare-far", &far, 2)] {
        namespace::ip(fabric, &cable(name, netns))?;
        namespace::ip(netns, &up(INTERFACE, &format!("10.247.2.{host}/24")))?;
    }
    let addresses = (IpAddr::from([10, 247, 1, 1]), IpAddr::from([10, 247, 2, 1]));
    variant("bare", &server, (near, far), addresses)
}

/// In the near client of `bare`: the veth pair to the server.
fn pair(server: &Path) -> Vec<String> {
    let server = server.display();
    let mut lines = vec![format!(
        "link add {INTERFACE} type veth peer name near netns {server}"
    )];
    lines.extend(up(INTERFACE, "10.247.1.2/24"));
    lines
}
