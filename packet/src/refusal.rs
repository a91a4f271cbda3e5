//! The packets that say no: a TCP reset and an ICMP port unreachable, as the host that nobody
//! is would send them. A client then fails at once instead of waiting for a time-out.
//!
//! The builders write into memory of the caller's: the kernel half has 512 bytes of stack, and a
//! frame that is a local value there is taken apart into bytes that are each spilled to it.
//! Offsets are constants wherever they are inlined, so bounds checks vanish and the kernel half
//! carries no panic path.

mod layout;

use proxy_abi::protocol;

use crate::Family;
use crate::checksum::Sum;
use crate::transport::{ACK, FIN, RST, SYN};
use layout::Layout;
pub use layout::{
    RESET_V4, RESET_V6, UNREACHABLE_QUESTION_V4, UNREACHABLE_QUESTION_V6, UNREACHABLE_V4,
    UNREACHABLE_V6,
};

/// Types and codes of the two ICMPs: destination unreachable, port (RFC 792, RFC 4443).
const UNREACHABLE: [(u8, u8, u8); 2] = [(protocol::ICMP, 3, 3), (protocol::ICMP6, 1, 4)];
/// Hop limit of what we send (the usual default, RFC 1700).
const HOP_LIMIT: u8 = 64;

/// Makes `reset` the answer to the segment at the head of `frame` (no IP options or extension
/// headers; [`RESET_V4`] or [`RESET_V6`] bytes), by the rules of RFC 9293 section 3.10.7.1 for a
/// closed port. `reset` must be zeroed. False, and nothing written, for a reset, which is never
/// answered.
#[inline(always)]
#[must_use]
pub fn tcp_reset<const N: usize>(family: Family, frame: &[u8; N], reset: &mut [u8; N]) -> bool {
    let at = Layout::of(family);
    let flags = frame[at.transport + 13];
    if flags & RST != 0 {
        return false;
    }
    let (sequence, acknowledged, answer) = if flags & ACK != 0 {
        (read4(frame, at.transport + 8), [0; 4], RST)
    } else {
        ([0; 4], next_sequence(&at, frame).to_be_bytes(), RST | ACK)
    };
    answer_headers(&at, reset, frame, protocol::TCP);
    let [sport0, sport1, dport0, dport1] = read4(frame, at.transport);
    write(reset, at.transport, &[dport0, dport1, sport0, sport1]);
    write(reset, at.transport + 4, &sequence);
    write(reset, at.transport + 8, &acknowledged);
    reset[at.transport + 12] = 5 << 4;
    reset[at.transport + 13] = answer;
    let checksum = transport_sum(&at, reset, protocol::TCP).finish();
    write(reset, at.transport + 16, &checksum);
    true
}

/// Makes `answer` ([`UNREACHABLE_V4`] or [`UNREACHABLE_V6`] bytes) the ICMP port unreachable for
/// the datagram at the head of `frame` ([`UNREACHABLE_QUESTION_V4`] or its like): it quotes the IP
/// header and the first eight bytes, so that the sender finds its socket. `answer` must be zeroed.
#[inline(always)]
pub fn port_unreachable<const N: usize, const M: usize>(
    family: Family,
    frame: &[u8; N],
    answer: &mut [u8; M],
) {
    let at = Layout::of(family);
    let (icmp, kind, code) = UNREACHABLE[usize::from(matches!(family, Family::V6))];
    answer_headers(&at, answer, frame, icmp);
    answer[at.transport] = kind;
    answer[at.transport + 1] = code;
    copy(answer, at.transport + 8, frame, layout::IP, N - layout::IP);
    let sum = match family {
        Family::V4 => Sum::default().range(answer, at.transport, M - at.transport),
        // Unlike ICMP's, ICMPv6's checksum covers a pseudo header (RFC 4443 section 2.3).
        Family::V6 => transport_sum(&at, answer, icmp),
    };
    write(answer, at.transport + 2, &sum.finish());
}

/// The sequence number after this segment: its data, SYN and FIN each count (RFC 9293, 3.4).
#[inline(always)]
fn next_sequence<const N: usize>(at: &Layout, frame: &[u8; N]) -> u32 {
    let stated = u32::from(u16::from_be_bytes([frame[at.length], frame[at.length + 1]]));
    let header = u32::from(frame[at.transport + 12] >> 4) * 4;
    // A sender may lie about its lengths; the answer then acknowledges nothing it sent.
    let data = stated.saturating_sub(at.length_covers as u32 + header);
    let flags = frame[at.transport + 13];
    let controls = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    u32::from_be_bytes(read4(frame, at.transport + 4))
        .wrapping_add(data)
        .wrapping_add(controls)
}

/// The Ethernet and IP headers of an answer: addresses exchanged, no options, checksum in place;
/// the IP packet is as long as the rest of the frame.
#[inline(always)]
fn answer_headers<const N: usize, const M: usize>(
    at: &Layout,
    answer: &mut [u8; N],
    frame: &[u8; M],
    protocol: u8,
) {
    copy(answer, 0, frame, 6, 6);
    copy(answer, 6, frame, 0, 6);
    copy(answer, 12, frame, 12, 2);
    let length = (N - at.transport + at.length_covers) as u16;
    write(answer, at.length, &length.to_be_bytes());
    answer[at.protocol] = protocol;
    answer[at.hop_limit] = HOP_LIMIT;
    copy(answer, at.source, frame, at.source + at.address, at.address);
    copy(answer, at.source + at.address, frame, at.source, at.address);
    answer[layout::IP] = at.first_byte;
    if let Some(checksum_at) = at.checksum {
        // Don't fragment, as Linux sets it on its own short answers.
        answer[layout::IP + 6] = 0x40;
        let checksum = Sum::default()
            .range(answer, layout::IP, at.transport - layout::IP)
            .finish();
        write(answer, checksum_at, &checksum);
    }
}

/// The sum that a transport checksum makes zero: pseudo header (RFC 9293 section 3.1, RFC 8200
/// section 8.1) and all that follows the IP header.
#[inline(always)]
fn transport_sum<const N: usize>(at: &Layout, frame: &[u8; N], protocol: u8) -> Sum {
    Sum::default()
        .range(frame, at.source, 2 * at.address)
        .word(u16::from(protocol))
        .word((N - at.transport) as u16)
        .range(frame, at.transport, N - at.transport)
}

#[inline(always)]
fn read4<const N: usize>(from: &[u8; N], at: usize) -> [u8; 4] {
    [from[at], from[at + 1], from[at + 2], from[at + 3]]
}

#[inline(always)]
fn write<const N: usize, const M: usize>(to: &mut [u8; N], at: usize, bytes: &[u8; M]) {
    copy(to, at, bytes, 0, M);
}

#[inline(always)]
fn copy<const N: usize, const M: usize>(
    to: &mut [u8; N],
    at: usize,
    from: &[u8; M],
    start: usize,
    len: usize,
) {
    let mut index = 0;
    while index < len {
        to[at + index] = from[start + index];
        index += 1;
    }
}

#[cfg(test)]
mod tests;
