//! Reads and writes the maps `node_addresses`, `inside`, `uplinks` and `this_node`: their only
//! writer.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData};
use proxy_abi::ownership::map;
use proxy_abi::{Cidr, Inside, Ip, NodeAddress, ThisNode, Uplink};

use super::maps::{MapsError, removed};
use super::pins::Pins;
use crate::plan::node_maps::{NodeMaps, Operation};

/// The four maps, open.
pub struct Open {
    addresses: HashMap<MapData, Ip, NodeAddress>,
    inside: LpmTrie<MapData, Ip, Inside>,
    uplinks: HashMap<MapData, u32, Uplink>,
    this: Array<MapData, ThisNode>,
}

impl Open {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// [`MapsError`]; also if a map of that name has another shape.
    pub fn new(pins: &Pins) -> Result<Self, MapsError> {
        let open = |name: &str| {
            let doing = format!("open map {name}");
            MapData::from_pin(pins.map(name)).map_err(|source| MapsError::new(doing, source))
        };
        let shape = |name: &str| {
            let doing = format!("use map {name}");
            move |source| MapsError::new(doing, source)
        };
        Ok(Self {
            addresses: Map::HashMap(open(map::NODE_ADDRESSES)?)
                .try_into()
                .map_err(shape(map::NODE_ADDRESSES))?,
            inside: Map::LpmTrie(open(map::INSIDE)?)
                .try_into()
                .map_err(shape(map::INSIDE))?,
            uplinks: Map::HashMap(open(map::UPLINKS)?)
                .try_into()
                .map_err(shape(map::UPLINKS))?,
            this: Map::Array(open(map::THIS_NODE)?)
                .try_into()
                .map_err(shape(map::THIS_NODE))?,
        })
    }

    /// What the maps hold.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn observe(&self) -> Result<NodeMaps, MapsError> {
        let failed = |source| MapsError::new("read what the programs know of this node", source);
        let inside = self.inside.iter().map(|entry| {
            let (key, whose) = entry?;
            let cidr = Cidr {
                bits: key.prefix_len(),
                address: key.data(),
            };
            Ok((cidr, whose))
        });
        Ok(NodeMaps {
            addresses: self
                .addresses
                .iter()
                .collect::<Result<_, _>>()
                .map_err(failed)?,
            inside: inside.collect::<Result<_, _>>().map_err(failed)?,
            uplinks: self
                .uplinks
                .iter()
                .collect::<Result<_, _>>()
                .map_err(failed)?,
            this: self.this.get(&0, 0).map_err(failed)?,
        })
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// [`MapsError`], naming the operation.
    pub fn apply(&mut self, operation: &Operation) -> Result<(), MapsError> {
        let key = |cidr: &Cidr| Key::new(cidr.bits, cidr.address);
        let done = match operation {
            Operation::PutAddress(address, value) => self.addresses.insert(address, value, 0),
            Operation::PutInside(cidr, whose) => self.inside.insert(&key(cidr), whose, 0),
            Operation::PutUplink(ifindex, uplink) => self.uplinks.insert(ifindex, uplink, 0),
            Operation::RemoveAddress(address) => removed(self.addresses.remove(address)).map(drop),
            Operation::RemoveInside(cidr) => removed(self.inside.remove(&key(cidr))).map(drop),
            Operation::PutThis(this) => self.this.set(0, this, 0),
            Operation::RemoveUplink(ifindex) => removed(self.uplinks.remove(ifindex)).map(drop),
        };
        done.map_err(|source| MapsError::new(operation.to_string(), source))
    }
}
