//! What on a node is flatnet's, and how it is recognised: names, pins, numbers.
//!
//! The code that makes a thing and the code that recognises it (to repair or remove it) both read
//! it here, so that the two cannot drift apart. What does not carry one of these marks is not
//! ours and is never touched.

/// Folder below a bpffs mount that holds all pins: `maps/`, `programs/`, `links/`.
pub const PIN_ROOT: &str = "flatnet";
/// Pinned maps, one file a map, named as [`map::Pin`] says.
pub const PIN_MAPS: &str = "maps";
/// Pinned programs, one file a program, named as in [`program`].
pub const PIN_PROGRAMS: &str = "programs";
/// Pinned links: `<program>` for one a node, `<program>-<interface>` for one an interface.
pub const PIN_LINKS: &str = "links";

/// Names of the maps, as the object file and the pins have them.
pub mod map {
    use core::fmt;

    /// [`crate::FrontendKey`] -> [`crate::Frontend`].
    pub const FRONTENDS: &str = "frontends";
    /// Slot (u32) -> [`crate::Endpoint`].
    pub const ENDPOINTS: &str = "endpoints";
    /// [`crate::FlowKey`] -> [`crate::Flow`].
    pub const FLOWS: &str = "flows";
    /// The same, for conversations that have just begun.
    pub const OPENINGS: &str = "openings";
    /// [`crate::FlowKey`] -> [`crate::Way`].
    pub const WAYS: &str = "ways";
    /// [`crate::SocketPeer`] -> [`crate::Endpoint`].
    pub const SOCKET_PEERS: &str = "socket_peers";
    /// [`crate::Ip`] -> [`crate::Pod`].
    pub const PODS: &str = "pods";
    /// A pod's network namespace (u64) -> its interface (u32), see [`crate::socket`].
    pub const PACKET_PODS: &str = "packet_pods";
    /// [`crate::FrontendKey`] -> [`crate::HostPort`].
    pub const HOST_PORTS: &str = "host_ports";
    /// [`crate::Ip`] -> [`crate::NodeAddress`].
    pub const NODE_ADDRESSES: &str = "node_addresses";
    /// [`crate::Cidr`] -> [`crate::Inside`].
    pub const INSIDE: &str = "inside";
    /// Interface index (u32) -> [`crate::Uplink`].
    pub const UPLINKS: &str = "uplinks";
    /// 0 (u32) -> [`crate::ThisNode`].
    pub const THIS_NODE: &str = "this_node";
    /// [`crate::Client`] -> [`crate::Affinity`].
    pub const AFFINITY: &str = "affinity";
    /// [`crate::FragmentKey`] -> [`crate::FragmentPorts`].
    pub const FRAGMENTS: &str = "fragments";
    /// [`crate::SourceRange`] -> u32.
    pub const SOURCE_RANGES: &str = "source_ranges";
    /// [`crate::Counter`] -> u64 on each CPU.
    pub const COUNTERS: &str = "counters";
    /// Slot (u32, see [`crate::earlier`]) -> program. The one that is not pinned.
    pub const EARLIER: &str = "earlier";

    /// The layout of each map's keys and values: to be counted up with every change of their
    /// bytes or of what these mean. A map of another layout is another map, pinned beside the old
    /// one until no program uses that any more. [`ENDPOINTS`] has the layout of [`FRONTENDS`], see
    /// [`owner`].
    pub const LAYOUTS: [(&str, u32); 16] = [
        // 2: four times as many fit.
        (FRONTENDS, 2),
        (FLOWS, 1),
        (OPENINGS, 1),
        // 2: an array of slots.
        (WAYS, 2),
        (SOCKET_PEERS, 1),
        (PODS, 1),
        (PACKET_PODS, 1),
        (HOST_PORTS, 1),
        (NODE_ADDRESSES, 1),
        // 2: values have a meaning.
        (INSIDE, 2),
        (UPLINKS, 1),
        (THIS_NODE, 1),
        (AFFINITY, 1),
        (FRAGMENTS, 1),
        (SOURCE_RANGES, 1),
        (COUNTERS, 1),
    ];

    /// The map that says which elements of this one are in use: itself, but for slots, which
    /// frontends name. A new map of frontends needs new slots: those of the old one would look
    /// free, and be written to under the programs that still use them.
    #[must_use]
    pub fn owner(name: &str) -> &str {
        if name == ENDPOINTS { FRONTENDS } else { name }
    }

    /// The layout of a map.
    #[must_use]
    pub fn layout(name: &str) -> u32 {
        let row = LAYOUTS.iter().find(|(known, _)| *known == owner(name));
        row.map_or(1, |(_, layout)| *layout)
    }

    /// The file name of a map's pin: its name, and from the second layout on `-` and the layout.
    #[derive(Clone, Copy, Debug)]
    pub struct Pin<'a> {
        /// The map.
        pub name: &'a str,
        /// Its layout.
        pub layout: u32,
    }

    impl<'a> Pin<'a> {
        /// The pin of a map in the layout that this code knows.
        #[must_use]
        pub fn of(name: &'a str) -> Self {
            let layout = layout(name);
            Self { name, layout }
        }
    }

    impl fmt::Display for Pin<'_> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self { name, layout } = self;
            match layout {
                1 => out.write_str(name),
                _ => write!(out, "{name}-{layout}"),
            }
        }
    }
}

/// Names of the programs, as the object file and the pins have them.
pub mod program {
    /// tcx ingress on the host end of each pod's veth.
    pub const FROM_POD: &str = "from_pod";
    /// Egress on the host end of each pod's veth.
    pub const TO_POD: &str = "to_pod";
    /// tcx ingress on each uplink.
    pub const FROM_NETWORK: &str = "from_network";
    /// tcx egress on each uplink.
    pub const TO_NETWORK: &str = "to_network";
    /// cgroup connect() of IPv4 sockets.
    pub const CONNECT4: &str = "connect4";
    /// cgroup connect() of IPv6 sockets.
    pub const CONNECT6: &str = "connect6";
    /// cgroup sendmsg() with an address, of IPv4 sockets.
    pub const SENDMSG4: &str = "sendmsg4";
    /// cgroup sendmsg() with an address, of IPv6 sockets.
    pub const SENDMSG6: &str = "sendmsg6";
    /// cgroup recvmsg() of IPv4 sockets.
    pub const RECVMSG4: &str = "recvmsg4";
    /// cgroup recvmsg() of IPv6 sockets.
    pub const RECVMSG6: &str = "recvmsg6";
    /// cgroup getpeername() of IPv4 sockets.
    pub const GETPEERNAME4: &str = "getpeername4";
    /// cgroup getpeername() of IPv6 sockets.
    pub const GETPEERNAME6: &str = "getpeername6";
}

/// The host end of a pod's veth is named this and twelve hexadecimal digits.
pub const HOST_INTERFACE_PREFIX: &str = "fn";

/// `rtm_protocol` of every route that flatnet writes (rtnetlink(7); values above RTPROT_STATIC
/// are for routing daemons, and iproute2 and FRR leave this one unassigned).
pub const ROUTE_PROTOCOL: u8 = 170;

/// Routing table of the ways by which pods reach the addresses of nodes behind a tunnel.
pub const TUNNEL_TABLE: u8 = 170;
/// Priority of the rules that lead pods' packets to [`TUNNEL_TABLE`]: before the table `main`'s.
/// They carry [`ROUTE_PROTOCOL`].
pub const TUNNEL_RULE_PRIORITY: u32 = 17_000;

/// VXLAN devices, by the family of the outer packets. (Not beginning as the host end of a pod's
/// veth does.)
pub const TUNNEL_V4: &str = "flatnet-vxlan4";
/// See [`TUNNEL_V4`].
pub const TUNNEL_V6: &str = "flatnet-vxlan6";
/// VXLAN network identifier of both. (1 is flannel's, and Cilium's begin at 2.)
pub const TUNNEL_VNI: u32 = 0x00f1_a7e7;
/// UDP port of VXLAN unless told otherwise: Linux' own default, which firewalls of clusters know,
/// rather than IANA's 4789.
pub const TUNNEL_PORT: u16 = 8472;

/// The pod's next hop: link-local, on no interface; the pod holds a permanent neighbour entry
/// for it, so nobody is ever asked for it.
pub const POD_NEXT_HOP_V4: [u8; 4] = [169, 254, 1, 1];

/// The pod's IPv6 next hop, likewise: `fe80::1`.
pub const POD_NEXT_HOP_V6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Handle and priority of the direct-action filter with which a program is attached to an
/// interface's clsact qdisc (`tc filter show dev DEV ingress`): ours is the filter at these.
pub const FILTER_HANDLE: u32 = 1;
/// See [`FILTER_HANDLE`]. Low, so that it comes before what others add.
pub const FILTER_PRIORITY: u16 = 1;

/// The CNI configuration file that the agent writes when the node works.
pub const CNI_CONFIG_FILE: &str = "10-flatnet.conflist";
/// The network's name in that file, and the IPAM folder's.
pub const CNI_NETWORK: &str = "flatnet";
/// The plugin's type in that file: the name of the binary in the runtime's CNI folder.
pub const CNI_TYPE: &str = "flatnet-cni";
/// The annotation with which a pod says `false` to the socket path: its connections are then
/// translated packet by packet, and what connect() was told is what the pod's own proxies see.
pub const SOCKET_PATH_ANNOTATION: &str = "flatnet.dev/socket-lb";
/// The capability by which runtimes hand a pod's annotations to a plugin (containerd 1.5, CRI-O 1.28).
pub const ANNOTATIONS_CAPABILITY: &str = "io.kubernetes.cri.pod-annotations";
/// The Unix socket of the node's agent, for `flatnet`, unless told otherwise.
pub const AGENT_SOCKET: &str = "/run/flatnet/agent.sock";
/// Where bpffs is mounted unless told otherwise.
pub const DEFAULT_BPFFS: &str = "/sys/fs/bpf";

#[cfg(test)]
mod tests {
    use super::map::{self, Pin};

    #[test]
    fn a_pin_names_its_layout_from_the_second_on() {
        let text = |layout| {
            let name = map::FLOWS;
            Pin { name, layout }.to_string()
        };
        assert_eq!(text(1), "flows");
        assert_eq!(text(2), "flows-2");
        assert_eq!(Pin::of(map::FLOWS).layout, map::layout(map::FLOWS));
        assert_eq!(Pin::of(map::WAYS).to_string(), "ways-2");
    }
}
