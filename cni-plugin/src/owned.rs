//! Which interfaces of a node are ours: made by ADD, of whatever network, and never anybody
//! else's. For a network's own the alias is asked, and for an attachment's its MAC address too.

use proxy_abi::ownership::HOST_INTERFACE_PREFIX;

use crate::attachment::Attachment;
use crate::error::Error;
use crate::netlink::Netlink;
use crate::observe::{self, Link};

/// Digits of the hash in a host interface's name.
const DIGITS: usize = 12;

/// The host ends of pods there are on this node.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn host_ends() -> Result<Vec<Link>, Error> {
    let links = observe::links(&mut Netlink::open()?)?;
    Ok(links.into_iter().filter(is_host_end).collect())
}

/// Whether a host end belongs to that network. One that is down and has no alias was left by an
/// ADD that was killed before it could give it one, and belongs to whoever asks.
pub(crate) fn is_of(link: &Link, network: &str) -> bool {
    match &link.alias {
        Some(alias) => alias
            .strip_prefix(network)
            .is_some_and(|rest| rest.starts_with('/')),
        None => !link.up,
    }
}

/// The interface on the node that has the name of an attachment's host end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    Nothing,
    /// It is that host end.
    Theirs(Link),
    /// It is another's: names are made of 48 bits, and anybody can give an interface a name.
    Anothers,
}

/// Looks for an attachment's host end.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn standing(attachment: &Attachment, network: &str) -> Result<Standing, Error> {
    let name = attachment.host_interface();
    let found = observe::named(&mut Netlink::open()?, &name)?;
    Ok(judged(found, attachment, network))
}

/// It has the attachment's alias or its MAC address: the one can be changed, the other too, and
/// after an ADD that was killed early there is no alias.
fn judged(found: Option<Link>, attachment: &Attachment, network: &str) -> Standing {
    let is_theirs = |link: &Link| {
        let alias = link.alias.as_deref() == Some(&attachment.alias(network));
        is_host_end(link) && (alias || link.mac == Some(attachment.host_mac()))
    };
    match found {
        None => Standing::Nothing,
        Some(link) if is_theirs(&link) => Standing::Theirs(link),
        Some(_) => Standing::Anothers,
    }
}

fn is_host_end(link: &Link) -> bool {
    let digits = link.name.strip_prefix(HOST_INTERFACE_PREFIX);
    let named = digits.is_some_and(|digits| {
        let mut bytes = digits.bytes();
        digits.len() == DIGITS && bytes.all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    });
    named && link.kind.as_deref() == Some("veth")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::Mac;
    use crate::attachment::tests::mk_attachment;

    fn mk_link(name: &str, kind: &str) -> Link {
        Link {
            name: name.to_owned(),
            kind: Some(kind.to_owned()),
            ..Link::default()
        }
    }

    #[test]
    fn what_is_ours_and_what_only_looks_like_it() {
        let ours = mk_attachment("c1", "eth0").host_interface();
        assert!(is_host_end(&mk_link(&ours, "veth")));
        for (name, kind) in [
            (ours.as_str(), "bridge"),
            ("fn0123456789a", "veth"),
            ("fn0123456789abc", "veth"),
            ("fn0123456789AB", "veth"),
            ("fn-123456789ab", "veth"),
            ("veth0123456789", "veth"),
            ("eth0", "veth"),
        ] {
            assert!(!is_host_end(&mk_link(name, kind)), "{name} {kind}");
        }
    }

    #[test]
    fn whose_an_interface_is_that_has_the_name() {
        let attachment = mk_attachment("c1", "eth0");
        let (mac, other) = (attachment.host_mac(), Mac([2; 6]));
        let rows = [
            (Some("flatnet/c1/eth0"), mac, "veth", true),
            (Some("flatnet/c1/eth0"), other, "veth", true),
            (None, mac, "veth", true),
            (Some("changed"), mac, "veth", true),
            (Some("flatnet/c2/eth0"), other, "veth", false),
            (None, other, "veth", false),
            (Some("flatnet/c1/eth0"), mac, "bridge", false),
        ];
        for (alias, mac, kind, theirs) in rows {
            let link = Link {
                alias: alias.map(str::to_owned),
                mac: Some(mac),
                ..mk_link(&attachment.host_interface(), kind)
            };
            let expected = if theirs {
                Standing::Theirs(link.clone())
            } else {
                Standing::Anothers
            };
            assert_eq!(judged(Some(link), &attachment, "flatnet"), expected);
        }
        assert_eq!(judged(None, &attachment, "flatnet"), Standing::Nothing);
    }

    #[test]
    fn of_which_network_an_interface_is() {
        let rows = [
            (Some("flatnet/c1/eth0"), true, true),
            (Some("flatnet2/c1/eth0"), true, false),
            (Some("my switch"), false, false),
            (None, true, false),
            (None, false, true),
        ];
        for (alias, up, expected) in rows {
            let link = Link {
                alias: alias.map(str::to_owned),
                up,
                ..Link::default()
            };
            assert_eq!(is_of(&link, "flatnet"), expected, "{link:?}");
        }
    }
}
