//! Removes clients of Service ports that keep none any more from the map `affinity`.

use aya::maps::{HashMap, Map, MapData};
use proxy_abi::ownership::map;
use proxy_abi::{Affinity, Client};

use super::maps::{MapsError, removed};
use super::pins::Pins;
use super::walk::{read, walk};
use crate::plan::flows::Clients;

/// Removes what is under numbers that are gone, and returns how many entries that were.
///
/// # Errors
/// [`MapsError`].
pub fn forget(pins: &Pins, clients: &Clients) -> Result<u64, MapsError> {
    let failed = |source| MapsError::new(format!("clean map {}", map::AFFINITY), source);
    let open = || MapData::from_pin(pins.map(map::AFFINITY)).map_err(failed);
    let mut gone = Vec::new();
    let seen = walk(&open()?, |key, _| {
        let client = read(key).filter(|client: &Client| clients.are_gone(client.service));
        gone.extend(client);
    });
    seen.map_err(failed)?;
    if gone.is_empty() {
        return Ok(0);
    }
    let map = Map::LruHashMap(open()?);
    let mut affinity: HashMap<MapData, Client, Affinity> = map.try_into().map_err(failed)?;
    let mut count = 0;
    for client in &gone {
        count += u64::from(removed(affinity.remove(client)).map_err(failed)?);
    }
    Ok(count)
}
