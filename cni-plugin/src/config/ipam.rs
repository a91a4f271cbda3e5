//! The `ipam` section, as `host-local` reads it.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use super::{invalid, unsupported};
use crate::error::Error;
use crate::range::{Bounds, Range, RangeError, RangeSet};

/// The section as it came.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ipam {
    /// Folder of the networks' lease folders.
    pub(super) data_dir: Option<PathBuf>,
    #[serde(default)]
    ranges: Vec<Vec<RangeConfig>>,
    #[serde(flatten)]
    single: RangeConfig,
}

/// One range; also the old form of `ipam` with a single one inlined.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RangeConfig {
    subnet: Option<IpNet>,
    range_start: Option<IpAddr>,
    range_end: Option<IpAddr>,
    gateway: Option<IpAddr>,
}

impl Ipam {
    /// See [`super::Config::range_sets`].
    pub(super) fn range_sets(&self) -> Result<Vec<RangeSet>, Error> {
        let inlined = self.single.subnet.map(|_| vec![self.single.clone()]);
        let configured = inlined.into_iter().chain(self.ranges.iter().cloned());
        let sets: Vec<_> = configured
            .enumerate()
            .map(|(index, set)| range_set(index, set))
            .collect::<Result<_, _>>()?;
        match sets.as_slice() {
            [] => Err(invalid("ipam.ranges", "", "must name at least one subnet")),
            [a, b, ..] if sets.len() > 2 || a.is_ipv4() == b.is_ipv4() => {
                let all: Vec<_> = sets.iter().map(RangeSet::to_string).collect();
                let why = "a pod has one address of a family, so each has one range set";
                Err(unsupported("ipam.ranges", all.join(" and "), why))
            }
            _one_of_a_family => Ok(sets),
        }
    }
}

fn range_set(index: usize, set: Vec<RangeConfig>) -> Result<RangeSet, Error> {
    let faulty = |source: RangeError| Error::Ranges {
        index,
        source: source.into(),
    };
    let mut ranges = Vec::with_capacity(set.len());
    for range in set {
        let subnet = range
            .subnet
            .ok_or_else(|| invalid("ipam.ranges[].subnet", "", "must be given"))?;
        let bounds = Bounds {
            start: range.range_start,
            end: range.range_end,
            gateway: range.gateway,
        };
        ranges.push(Range::checked(subnet, bounds).map_err(faulty)?);
    }
    RangeSet::checked(ranges).map_err(faulty)
}
