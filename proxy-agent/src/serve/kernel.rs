//! What the programs count, read from the kernel whenever somebody asks.

use std::fmt;

use aya::maps::{Map, MapData, PerCpuArray};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use proxy_abi::Counter;
use proxy_abi::ownership::map;

use crate::kernel::pins::Pins;

/// The map `counters`.
#[derive(Debug)]
pub(super) struct Counters(pub(super) Pins);

impl Counters {
    /// Every counter's sum over the CPUs; nothing where there is no map.
    fn read(&self) -> Vec<(&'static str, u64)> {
        let open = || {
            let data = MapData::from_pin(self.0.map(map::COUNTERS)).ok()?;
            PerCpuArray::<MapData, u64>::try_from(Map::PerCpuArray(data)).ok()
        };
        let Some(counters) = open() else {
            return Vec::new();
        };
        let sum = |counter: Counter| {
            let values = counters.get(&(counter as u32), 0).ok()?;
            Some((counter.name(), values.iter().sum()))
        };
        Counter::ALL.into_iter().filter_map(sum).collect()
    }
}

impl Collector for Counters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "flatnet_counters",
            "Packets and sockets by what the programs did to them",
            None,
            MetricType::Counter,
        )?;
        for (reason, value) in self.read() {
            let labels = [("reason", reason)];
            let one = family.encode_family(&labels)?;
            ConstCounter::new(value).encode(one)?;
        }
        Ok(())
    }
}
