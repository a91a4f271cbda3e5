//! `/etc/resolv.conf` -> upstreams and search list. Pure.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::rr::Name;

/// Where DNS servers listen.
pub(crate) const PORT: u16 = 53;

/// What the file says, as far as we obey it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    /// `nameserver` lines, in order.
    pub(crate) servers: Vec<SocketAddr>,
    /// The last `search` or `domain` line.
    pub(crate) search: Vec<Name>,
}

impl ResolvConf {
    /// Reads the file's text. What cannot be read is left out, as other resolvers do.
    pub(crate) fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => read.servers.extend(words.next().and_then(server)),
                Some("search" | "domain") => read.search = words.filter_map(domain).collect(),
                _ => {}
            }
        }
        read
    }
}

/// An address, without the zone that a link-local one may have: we could not keep it.
fn server(word: &str) -> Option<SocketAddr> {
    let address: IpAddr = word.parse().ok()?;
    Some(SocketAddr::new(address, PORT))
}

fn domain(word: &str) -> Option<Name> {
    let mut name = Name::from_ascii(word).ok()?.to_lowercase();
    name.set_fqdn(true);
    // `search .` means no domain at all.
    (!name.is_root()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_file() {
        let read = ResolvConf::parse(
            "# written by hand\n\
             domain old.example\n\
             search Corp.Example lab.example. .\n\
             nameserver 192.0.2.53 # near\n\
             nameserver\tfd00::53\n\
             nameserver\n\
             nameserver ns.example.com\n\
             nameserver fe80::1%eth0\n\
             ;nameserver 192.0.2.54\n\
             options ndots:5\n",
        );
        let servers: Vec<_> = read.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[fd00::53]:53"]);
        let search: Vec<_> = read.search.iter().map(ToString::to_string).collect();
        assert_eq!(search, ["corp.example.", "lab.example."]);
        assert_eq!(ResolvConf::parse(""), ResolvConf::default());
    }
}
