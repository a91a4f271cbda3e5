//! The fabric as `ip -batch` lines (pure): addresses, names, cables.

use std::net::Ipv4Addr;
use std::path::Path;

/// The namespace of the bridge.
pub(super) const FABRIC: &str = "fabric";
/// The namespace of the outside client.
pub(crate) const CLIENT: &str = "client";
/// The outside client's address on the fabric.
pub(crate) const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 200);

const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);
const PREFIX: u8 = 24;

/// Something with one cable to the fabric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Names the namespace, and the bridge's end of the cable.
    pub(crate) name: String,
    /// The address of its `eth0`.
    pub(crate) address: Ipv4Addr,
}

/// Run in the fabric's namespace.
pub(super) fn bridge() -> Vec<String> {
    vec![
        "link set lo up".into(),
        "link add br0 type bridge".into(),
        format!("address add {BRIDGE_ADDRESS}/{PREFIX} dev br0"),
        "link set br0 up".into(),
    ]
}

/// Run in the fabric's namespace; `netns` is the file of the member's.
pub(super) fn cable(member: &Member, netns: &Path) -> Vec<String> {
    let name = &member.name;
    vec![
        format!(
            "link add {name} type veth peer name eth0 netns {}",
            netns.display()
        ),
        format!("link set {name} master br0 up"),
    ]
}

/// Run in the member's namespace. The default route matters also without a way out: it is what
/// carries a node's own packets for a cluster IP to the uplink, where the proxy translates them.
pub(super) fn inside(member: &Member) -> Vec<String> {
    vec![
        "link set lo up".into(),
        format!("address add {}/{PREFIX} dev eth0", member.address),
        "link set eth0 up".into(),
        format!("route add default via {BRIDGE_ADDRESS}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_gets_one_cable_and_a_default_route() {
        let member = Member {
            name: "node1".into(),
            address: [172, 30, 0, 11].into(),
        };
        let lines = cable(&member, Path::new("/run/l/netns/node1"));
        assert_eq!(
            lines[0], "link add node1 type veth peer name eth0 netns /run/l/netns/node1",
            "the far end is born in the member's namespace, never in ours"
        );
        let lines = inside(&member);
        assert!(lines.contains(&"address add 172.30.0.11/24 dev eth0".to_owned()));
        assert!(lines.contains(&"route add default via 172.30.0.1".to_owned()));
    }
}
