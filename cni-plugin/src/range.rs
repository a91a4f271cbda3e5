//! Which addresses a pod may get: ranges as `host-local` configures them, and the round-robin
//! order in which they are tried. Pure; generic over both families.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Why a range cannot be allocated from.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RangeError {
    /// A subnet that names an address inside itself.
    #[error("{subnet} has host bits set; the network is {network}")]
    HostBits {
        /// As configured.
        subnet: IpNet,
        /// As it should be.
        network: IpNet,
    },
    /// A subnet that has no room for a gateway and a pod.
    #[error("{0} is too small to allocate from")]
    TooSmall(IpNet),
    /// `rangeStart`, `rangeEnd` or `gateway` lies elsewhere.
    #[error("{key} {address} is not in {subnet}")]
    Outside {
        /// Which of the three.
        key: &'static str,
        /// Its value.
        address: IpAddr,
        /// The range's subnet.
        subnet: IpNet,
    },
    /// `rangeStart` after `rangeEnd`.
    #[error("rangeStart {first} comes after rangeEnd {last}")]
    Backwards {
        /// The range's first address.
        first: IpAddr,
        /// The range's last address.
        last: IpAddr,
    },
    /// Two ranges of one set share addresses.
    #[error("{0} overlaps {1}")]
    Overlap(Box<Range>, Box<Range>),
    /// One set, both families.
    #[error("{0} and {1} are of different families; give each family its own range set")]
    MixedFamilies(Box<Range>, Box<Range>),
    /// A set without a range.
    #[error("the range set is empty")]
    Empty,
}

/// Consecutive addresses of one subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    subnet: IpNet,
    first: IpAddr,
    last: IpAddr,
    gateway: Gateway,
}

/// The address that others would give to a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gateway {
    /// The configuration names it: never given away, as with `host-local`.
    Kept(IpAddr),
    /// It does not, and then `host-local` would keep this one. Here no address is needed for a
    /// gateway, so a pod may have it, but only when all others are taken. While it is free a node
    /// can move to `host-local` with `bridge` and keep its pods' leases; a pod that has it would
    /// share it with the bridge, and must go first. Who plans to move names the gateway.
    LastResort(IpAddr),
}

/// What a configuration may say about a range beyond its subnet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// First address to give away; default: the one after the network address.
    pub(crate) start: Option<IpAddr>,
    /// Last address to give away; default: the one before the broadcast address (IPv4), the
    /// subnet's last (IPv6).
    pub(crate) end: Option<IpAddr>,
    /// The address never given away; default: none, but see [`Gateway::LastResort`].
    pub(crate) gateway: Option<IpAddr>,
}

impl Range {
    /// Fills in what is not given and checks what is.
    ///
    /// # Errors
    /// See [`RangeError`].
    pub(crate) fn checked(subnet: IpNet, bounds: Bounds) -> Result<Self, RangeError> {
        if subnet.trunc() != subnet {
            return Err(RangeError::HostBits {
                subnet,
                network: subnet.trunc(),
            });
        }
        if subnet.prefix_len() + 2 > subnet.max_prefix_len() {
            return Err(RangeError::TooSmall(subnet));
        }
        let within = |key, address: Option<IpAddr>, default| match address {
            Some(address) if !subnet.contains(&address) => Err(RangeError::Outside {
                key,
                address,
                subnet,
            }),
            given => Ok(given.unwrap_or(default)),
        };
        let second = step(subnet.network(), 1);
        let last = match subnet {
            IpNet::V4(v4) => step(v4.broadcast().into(), -1),
            IpNet::V6(v6) => v6.broadcast().into(),
        };
        let first = within("rangeStart", bounds.start, second)?;
        let last = within("rangeEnd", bounds.end, last)?;
        let gateway = match bounds.gateway {
            Some(_) => Gateway::Kept(within("gateway", bounds.gateway, second)?),
            None => Gateway::LastResort(second),
        };
        if first > last {
            return Err(RangeError::Backwards { first, last });
        }
        Ok(Self {
            subnet,
            first,
            last,
            gateway,
        })
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.first <= address && address <= self.last
    }

    /// Whether the address is one to give away like any other.
    fn is_ordinary(&self, address: IpAddr) -> bool {
        let (Gateway::Kept(apart) | Gateway::LastResort(apart)) = self.gateway;
        address != apart
    }

    fn last_resort(&self) -> Option<IpAddr> {
        match self.gateway {
            Gateway::LastResort(address) => Some(address).filter(|it| self.contains(*it)),
            Gateway::Kept(_) => None,
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Ranges of one family out of which a pod gets one address; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RangeSet(Vec<Range>);

impl RangeSet {
    /// Checks that the ranges make one set.
    ///
    /// # Errors
    /// See [`RangeError`].
    pub(crate) fn checked(ranges: Vec<Range>) -> Result<Self, RangeError> {
        let first = ranges.first().ok_or(RangeError::Empty)?;
        for (position, range) in ranges.iter().enumerate() {
            if range.first.is_ipv4() != first.first.is_ipv4() {
                return Err(RangeError::MixedFamilies(
                    first.clone().into(),
                    range.clone().into(),
                ));
            }
            if let Some(earlier) = ranges
                .iter()
                .take(position)
                .find(|earlier| earlier.overlaps(range))
            {
                return Err(RangeError::Overlap(
                    earlier.clone().into(),
                    range.clone().into(),
                ));
            }
        }
        Ok(Self(ranges))
    }

    /// Whether the addresses are IPv4.
    pub(crate) fn is_ipv4(&self) -> bool {
        self.0.iter().all(|range| range.first.is_ipv4())
    }

    /// Whether an address is one that may be given away.
    pub(crate) fn gives(&self, address: IpAddr) -> bool {
        let mut ranges = self.0.iter().filter(|range| range.contains(address));
        ranges.any(|range| range.gateway != Gateway::Kept(address))
    }

    /// Every address once, in the order to try them: from the one after `last_given` to the end,
    /// then from the start, so that an address just freed rests as long as possible; at the very
    /// end those of last resort. An address of no range here (the configuration changed) starts
    /// from the beginning.
    pub(crate) fn candidates(&self, last_given: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
        let at = last_given.and_then(|given| {
            let index = self.0.iter().position(|range| range.contains(given))?;
            Some((index, to_number(given)))
        });
        let (start, tail) = match at {
            Some((index, given)) => (index, Some(given)),
            None => (0, None),
        };
        let spans = (0..self.0.len()).map(move |offset| {
            let range = &self.0[(start + offset) % self.0.len()];
            let from = tail
                .filter(|_| offset == 0)
                .map_or(to_number(range.first), |given| given + 1);
            (range, from, to_number(range.last))
        });
        let head = tail.map(|given| (&self.0[start], to_number(self.0[start].first), given));
        let ordinary = spans.chain(head).flat_map(|(range, from, to)| {
            let addresses = (from..=to).map(|number| from_number(number, range.first));
            addresses.filter(|address| range.is_ordinary(*address))
        });
        ordinary.chain(self.0.iter().filter_map(Range::last_resort))
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(Range::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

fn step(address: IpAddr, by: i128) -> IpAddr {
    from_number(to_number(address).saturating_add_signed(by), address)
}

fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// The address of that number, in the family of `like`. Numbers come from addresses of that
/// family and their neighbours within one subnet, so an IPv4 one always fits.
fn from_number(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
