//! The packets that say no: a TCP reset and an ICMP port unreachable, as the host that nobody
//! is would send them. A client then fails at once instead of waiting for a time-out.

use proxy_abi::protocol;

use crate::checksum::Sum;
use crate::transport::{ACK, FIN, RST, SYN};
use crate::{ethernet, ipv4};

/// Ethernet + IPv4 without options + TCP without options.
pub const TCP_FRAME: usize = ethernet::LEN + ipv4::LEN + 20;
/// Ethernet + IPv4 without options + the eight bytes of transport header that an ICMP error
/// quotes.
pub const UDP_FRAME: usize = ethernet::LEN + ipv4::LEN + 8;
/// Ethernet + IPv4 + ICMP header + the quoted IPv4 header and eight bytes (RFC 792).
pub const UNREACHABLE_FRAME: usize = ethernet::LEN + ipv4::LEN + 8 + ipv4::LEN + 8;

/// ICMP destination unreachable, RFC 792.
const ICMP_UNREACHABLE: u8 = 3;
/// Code of port unreachable.
const ICMP_PORT: u8 = 3;
/// Hop limit of what we send (the usual default, RFC 1700).
const TTL: u8 = 64;

// Both builders write into memory of the caller's. The kernel half has 512 bytes of stack, and a
// frame that is a local value there is taken apart into bytes that are each spilled to it.

/// Makes `reset` the answer to the segment at the head of `frame` (IPv4, no IP options), by the
/// rules of RFC 9293 section 3.10.7.1 for a closed port. `reset` must be zeroed. False, and
/// nothing written, for a reset, which is never answered.
#[inline(always)]
#[must_use]
pub fn tcp_reset(frame: &[u8; TCP_FRAME], reset: &mut [u8; TCP_FRAME]) -> bool {
    let flags = frame[TCP + 13];
    if flags & RST != 0 {
        return false;
    }
    let (sequence, acknowledged, answer) = if flags & ACK != 0 {
        (read4(frame, TCP + 8), [0; 4], RST)
    } else {
        ([0; 4], next_sequence(frame).to_be_bytes(), RST | ACK)
    };
    answer_headers(reset, frame, protocol::TCP);
    let [sport0, sport1, dport0, dport1] = read4(frame, TCP);
    write(reset, TCP, &[dport0, dport1, sport0, sport1]);
    write(reset, TCP + 4, &sequence);
    write(reset, TCP + 8, &acknowledged);
    reset[TCP + 12] = 5 << 4;
    reset[TCP + 13] = answer;
    let checksum = tcp_sum(reset).finish();
    write(reset, TCP + 16, &checksum);
    true
}

/// Makes `answer` the ICMP port unreachable for the datagram at the head of `frame` (IPv4, no IP
/// options): it quotes its IP header and first eight bytes, so that the sender finds its socket.
/// `answer` must be zeroed.
#[inline(always)]
pub fn port_unreachable(frame: &[u8; UDP_FRAME], answer: &mut [u8; UNREACHABLE_FRAME]) {
    answer_headers(answer, frame, protocol::ICMP);
    answer[ICMP] = ICMP_UNREACHABLE;
    answer[ICMP + 1] = ICMP_PORT;
    copy(answer, ICMP + 8, frame, IP, ipv4::LEN + 8);
    let checksum = Sum::default()
        .range(answer, ICMP, UNREACHABLE_FRAME - ICMP)
        .finish();
    write(answer, ICMP + 2, &checksum);
}

/// Offset of the IP header in a frame.
const IP: usize = ethernet::LEN;
/// Offset of the transport header where the IP header has no options.
const TCP: usize = IP + ipv4::LEN;
/// The same place, where the answer is an ICMP error.
const ICMP: usize = TCP;

/// The sequence number after this segment: its data, SYN and FIN each count (RFC 9293, 3.4).
#[inline(always)]
fn next_sequence(frame: &[u8; TCP_FRAME]) -> u32 {
    let total = u32::from(u16::from_be_bytes([frame[IP + 2], frame[IP + 3]]));
    let header = u32::from(frame[TCP + 12] >> 4) * 4;
    // A sender may lie about its lengths; the answer then acknowledges nothing it sent.
    let data = total.saturating_sub(ipv4::LEN as u32 + header);
    let flags = frame[TCP + 13];
    let controls = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    u32::from_be_bytes(read4(frame, TCP + 4))
        .wrapping_add(data)
        .wrapping_add(controls)
}

/// The Ethernet and IPv4 headers of an answer: addresses exchanged, no options, checksum in
/// place; the IP packet is as long as the rest of the frame.
#[inline(always)]
fn answer_headers<const N: usize, const M: usize>(
    answer: &mut [u8; N],
    frame: &[u8; M],
    protocol: u8,
) {
    copy(answer, 0, frame, 6, 6);
    copy(answer, 6, frame, 0, 6);
    copy(answer, 12, frame, 12, 2);
    answer[IP] = 0x45;
    write(answer, IP + 2, &((N - IP) as u16).to_be_bytes());
    // Don't fragment, as Linux sets it on its own short answers.
    answer[IP + 6] = 0x40;
    answer[IP + 8] = TTL;
    answer[IP + 9] = protocol;
    copy(answer, IP + 12, frame, IP + 16, 4);
    copy(answer, IP + 16, frame, IP + 12, 4);
    let checksum = Sum::default().range(answer, IP, ipv4::LEN).finish();
    write(answer, IP + 10, &checksum);
}

/// The sum that TCP's checksum makes zero: pseudo header and segment (RFC 9293 section 3.1).
#[inline(always)]
fn tcp_sum(frame: &[u8; TCP_FRAME]) -> Sum {
    let length = (TCP_FRAME - TCP) as u16;
    Sum::default()
        .range(frame, IP + 12, 8)
        .word(u16::from(protocol::TCP))
        .word(length)
        .range(frame, TCP, TCP_FRAME - TCP)
}

// The three below index with constants only once inlined, so the bounds checks vanish and the
// kernel half carries no panic path.

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
mod tests {
    use super::*;

    const CLIENT: [u8; 4] = [10, 244, 1, 2];
    const FRONTEND: [u8; 4] = [10, 96, 0, 10];

    fn frame<const N: usize>(protocol: u8, transport: &[u8], total: u16) -> [u8; N] {
        let mut frame = [0; N];
        frame[..14].copy_from_slice(&[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 8, 0]);
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&total.to_be_bytes());
        frame[23] = protocol;
        frame[26..30].copy_from_slice(&CLIENT);
        frame[30..34].copy_from_slice(&FRONTEND);
        frame[34..34 + transport.len()].copy_from_slice(transport);
        frame
    }

    /// A segment 40000 -> 80 with sequence 1000, acknowledgement 7000 and `flags`.
    fn segment(flags: u8, data: u16) -> [u8; TCP_FRAME] {
        let mut tcp = [0u8; 20];
        tcp[..4].copy_from_slice(&[0x9c, 0x40, 0, 80]);
        tcp[4..8].copy_from_slice(&1000u32.to_be_bytes());
        tcp[8..12].copy_from_slice(&7000u32.to_be_bytes());
        tcp[12] = 5 << 4;
        tcp[13] = flags;
        frame(protocol::TCP, &tcp, 40 + data)
    }

    fn reset_of(frame: &[u8; TCP_FRAME]) -> Option<[u8; TCP_FRAME]> {
        let mut reset = [0; TCP_FRAME];
        tcp_reset(frame, &mut reset).then_some(reset)
    }

    fn sequence_and_ack(reset: &[u8; TCP_FRAME]) -> (u32, u32, u8) {
        let at = |offset| u32::from_be_bytes(read4(reset, offset));
        (at(38), at(42), reset[47])
    }

    #[test]
    fn a_reset_answers_by_the_rules_of_a_closed_port() {
        let rows = [
            ("a SYN is acknowledged by one", SYN, 0, (0, 1001, RST | ACK)),
            (
                "a SYN with data (TFO) by all of it",
                SYN,
                100,
                (0, 1101, RST | ACK),
            ),
            (
                "data that acknowledges takes its number",
                ACK,
                10,
                (7000, 0, RST),
            ),
            ("a FIN without ACK counts", FIN, 5, (0, 1006, RST | ACK)),
        ];
        for (name, flags, data, wanted) in rows {
            let reset = reset_of(&segment(flags, data)).unwrap();
            assert_eq!(sequence_and_ack(&reset), wanted, "{name}");
        }
        assert!(
            reset_of(&segment(RST, 0)).is_none(),
            "a reset is not answered"
        );
    }

    #[test]
    fn a_reset_goes_back_with_valid_checksums() {
        let reset = reset_of(&segment(SYN, 0)).unwrap();
        assert_eq!(&reset[..12], &[2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(&reset[26..30], &FRONTEND);
        assert_eq!(&reset[30..34], &CLIENT);
        assert_eq!(&reset[34..38], &[0, 80, 0x9c, 0x40]);
        assert_eq!(Sum::default().range(&reset, IP, 20).finish(), [0, 0]);
        assert_eq!(tcp_sum(&reset).finish(), [0, 0]);
    }

    #[test]
    fn a_lying_length_does_not_wrap() {
        let mut lying = segment(SYN, 0);
        lying[16..18].copy_from_slice(&3u16.to_be_bytes());
        assert_eq!(
            sequence_and_ack(&reset_of(&lying).unwrap()),
            (0, 1001, RST | ACK)
        );
    }

    #[test]
    fn port_unreachable_quotes_the_datagram() {
        let datagram: [u8; UDP_FRAME] =
            frame(protocol::UDP, &[0x9c, 0x40, 0, 53, 0, 30, 0xab, 0xcd], 50);
        let mut answer = [0; UNREACHABLE_FRAME];
        port_unreachable(&datagram, &mut answer);
        assert_eq!(answer[23], protocol::ICMP);
        assert_eq!(&answer[26..34], &[10, 96, 0, 10, 10, 244, 1, 2]);
        assert_eq!(&answer[34..36], &[3, 3], "destination unreachable, port");
        assert_eq!(&answer[42..70], &datagram[14..42]);
        assert_eq!(Sum::default().range(&answer, ICMP, 36).finish(), [0, 0]);
        assert_eq!(Sum::default().range(&answer, IP, 20).finish(), [0, 0]);
        assert_eq!(u16::from_be_bytes([answer[16], answer[17]]), 56);
    }
}
