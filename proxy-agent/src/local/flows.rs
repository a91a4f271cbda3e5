//! The conversations that the kernel translates, each told once.

use std::net::{IpAddr, SocketAddr};

use proxy_abi::{Flow as Entry, FlowKey, Ip, Port, Role};

use super::api::{Flow, Flows};
use crate::kernel::flows::{FlowMaps, now};
use crate::kernel::maps::MapsError;
use crate::kernel::pins::Pins;
use crate::plan::flows::{Table, protocol_name};

/// Those with this address, `limit` at most. Blocks while the tables are read.
///
/// # Errors
/// [`MapsError`].
pub fn flows(
    node: &str,
    address: Option<IpAddr>,
    limit: usize,
    pins: &Pins,
) -> Result<Flows, MapsError> {
    let mut maps = FlowMaps::open(pins)?;
    let mut found: Vec<(FlowKey, Entry, Table)> = Vec::new();
    let mut count = 0;
    maps.walk(|key, flow, table| {
        if flow.role().is_client() && fits(address, key, flow) {
            count += 1;
            if found.len() < limit {
                found.push((*key, *flow, table));
            }
        }
    })?;
    let now = now();
    let told = |(key, flow, table): (FlowKey, Entry, Table)| {
        let conversation = maps.conversation(&key, &flow, table)?;
        // Units of 2^30 nanoseconds, see `Flow::time`.
        let idle = u64::from(now.saturating_sub(conversation.seen)) * 1074 / 1000;
        Ok(Flow {
            protocol: protocol_name(key.protocol).to_owned(),
            kind: match flow.role() {
                Role::Masquerade | Role::Return => "masquerade",
                Role::Request | Role::Reply => "service",
            }
            .to_owned(),
            client: socket(key.from()),
            asked: socket(key.towards()),
            seen_as: socket(flow.to.from()),
            endpoint: socket(flow.to.towards()),
            state: conversation.state.name().to_owned(),
            idle_seconds: idle,
        })
    };
    let mut flows: Vec<Flow> = found.into_iter().map(told).collect::<Result<_, _>>()?;
    flows.sort();
    Ok(Flows {
        node: node.to_owned(),
        found: count,
        flows,
    })
}

fn fits(address: Option<IpAddr>, key: &FlowKey, flow: &Entry) -> bool {
    let Some(wanted) = address.map(Ip::from) else {
        return true;
    };
    let places = [
        key.source,
        key.destination,
        flow.to.source,
        flow.to.destination,
    ];
    places.contains(&wanted)
}

fn socket((address, port): (Ip, Port)) -> SocketAddr {
    SocketAddr::new(address.into(), port.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_fits_in_any_place() {
        let end = |last: u8| (Ip::v4([10, 0, 0, last]), Port::new(80));
        let key = FlowKey::new(end(1), end(2), 6);
        let flow = Entry::new(Role::Request, FlowKey::new(end(3), end(4), 6), 0, 0);
        for last in 1..=4 {
            assert!(
                fits(Some(IpAddr::from([10, 0, 0, last])), &key, &flow),
                "{last}"
            );
        }
        assert!(!fits(Some(IpAddr::from([10, 0, 0, 5])), &key, &flow));
        assert!(fits(None, &key, &flow));
    }
}
