//! What the eBPF side makes of a packet from the wire, as far as it is pure: header views, and
//! the packets that refuse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packet::Family;
use packet::refusal::{
    RESET_V4, RESET_V6, UNREACHABLE_QUESTION_V4, UNREACHABLE_QUESTION_V6, UNREACHABLE_V4,
    UNREACHABLE_V6, port_unreachable, tcp_reset,
};
use packet::{ethernet, ipv4, ipv6, transport};

fuzz_target!(|data: &[u8]| {
    // Longer than any header that is looked at; the programs read no further than there is.
    let mut frame = [0; 128];
    let length = data.len().min(frame.len());
    frame[..length].copy_from_slice(&data[..length]);
    view(&frame);
    refuse(&frame);
});

fn view(frame: &[u8; 128]) {
    let word = |at: usize| u32::from_ne_bytes(head(&frame[at..]));
    let first = ethernet::LEN;
    if let Some(header) = ipv4::Header::new([0, 4, 8, 12, 16].map(|at| word(first + at))) {
        assert!((20..=60).contains(&header.header_len()));
        let at = first + header.header_len() as usize;
        let _ = (header.is_later_fragment(), header.ttl());
        let _ = (header.source(), header.destination());
        let _ = transport::checksum_offset(header.protocol());
        let _ = transport::ports(head(&frame[at..]));
    }
    if let Some(header) = ipv6::Header::new([word(first), word(first + 4)]) {
        let _ = (header.next_header(), header.hop_limit());
    }
}

fn refuse(frame: &[u8; 128]) {
    let mut reset = [0; RESET_V4];
    if tcp_reset(Family::V4, &head(frame), &mut reset) {
        assert_eq!(sum(&reset[14..34]), 0xffff, "the IPv4 header's checksum");
        assert_eq!(
            (&reset[26..30], &reset[30..34]),
            (&frame[30..34], &frame[26..30])
        );
    }
    let mut reset = [0; RESET_V6];
    if tcp_reset(Family::V6, &head(frame), &mut reset) {
        assert_eq!(
            (&reset[22..38], &reset[38..54]),
            (&frame[38..54], &frame[22..38])
        );
    }
    let mut answer = [0; UNREACHABLE_V4];
    let question: [u8; UNREACHABLE_QUESTION_V4] = head(frame);
    port_unreachable(Family::V4, &question, &mut answer);
    assert_eq!(sum(&answer[14..34]), 0xffff, "the IPv4 header's checksum");
    assert_eq!(sum(&answer[34..]), 0xffff, "ICMP's checksum");
    let mut answer = [0; UNREACHABLE_V6];
    let question: [u8; UNREACHABLE_QUESTION_V6] = head(frame);
    port_unreachable(Family::V6, &question, &mut answer);
    assert_eq!(answer[54..56], [1, 4]);
}

/// The first bytes, as many as fit.
fn head<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut head = [0; N];
    head.copy_from_slice(&bytes[..N]);
    head
}

/// The ones' complement sum (RFC 1071): all ones where the checksum is in it and right.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(*high) << 8 | u32::from(*low),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded & 0xffff) + (folded >> 16)
}
