//! Reads and changes our VXLAN devices and their tables.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::VxlanDf;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVxlan};

use super::routes::{Netlink, NetlinkError};
use crate::plan::interfaces::Interfaces;
use crate::plan::mac::Mac;
use crate::plan::tunnels::{Device, Operation, Tunnel, Tunnels};

type Outcome = Result<(), rtnetlink::Error>;

impl Netlink {
    /// Our tunnels among the interfaces, with what they know.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn tunnels(&self, interfaces: &Interfaces) -> Result<Tunnels, NetlinkError> {
        let ours = interfaces.values().filter(|one| one.is_tunnel());
        let mut tunnels: BTreeMap<u32, (String, Tunnel)> = ours
            .map(|one| {
                let tunnel = Tunnel {
                    // Something else under our name is a device that nobody wants.
                    device: one.vxlan.unwrap_or_default(),
                    mtu: one.mtu,
                    up: one.up,
                    neighbours: BTreeMap::new(),
                    outer: BTreeMap::new(),
                };
                (one.ifindex, (one.name.clone(), tunnel))
            })
            .collect();
        if tunnels.is_empty() {
            return Ok(Tunnels::new());
        }
        let failed = |source| NetlinkError::new("list neighbours", source);
        for family in [
            AddressFamily::Bridge,
            AddressFamily::Inet,
            AddressFamily::Inet6,
        ] {
            let request = self.handle().neighbours().get().set_address_family(family);
            let mut stream = request.execute();
            while let Some(message) = stream.try_next().await.map_err(failed)? {
                if let Some((_, tunnel)) = tunnels.get_mut(&message.header.ifindex) {
                    note(tunnel, &message);
                }
            }
        }
        Ok(tunnels.into_values().collect())
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// [`NetlinkError`], naming the operation.
    pub async fn change_tunnel(&self, operation: &Operation) -> Result<(), NetlinkError> {
        let failed = |source| NetlinkError::new(operation.to_string(), source);
        self.try_change(operation).await.map_err(failed)
    }

    async fn try_change(&self, operation: &Operation) -> Outcome {
        let link = self.handle().link();
        let named = |name: &str| LinkUnspec::new_with_name(name);
        match operation {
            Operation::Create(name, device, mtu) => {
                link.add(creation(name, device, *mtu)).execute().await
            }
            Operation::SetUp(name) => {
                prepare(name).map_err(|error| io_error(&error))?;
                link.set(named(name).up().build()).execute().await
            }
            Operation::SetMtu(name, mtu) => link.set(named(name).mtu(*mtu).build()).execute().await,
            Operation::Delete(name) => match index(name) {
                Ok(index) => link.del(index).execute().await,
                Err(_gone) => Ok(()),
            },
            Operation::PutOuter(name, mac, outer) => {
                let neighbours = self.handle().neighbours();
                let entry = neighbours
                    .add_bridge(index(name)?, &mac.0)
                    .destination(*outer)
                    .flags(NeighbourFlags::Own);
                entry.replace().execute().await
            }
            Operation::RemoveOuter(name, mac, outer) => {
                let mut message = entry(AddressFamily::Bridge, index(name)?, *outer);
                message.header.flags = NeighbourFlags::Own;
                let mac = NeighbourAttribute::LinkLayerAddress(mac.0.to_vec());
                message.attributes.push(mac);
                self.handle().neighbours().del(message).execute().await
            }
            Operation::PutNeighbour(name, hop, mac) => {
                let neighbours = self.handle().neighbours();
                let entry = neighbours
                    .add(index(name)?, *hop)
                    .link_layer_address(&mac.0);
                entry.replace().execute().await
            }
            Operation::RemoveNeighbour(name, hop) => {
                let family = match hop {
                    IpAddr::V4(_) => AddressFamily::Inet,
                    IpAddr::V6(_) => AddressFamily::Inet6,
                };
                let message = entry(family, index(name)?, *hop);
                self.handle().neighbours().del(message).execute().await
            }
        }
    }
}

/// Enters what the kernel says of a tunnel. What is not permanent is the kernel's own.
fn note(tunnel: &mut Tunnel, message: &NeighbourMessage) {
    let attributes = || message.attributes.iter();
    let mac = attributes().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => Mac::from_bytes(bytes),
        _ => None,
    });
    let address = attributes().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(address) => ip(address),
        _ => None,
    });
    let permanent = message.header.state == NeighbourState::Permanent;
    if let (true, Some(mac), Some(address)) = (permanent, mac, address) {
        match message.header.family {
            AddressFamily::Bridge => _ = tunnel.outer.insert(mac, address),
            _ => _ = tunnel.neighbours.insert(address, mac),
        }
    }
}

/// An address, which in a bridge's message shows its family by its length alone.
fn ip(address: &NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        NeighbourAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        NeighbourAddress::Other(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes.as_slice()).ok().map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(bytes.as_slice()).ok();
            v4.or_else(|| v6().map(IpAddr::from))
        }
        _ => None,
    }
}

fn entry(family: AddressFamily, index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    let address = NeighbourAttribute::Destination(address.into());
    message.attributes.push(address);
    message
}

fn creation(name: &str, device: &Device, mtu: u32) -> rtnetlink::packet_route::link::LinkMessage {
    let df = match device.fragments {
        true => VxlanDf::Unset,
        false => VxlanDf::Inherit,
    };
    let builder = LinkMessageBuilder::<LinkVxlan>::new(name)
        .id(device.vni)
        .port(device.port)
        .learning(device.learns)
        .df(df)
        .address(device.mac.0.to_vec())
        .mtu(mtu);
    match device.local {
        Some(IpAddr::V4(local)) => builder.local(local).build(),
        Some(IpAddr::V6(local)) => builder.local6(local).build(),
        None => builder.build(),
    }
}

/// What must be so before the first packet: IPv6, but no address nor talk of the device's own;
/// and no check that the route back leads here, because replies come with the address of a
/// frontend (see `sysctl`).
fn prepare(name: &str) -> io::Result<()> {
    let parameters = [
        ("ipv6", "disable_ipv6", "0"),
        ("ipv6", "addr_gen_mode", "1"),
        ("ipv4", "rp_filter", "0"),
    ];
    for (family, parameter, value) in parameters {
        let path = format!("/proc/sys/net/{family}/conf/{name}/{parameter}");
        match fs::write(path, value) {
            // A kernel without IPv6, or a device too small for it.
            Err(error) if family == "ipv6" && error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// An interface's index now. It may have been made a moment ago.
pub(super) fn index(name: &str) -> Result<u32, rtnetlink::Error> {
    let name = std::ffi::CString::new(name).map_err(|error| io_error(&error.into()))?;
    // SAFETY: the name is NUL-terminated and alive for the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io_error(&io::Error::last_os_error())),
        index => Ok(index),
    }
}

/// As the kernel would have said it.
fn io_error(error: &io::Error) -> rtnetlink::Error {
    let mut message = rtnetlink::packet_core::ErrorMessage::default();
    let code = error.raw_os_error().unwrap_or(libc::EIO);
    message.code = std::num::NonZeroI32::new(-code);
    rtnetlink::Error::NetlinkError(message)
}
