//! An attachment, the pair (container ID, interface name) that the CNI specification identifies
//! everything by, and all names that follow from it: the host interface, both MAC addresses, the
//! content of a lease. Nothing is remembered between ADD and DEL; it is computed again.

use std::fmt;

use proxy_abi::ownership::HOST_INTERFACE_PREFIX;

/// The kernel's limit for an interface's alias, in bytes (IFALIASZ with its final zero is 256).
const ALIAS_LENGTH: usize = 255;

/// A container ID: a letter or digit, then letters, digits, `_`, `.`, `-` (CNI 1.1.0 section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerId(String);

impl ContainerId {
    /// What [`Self::parse`] accepts, for messages.
    pub(crate) const EXPECTED: &str =
        "a letter or digit, followed by letters, digits, '_', '.' or '-'";

    /// The same, said of the text.
    pub(crate) const MUST: &str =
        "is no container ID: a letter or digit, followed by letters, digits, '_', '.' or '-'";

    /// `None` when the text is not a container ID.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        is_plain_name(text).then(|| Self(text.to_owned()))
    }
}

/// Whether a text is fit for a container ID or a network name: both end up in file names.
pub(crate) fn is_plain_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && characters.all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '.' | '-'))
}

/// The name of the interface in the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceName(String);

impl InterfaceName {
    /// What [`Self::parse`] accepts, for messages.
    pub(crate) const EXPECTED: &str =
        "an interface name: 1 to 15 bytes, no '/', ':', '%' or white space, not '.' or '..'";

    /// The same, said of the text.
    pub(crate) const MUST: &str =
        "is no interface name: 1 to 15 bytes, no '/', ':', '%' or white space, not '.' or '..'";

    /// `None` when Linux would not take the text as a name. `%` is refused although the
    /// specification is silent on it: the kernel reads it as a pattern and picks another name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fits = (1..=15).contains(&text.len()) && !matches!(text, "." | "..");
        let clean = !text.contains(|c: char| {
            matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control()
        });
        (fits && clean).then(|| Self(text.to_owned()))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A MAC address, in the order it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl Mac {
    /// Six pairs of hexadecimal digits with ':' or '-' between them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let is_hex = |pair: &&str| pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            let pair = pairs.next().filter(|pair| pair.len() == 2).filter(is_hex)?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(bytes))
    }

    /// Whether it can be an interface's, and is not zero or for a group.
    pub(crate) fn is_an_interfaces(self) -> bool {
        self.0 != [0; 6] && self.0[0] & 1 == 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// One interface of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The container.
    pub(crate) container: ContainerId,
    /// The interface in it.
    pub(crate) interface: InterfaceName,
}

impl Attachment {
    /// The name of the host end of the veth pair. 48 bits of hash: two of a thousand pods on a
    /// node meet with a chance of 2 in 10^9, and then ADD refuses, it does not mix them up.
    pub(crate) fn host_interface(&self) -> String {
        let digest = fnv1a_64(&[
            self.container.0.as_bytes(),
            b"/",
            self.interface.0.as_bytes(),
        ]);
        format!("{HOST_INTERFACE_PREFIX}{:012x}", fold_to_48_bits(digest))
    }

    /// The alias of the host interface, for the reader of `ip link` and for GC, which has to know
    /// of which network an interface is: `<network>/<container id>/<ifname>`, cut to what the
    /// kernel takes.
    pub(crate) fn alias(&self, network: &str) -> String {
        let (container, interface) = (&self.container.0, &self.interface.0);
        let mut alias = format!("{network}/{container}/{interface}");
        alias.truncate(alias.floor_char_boundary(ALIAS_LENGTH));
        alias
    }

    /// The host end's MAC address.
    pub(crate) fn host_mac(&self) -> Mac {
        self.mac(b"host")
    }

    /// The MAC address of the interface in the pod.
    pub(crate) fn pod_mac(&self) -> Mac {
        self.mac(b"pod")
    }

    /// Whose a lease is by its content; `None` for one that is not in today's form.
    pub(crate) fn of_lease(content: &str) -> Option<Self> {
        let (container, interface) = content.split_once("\r\n")?;
        Some(Self {
            container: ContainerId::parse(container)?,
            interface: InterfaceName::parse(interface)?,
        })
    }

    /// A lease file's content, as the `host-local` plugin writes and recognises it.
    pub(crate) fn lease(&self) -> String {
        format!("{}\r\n{}", self.container.0, self.interface.0)
    }

    /// A lease file's content in `host-local` before version 0.8, which knew no interfaces.
    pub(crate) fn old_lease(&self) -> &str {
        &self.container.0
    }

    /// A locally administered unicast address (IEEE 802, second bit of the first byte), computed
    /// rather than drawn: the plan stays a pure function, the two ends can be told apart in a
    /// capture, and an address set explicitly is one that systemd-udevd leaves alone (its default
    /// `MACAddressPolicy=persistent` rewrites the ones the kernel drew). It need only be unique on
    /// its own veth, a link of two.
    fn mac(&self, end: &[u8]) -> Mac {
        let digest = fnv1a_64(&[
            self.container.0.as_bytes(),
            b"/",
            self.interface.0.as_bytes(),
            b"/",
            end,
        ]);
        let [.., a, b, c, d, e] = fold_to_48_bits(digest).to_be_bytes();
        Mac([0x02, a, b, c, d, e])
    }
}

/// FNV-1a, 64 bits. The names it makes are found again by DEL, perhaps by a later build of this
/// binary, so the hash is spelled out here and held by a test; std's promises no stability.
fn fnv1a_64(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Xor-folding, as FNV's authors advise for sizes that are no power of two.
fn fold_to_48_bits(hash: u64) -> u64 {
    (hash >> 48) ^ (hash & 0xffff_ffff_ffff)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An attachment from two plain texts.
    pub(crate) fn mk_attachment(container: &str, interface: &str) -> Attachment {
        Attachment {
            container: ContainerId::parse(container).unwrap(),
            interface: InterfaceName::parse(interface).unwrap(),
        }
    }

    #[test]
    fn the_hash_is_fnv1a_as_published() {
        // Vectors from the authors' test suite (isthe.com/chongo/tech/comp/fnv).
        assert_eq!(fnv1a_64(&[b""]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a_64(&[b"a"]), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a_64(&[b"foo", b"bar"]), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn names_never_change_between_builds() {
        let attachment = mk_attachment("cnitest-7", "eth0");
        assert_eq!(attachment.host_interface(), "fn82dda66fa937");
        assert_eq!(attachment.host_interface().len(), 14, "below IFNAMSIZ");
        assert_eq!(attachment.lease(), "cnitest-7\r\neth0");
        assert_eq!(
            Attachment::of_lease(&attachment.lease()),
            Some(attachment.clone())
        );
        assert_eq!(Attachment::of_lease(attachment.old_lease()), None);
        assert_ne!(
            attachment.host_interface(),
            mk_attachment("cnitest-7", "eth1").host_interface()
        );
    }

    #[test]
    fn an_alias_is_no_longer_than_the_kernel_takes() {
        let attachment = mk_attachment("cnitest-7", "eth0");
        assert_eq!(attachment.alias("flatnet"), "flatnet/cnitest-7/eth0");
        let long = mk_attachment(&"c".repeat(250), "ä").alias("n");
        assert_eq!(long.len(), 255);
        let longer = mk_attachment(&"c".repeat(251), "ä").alias("n");
        assert_eq!(longer.len(), 254, "no half a character");
    }

    #[test]
    fn mac_addresses_are_local_unicast_and_differ() {
        let attachment = mk_attachment("cnitest-7", "eth0");
        assert_ne!(attachment.host_mac(), attachment.pod_mac());
        for mac in [attachment.host_mac(), attachment.pod_mac()] {
            assert_eq!(mac.0[0] & 0b11, 0b10, "{mac}");
        }
        assert_eq!(Mac([2, 0, 0xab, 0, 0, 1]).to_string(), "02:00:ab:00:00:01");
    }

    #[test]
    fn mac_addresses_as_text() {
        let mac = Mac([2, 0, 0xab, 0, 0, 1]);
        for text in ["02:00:ab:00:00:01", "02-00-AB-00-00-01"] {
            assert_eq!(Mac::parse(text), Some(mac));
        }
        assert_eq!(Mac::parse(&mac.to_string()), Some(mac));
        for none in [
            "",
            "02:00:ab:00:00",
            "02:00:ab:00:00:01:02",
            "2:0:ab:0:0:1",
            "02:00:ab:00:00:+1",
        ] {
            assert_eq!(Mac::parse(none), None, "{none:?}");
        }
    }

    #[test]
    fn container_ids() {
        for good in ["a", "0", "abc-1_2.3", &"f".repeat(64)] {
            assert!(ContainerId::parse(good).is_some(), "{good:?}");
        }
        for bad in ["", "-a", ".", "..", "_a", "a/b", "a b", "a\n", "ä", "a\0"] {
            assert!(ContainerId::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn interface_names() {
        for good in ["eth0", "e", "net1.5", "a-b_c", "exactly15bytes.", "..."] {
            assert!(InterfaceName::parse(good).is_some(), "{good:?}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\t",
            "eth%d",
            "sixteen-bytes-xx",
            "ä234567890123456",
        ] {
            assert!(InterfaceName::parse(bad).is_none(), "{bad:?}");
        }
    }
}
