//! What the programs count, read from the kernel whenever somebody asks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::kernel::counters;
use crate::kernel::pins::Pins;

/// The map `counters`.
#[derive(Debug)]
pub(super) struct Counters(pub(super) Pins);

impl Collector for Counters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "flatnet_counters",
            "Packets and sockets by what the programs did to them",
            None,
            MetricType::Counter,
        )?;
        for (counter, value) in counters::read(&self.0) {
            let labels = [("reason", counter.name())];
            let one = family.encode_family(&labels)?;
            ConstCounter::new(value).encode(one)?;
        }
        Ok(())
    }
}
