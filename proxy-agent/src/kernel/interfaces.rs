//! Reads the node's interfaces with their addresses, and where default routes lead.

use std::net::IpAddr;

use futures::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{
    InfoData, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, VxlanDf,
};

use super::routes::{Netlink, NetlinkError};
use crate::plan::interfaces::{Interface, Interfaces};
use crate::plan::mac::Mac;
use crate::plan::tunnels::Device;

impl Netlink {
    /// Every interface of this network namespace, with its addresses.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn interfaces(&self) -> Result<Interfaces, NetlinkError> {
        let failed = |source| NetlinkError::new("list interfaces", source);
        let mut interfaces = Vec::new();
        let mut stream = self.handle().link().get().execute();
        while let Some(message) = stream.try_next().await.map_err(failed)? {
            interfaces.push(interface(&message));
        }
        let failed = |source| NetlinkError::new("list addresses", source);
        let mut stream = self.handle().address().get().execute();
        while let Some(message) = stream.try_next().await.map_err(failed)? {
            let index = message.header.index;
            let address = own_address(&message)
                .and_then(|address| IpNet::new(address, message.header.prefix_len).ok());
            let holder = interfaces.iter_mut().find(|one| one.ifindex == index);
            if let (Some(address), Some(holder)) = (address, holder) {
                holder.addresses.push(address);
            }
        }
        let named = interfaces.into_iter().map(|one| (one.name.clone(), one));
        Ok(named.collect())
    }

    /// Deletes an interface; a pod's veth goes with its other end. Gone is deleted.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn delete_interface(&self, name: &str, ifindex: u32) -> Result<(), NetlinkError> {
        match self.handle().link().del(ifindex).execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => {
                Ok(())
            }
            done => done.map_err(|source| NetlinkError::new(format!("delete {name}"), source)),
        }
    }
}

fn interface(message: &LinkMessage) -> Interface {
    let mut interface = Interface {
        ifindex: message.header.index,
        up: message.header.flags.contains(LinkFlags::Up),
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        ..Interface::default()
    };
    let mut mac = Mac::default();
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(bytes) => interface.mtu = *bytes,
            LinkAttribute::Address(bytes) => mac = Mac::from_bytes(bytes).unwrap_or_default(),
            LinkAttribute::LinkInfo(infos) => interface.vxlan = infos.iter().find_map(vxlan),
            _ => {}
        }
    }
    if let Some(device) = &mut interface.vxlan {
        device.mac = mac;
    }
    interface
}

fn vxlan(info: &LinkInfo) -> Option<Device> {
    let LinkInfo::Data(InfoData::Vxlan(facts)) = info else {
        return None;
    };
    let mut device = Device::default();
    for fact in facts {
        match fact {
            InfoVxlan::Id(vni) => device.vni = *vni,
            InfoVxlan::Port(port) => device.port = *port,
            InfoVxlan::Local(local) => device.local = Some(IpAddr::V4(*local)),
            InfoVxlan::Local6(local) => device.local = Some(IpAddr::V6(*local)),
            InfoVxlan::Learning(learns) => device.learns = *learns,
            InfoVxlan::Df(df) => device.fragments = *df == VxlanDf::Unset,
            _ => {}
        }
    }
    Some(device)
}

/// The interface's own address. On a point-to-point link `Address` is the peer's (rtnetlink(7)).
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let attributes = || message.attributes.iter();
    let local = attributes().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let any = || {
        attributes().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    };
    local.or_else(any)
}
