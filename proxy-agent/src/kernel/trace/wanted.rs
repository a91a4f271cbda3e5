//! Which packets are looked for, by the trace programs and by packet sockets alike.

use std::net::IpAddr;

use proxy_abi::trace::Setup;
use proxy_abi::{FlowKey, Ip};

/// Which packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Addresses; none: any.
    pub addresses: Vec<IpAddr>,
    /// Whether one of these is enough, rather than both ends.
    pub one_end: bool,
    /// Ports, one of the two is enough; none: any.
    pub ports: Vec<u16>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// Only what is dropped or refused.
    pub only_drops: bool,
}

impl Wanted {
    /// Whether a packet with this tuple is wanted, as the programs decide it.
    #[must_use]
    pub fn fits(&self, tuple: &FlowKey) -> bool {
        let has = |end: Ip| self.addresses.contains(&IpAddr::from(end));
        let ends = (has(tuple.source), has(tuple.destination));
        let address = match (self.addresses.is_empty(), self.one_end) {
            (true, _) => true,
            (false, true) => ends.0 || ends.1,
            (false, false) => ends.0 && ends.1,
        };
        let ports = [tuple.source_port, tuple.destination_port];
        let port = ports.iter().any(|port| self.ports.contains(&port.number()));
        let protocol = self.protocol.is_none_or(|number| number == tuple.protocol);
        address && (self.ports.is_empty() || port) && protocol
    }

    /// What the programs are told.
    pub(super) fn flags(&self) -> u32 {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        flag(self.addresses.is_empty(), Setup::ANY_ADDRESS)
            | flag(self.one_end, Setup::ONE_ADDRESS)
            | flag(self.ports.is_empty(), Setup::ANY_PORT)
            | flag(self.only_drops, Setup::ONLY_DROPS)
    }
}

#[cfg(test)]
mod tests {
    use proxy_abi::{Port, protocol};

    use super::*;

    #[test]
    fn who_is_wanted_is_decided_by_ends_ports_and_protocol() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let end = |text: &str, port| (Ip::from(ip(text)), Port::new(port));
        let tuple = FlowKey::new(end("10.0.0.1", 4000), end("10.0.0.2", 80), protocol::TCP);
        let one = |address: &str| Wanted {
            addresses: vec![ip(address)],
            ..Wanted::default()
        };
        let rows = [
            (Wanted::default(), true),
            (one("10.0.0.1"), false),
            (
                Wanted {
                    one_end: true,
                    ..one("10.0.0.1")
                },
                true,
            ),
            (
                Wanted {
                    one_end: true,
                    ..one("10.0.0.3")
                },
                false,
            ),
            (
                Wanted {
                    addresses: vec![ip("10.0.0.1"), ip("10.0.0.2")],
                    ..Wanted::default()
                },
                true,
            ),
            (
                Wanted {
                    ports: vec![80],
                    ..Wanted::default()
                },
                true,
            ),
            (
                Wanted {
                    ports: vec![81, 82],
                    ..Wanted::default()
                },
                false,
            ),
            (
                Wanted {
                    protocol: Some(protocol::UDP),
                    ..Wanted::default()
                },
                false,
            ),
        ];
        for (wanted, expected) in rows {
            assert_eq!(wanted.fits(&tuple), expected, "{wanted:?}");
        }
    }
}
