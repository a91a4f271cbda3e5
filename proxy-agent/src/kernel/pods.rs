//! Reads the maps `pods`, `packet_pods` and `host_ports`, which the CNI plugin writes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use aya::maps::{HashMap, Map, MapData};
use proxy_abi::ownership::map;
use proxy_abi::{FrontendKey, HostPort, Ip, Pod};

use super::maps::MapsError;
use super::pins::Pins;

/// Every address of a pod of this node, with its pod.
///
/// # Errors
/// [`MapsError`].
pub fn pods(pins: &Pins) -> Result<BTreeMap<IpAddr, Pod>, MapsError> {
    let read = read::<Ip, Pod>(pins, map::PODS)?;
    let named = read.into_iter().map(|(ip, pod)| (ip.into(), pod));
    Ok(named.collect())
}

/// Every host port; the unspecified address of a family stands for every address of the node.
///
/// # Errors
/// [`MapsError`].
pub fn host_ports(pins: &Pins) -> Result<Vec<(FrontendKey, HostPort)>, MapsError> {
    read(pins, map::HOST_PORTS)
}

/// The interfaces of pods that said no to the socket path.
///
/// # Errors
/// [`MapsError`].
pub fn packet_pods(pins: &Pins) -> Result<BTreeSet<u32>, MapsError> {
    let read = read::<u64, u32>(pins, map::PACKET_PODS)?;
    Ok(read.into_iter().map(|(_, ifindex)| ifindex).collect())
}

fn read<K: aya::Pod, V: aya::Pod>(pins: &Pins, name: &str) -> Result<Vec<(K, V)>, MapsError> {
    let failed = |source| MapsError::new(format!("read map {name}"), source);
    let data = MapData::from_pin(pins.map(name)).map_err(failed)?;
    let map: HashMap<MapData, K, V> = Map::HashMap(data).try_into().map_err(failed)?;
    map.iter().collect::<Result<_, _>>().map_err(failed)
}
