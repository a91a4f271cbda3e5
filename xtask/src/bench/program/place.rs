//! Who is where on the node whose programs are run.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::frame_of::{Mac, Segment};
use super::runner::{Hook, Node};
use crate::bench::cluster::Cluster;
use crate::bench::load::PORTS;
use crate::bench::namespace::inside;
use crate::process;

const NODE: &str = "node2";
/// Where an agent pins programs below a bpffs.
const PROGRAMS: &str = "flatnet/programs";
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is where.
pub(in crate::bench) struct Place {
    pub(in crate::bench) node: Node,
    /// The server's first port, on the other node.
    pub(in crate::bench) server: SocketAddrV4,
    pub(super) pod: Interface,
    /// The pod's address.
    pod_address: Ipv4Addr,
    pub(super) uplink: Interface,
    pub(super) node_address: Ipv4Addr,
    pod_netns: PathBuf,
}

/// An interface as `ip -j link` shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    pub(super) index: u32,
    /// The index of the other end of a veth.
    pub(super) peer: u32,
    pub(super) mac: Mac,
}

impl Place {
    /// Asks the lab.
    ///
    /// # Errors
    /// When a pod does not run.
    pub(in crate::bench) fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let address = |object: &str, path: &str| -> anyhow::Result<Ipv4Addr> {
            cluster.field(object, path)?.parse().context("an address")
        };
        let (netns, pod_netns) = (cluster.netns(NODE)?, cluster.pod_netns("far")?);
        Ok(Self {
            server: SocketAddrV4::new(address("pod/server", ".status.podIP")?, PORTS[0]),
            pod: interface(&pod_netns)?,
            pod_address: address("pod/far", ".status.podIP")?,
            uplink: interface(&netns)?,
            node_address: address(&format!("node/{NODE}"), ".status.addresses[0].address")?,
            node: Node {
                netns,
                programs: cluster.bpffs(NODE)?.join(PROGRAMS),
            },
            pod_netns,
        })
    }

    /// Makes sure that the node knows its neighbour: without it every packet is the stack's.
    ///
    /// # Errors
    /// When that does not come about.
    pub(in crate::bench) fn settle(&self) -> anyhow::Result<()> {
        let to = self.server;
        inside(&self.pod_netns, || {
            // Nobody listens there: a refusal is an answer.
            let answer = std::net::TcpStream::connect_timeout(&to.into(), PATIENCE);
            let refused =
                |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
            ensure!(
                answer.as_ref().err().is_none_or(refused),
                "{to} does not answer: {answer:?}"
            );
            Ok(())
        })
    }

    pub(super) fn pods_hook(&self) -> Hook {
        Hook {
            program: "from_pod",
            interface: self.pod.peer,
            came_by: self.pod.peer,
        }
    }

    pub(super) fn networks_hook(&self) -> Hook {
        Hook {
            program: "from_network",
            interface: self.uplink.index,
            came_by: self.uplink.index,
        }
    }

    pub(super) fn to_network(&self, came_by: u32) -> Hook {
        Hook {
            program: "to_network",
            interface: self.uplink.index,
            came_by,
        }
    }

    pub(super) fn pod_port(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.pod_address, port)
    }

    pub(super) fn sent_by_pod(&self, from: SocketAddrV4, to: SocketAddrV4, flags: u8) -> Segment {
        Segment {
            macs: (self.pod.mac, [2, 0, 0, 0, 0, 8]),
            from,
            to,
            flags,
        }
    }
}

/// `eth0` of a namespace.
fn interface(netns: &std::path::Path) -> anyhow::Result<Interface> {
    let mut command = Command::new("ip");
    command.args(["-j", "link", "show", "eth0"]);
    let shown = inside(netns, || process::capture(&mut command))?;
    read_interface(&shown).with_context(|| format!("no interface: {shown}"))
}

fn read_interface(json: &str) -> Option<Interface> {
    let shown: Value = serde_json::from_str(json).ok()?;
    let number = |key: &str| u32::try_from(shown[0][key].as_u64()?).ok();
    let octets = shown[0]["address"].as_str()?.split(':');
    let octets: Option<Vec<u8>> = octets
        .map(|text| u8::from_str_radix(text, 16).ok())
        .collect();
    Some(Interface {
        index: number("ifindex")?,
        peer: number("link_index")?,
        mac: octets?.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_read_as_ip_shows_it() {
        let json =
            r#"[{"ifindex":2,"link_index":7,"ifname":"eth0","address":"0a:00:00:00:00:ff"}]"#;
        let read = read_interface(json).expect("an interface");
        assert_eq!((read.index, read.peer, read.mac[5]), (2, 7, 255));
        for wrong in [
            "",
            "[]",
            r#"[{"ifindex":2,"link_index":7,"address":"0a:00"}]"#,
        ] {
            assert!(read_interface(wrong).is_none(), "{wrong}");
        }
    }
}
