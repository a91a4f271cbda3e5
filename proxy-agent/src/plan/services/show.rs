//! Operations as sentences, for the log and `flatnet-agent diff`.

use std::fmt;
use std::net::IpAddr;

use proxy_abi::{Endpoint, Frontend, FrontendKey, List, SourceRange, Treatment};

use super::{Contest, Operation, Unplaced};

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteList {
                first_slot,
                endpoints,
            } => {
                write!(out, "write endpoints from slot {first_slot}:")?;
                endpoints.iter().try_for_each(|endpoint| {
                    let Endpoint { address, port, .. } = endpoint;
                    write!(out, " {}:{}", IpAddr::from(*address), port.number())
                })
            }
            Self::PointFrontend { key, frontend } => point(out, key, frontend),
            Self::RemoveFrontend { key } => write!(out, "remove {}", Key(key)),
            Self::PutRange { range } => write!(out, "let in {}", Range(range)),
            Self::RemoveRange { range } => write!(out, "let in no more {}", Range(range)),
        }
    }
}

fn point(out: &mut fmt::Formatter<'_>, key: &FrontendKey, frontend: &Frontend) -> fmt::Result {
    let offer = &frontend.offer;
    let List { first_slot, count } = offer.inside;
    let generation = frontend.generation;
    write!(
        out,
        "point {} at {count} endpoints from slot {first_slot}",
        Key(key)
    )?;
    if offer.outside != offer.inside {
        let List { first_slot, count } = offer.outside;
        write!(out, ", from outside at {count} from slot {first_slot}")?;
    }
    write!(out, ", generation {generation}")?;
    let words = [
        (Treatment::MASQUERADE, "masquerade"),
        (Treatment::DROP_INSIDE, "drop from inside"),
        (Treatment::DROP_OUTSIDE, "drop from outside"),
        (Treatment::SOURCE_RANGES, "source ranges"),
        (Treatment::ON_LINK, "on link"),
    ];
    for (flag, word) in words {
        if offer.treatment.has(flag) {
            write!(out, ", {word}")?;
        }
    }
    match offer.affinity_seconds {
        0 => Ok(()),
        seconds => write!(out, ", affinity {seconds} s"),
    }
}

impl fmt::Display for Unplaced {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", Key(&self.key), self.reason)
    }
}

impl fmt::Display for Contest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, winner, loser } = self;
        write!(
            out,
            "{} is wanted by Services {winner} and {loser}; {winner} has it",
            Key(key)
        )
    }
}

/// A frontend as people write it: `10.96.0.10:53/udp`.
struct Key<'a>(&'a FrontendKey);

impl fmt::Display for Key<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrontendKey {
            address,
            port,
            protocol,
            ..
        } = self.0;
        let protocol = match *protocol {
            proxy_abi::protocol::TCP => "tcp",
            proxy_abi::protocol::UDP => "udp",
            proxy_abi::protocol::SCTP => "sctp",
            _ => "?",
        };
        write!(
            out,
            "frontend {}:{}/{protocol}",
            IpAddr::from(*address),
            port.number()
        )
    }
}

/// A source range as people write it: `10.0.0.0/8 at Service port 7`.
struct Range<'a>(&'a SourceRange);

impl fmt::Display for Range<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceRange { bits, source } = self.0;
        let address = IpAddr::from(source.address());
        let before = if address.is_ipv4() { 32 + 96 } else { 32 };
        let bits = bits.saturating_sub(before);
        write!(out, "{address}/{bits} at Service port {}", source.service())
    }
}
