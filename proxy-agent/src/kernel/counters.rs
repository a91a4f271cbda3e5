//! Reads the map `counters`: what the programs did, how often.

use aya::maps::{Map, MapData, PerCpuArray};
use proxy_abi::Counter;
use proxy_abi::ownership::map;

use super::pins::Pins;

/// Every counter's sum over the CPUs; nothing where there is no map.
#[must_use]
pub fn read(pins: &Pins) -> Vec<(Counter, u64)> {
    let open = || {
        let data = MapData::from_pin(pins.map(map::COUNTERS)).ok()?;
        PerCpuArray::<MapData, u64>::try_from(Map::PerCpuArray(data)).ok()
    };
    let Some(counters) = open() else {
        return Vec::new();
    };
    let sum = |counter: Counter| {
        let values = counters.get(&(counter as u32), 0).ok()?;
        Some((counter, values.iter().sum()))
    };
    Counter::ALL.into_iter().filter_map(sum).collect()
}
