//! What the proxy reads of ICMP (RFC 792) and ICMPv6 (RFC 4443) messages.

use crate::Family;

/// Offset of the checksum from the start of the message.
pub const CHECKSUM: u32 = 2;
/// Offset of the identifier of an echo message.
pub const IDENTIFIER: u32 = 4;
/// Offset of the packet that an error is about: its IP header, and at least 8 bytes of what
/// follows.
pub const INNER: u32 = 8;

/// What a message is, as far as the proxy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A question that its receiver answers.
    EchoRequest,
    /// The answer.
    EchoReply,
    /// An error about another packet, which it carries.
    Error,
    /// Anything else: between neighbours, or obsolete.
    Other,
}

/// What the type byte of a message says. (A redirect is an error in form, but it concerns the
/// sender's own link.)
#[inline(always)]
#[must_use]
pub const fn message(family: Family, kind: u8) -> Message {
    match (family, kind) {
        (Family::V4, 8) | (Family::V6, 128) => Message::EchoRequest,
        (Family::V4, 0) | (Family::V6, 129) => Message::EchoReply,
        // Unreachable, source quench, time exceeded, parameter problem.
        (Family::V4, 3 | 4 | 11 | 12) => Message::Error,
        // Unreachable, too big, time exceeded, parameter problem.
        (Family::V6, 1..=4) => Message::Error,
        _ => Message::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_mean_what_the_rfcs_say() {
        for (family, kind, expected) in [
            (Family::V4, 8, Message::EchoRequest),
            (Family::V4, 0, Message::EchoReply),
            (Family::V4, 3, Message::Error),
            (Family::V4, 11, Message::Error),
            (Family::V4, 5, Message::Other),
            (Family::V4, 128, Message::Other),
            (Family::V6, 128, Message::EchoRequest),
            (Family::V6, 129, Message::EchoReply),
            (Family::V6, 2, Message::Error),
            (Family::V6, 135, Message::Other),
            (Family::V6, 8, Message::Other),
        ] {
            assert_eq!(message(family, kind), expected, "{family:?} {kind}");
        }
    }
}
