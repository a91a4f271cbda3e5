//! Resets and port unreachables of both families, by the rules of the RFCs.

use super::*;

const V4: Family = Family::V4;
const V6: Family = Family::V6;

/// A frame from a client to a frontend with this transport header and stated IP length.
fn frame<const N: usize>(family: Family, protocol: u8, transport: &[u8], length: u16) -> [u8; N] {
    let at = Layout::of(family);
    let mut frame = [0; N];
    let kind = if family == V4 { [8, 0] } else { [0x86, 0xdd] };
    frame[..12].copy_from_slice(&[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
    frame[12..14].copy_from_slice(&kind);
    frame[layout::IP] = at.first_byte;
    frame[at.length..at.length + 2].copy_from_slice(&length.to_be_bytes());
    frame[at.protocol] = protocol;
    frame[at.source..at.source + at.address].fill(0xc1);
    frame[at.source + at.address..at.source + 2 * at.address].fill(0xfe);
    frame[at.transport..at.transport + transport.len()].copy_from_slice(transport);
    frame
}

/// A segment 40000 -> 80 with sequence 1000, acknowledgement 7000, `flags` and `data` bytes.
fn segment<const N: usize>(family: Family, flags: u8, data: u16) -> [u8; N] {
    let mut tcp = [0u8; 20];
    tcp[..4].copy_from_slice(&[0x9c, 0x40, 0, 80]);
    tcp[4..8].copy_from_slice(&1000u32.to_be_bytes());
    tcp[8..12].copy_from_slice(&7000u32.to_be_bytes());
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    let header = Layout::of(family).length_covers as u16 + 20;
    frame(family, protocol::TCP, &tcp, header + data)
}

fn reset_of<const N: usize>(family: Family, frame: &[u8; N]) -> Option<[u8; N]> {
    let mut reset = [0; N];
    tcp_reset(family, frame, &mut reset).then_some(reset)
}

/// Sequence, acknowledgement and flags of a reset.
fn numbers<const N: usize>(family: Family, reset: &[u8; N]) -> (u32, u32, u8) {
    let transport = Layout::of(family).transport;
    let at = |offset| u32::from_be_bytes(read4(reset, transport + offset));
    (at(4), at(8), reset[transport + 13])
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
        let v4 = reset_of(V4, &segment::<RESET_V4>(V4, flags, data)).unwrap();
        assert_eq!(numbers(V4, &v4), wanted, "{name}, IPv4");
        let v6 = reset_of(V6, &segment::<RESET_V6>(V6, flags, data)).unwrap();
        assert_eq!(numbers(V6, &v6), wanted, "{name}, IPv6");
    }
    assert!(
        reset_of(V4, &segment::<RESET_V4>(V4, RST, 0)).is_none(),
        "a reset is not answered"
    );
}

#[test]
fn a_reset_goes_back_with_valid_checksums() {
    fn check<const N: usize>(family: Family) {
        let at = Layout::of(family);
        let question = segment::<N>(family, SYN, 0);
        let reset = reset_of(family, &question).unwrap();
        assert_eq!(&reset[..12], &[2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(reset[12..14], question[12..14]);
        assert!(
            reset[at.source..at.source + at.address]
                .iter()
                .all(|byte| *byte == 0xfe)
        );
        assert!(
            reset[at.source + at.address..at.transport]
                .iter()
                .all(|byte| *byte == 0xc1)
        );
        assert_eq!(&reset[at.transport..at.transport + 4], &[0, 80, 0x9c, 0x40]);
        assert_eq!(transport_sum(&at, &reset, protocol::TCP).finish(), [0, 0]);
    }
    check::<RESET_V4>(V4);
    check::<RESET_V6>(V6);
    let v4 = reset_of(V4, &segment::<RESET_V4>(V4, SYN, 0)).unwrap();
    assert_eq!(Sum::default().range(&v4, layout::IP, 20).finish(), [0, 0]);
    assert_eq!(u16::from_be_bytes([v4[16], v4[17]]), 40);
    let v6 = reset_of(V6, &segment::<RESET_V6>(V6, SYN, 0)).unwrap();
    assert_eq!(u16::from_be_bytes([v6[18], v6[19]]), 20);
}

#[test]
fn a_lying_length_does_not_wrap() {
    let mut lying = segment::<RESET_V4>(V4, SYN, 0);
    lying[16..18].copy_from_slice(&3u16.to_be_bytes());
    assert_eq!(
        numbers(V4, &reset_of(V4, &lying).unwrap()),
        (0, 1001, RST | ACK)
    );
}

const DATAGRAM: [u8; 8] = [0x9c, 0x40, 0, 53, 0, 30, 0xab, 0xcd];

#[test]
fn port_unreachable_quotes_the_datagram() {
    let datagram: [u8; UNREACHABLE_QUESTION_V4] = frame(V4, protocol::UDP, &DATAGRAM, 50);
    let mut answer = [0; UNREACHABLE_V4];
    port_unreachable(V4, &datagram, &mut answer);
    assert_eq!(answer[23], protocol::ICMP);
    assert_eq!(&answer[34..36], &[3, 3], "destination unreachable, port");
    assert_eq!(&answer[42..70], &datagram[14..42]);
    assert_eq!(Sum::default().range(&answer, 34, 36).finish(), [0, 0]);
    assert_eq!(Sum::default().range(&answer, 14, 20).finish(), [0, 0]);
    assert_eq!(u16::from_be_bytes([answer[16], answer[17]]), 56);
}

#[test]
fn port_unreachable_over_ipv6() {
    let datagram: [u8; UNREACHABLE_QUESTION_V6] = frame(V6, protocol::UDP, &DATAGRAM, 30);
    let mut answer = [0; UNREACHABLE_V6];
    port_unreachable(V6, &datagram, &mut answer);
    assert_eq!(answer[20], protocol::ICMP6);
    assert_eq!(&answer[54..56], &[1, 4], "destination unreachable, port");
    assert_eq!(&answer[62..110], &datagram[14..62]);
    let at = Layout::of(V6);
    assert_eq!(
        transport_sum(&at, &answer, protocol::ICMP6).finish(),
        [0, 0]
    );
    assert_eq!(u16::from_be_bytes([answer[18], answer[19]]), 56);
}
