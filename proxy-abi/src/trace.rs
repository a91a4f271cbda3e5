//! What the trace programs are told and what they tell. They are an object of their own, loaded
//! while somebody traces and by whoever traces: its maps are nobody else's, and none is pinned.

use crate::{Counter, FlowKey};

/// Names in the object.
pub mod names {
    /// 0 (u32) -> [`super::Setup`].
    pub const SETUP: &str = "trace_setup";
    /// Addresses ([`crate::Ip`]) that are wanted; the value says nothing.
    pub const ADDRESSES: &str = "trace_addresses";
    /// Ports (u32, host order) that are wanted; the value says nothing.
    pub const PORTS: &str = "trace_ports";
    /// Network namespaces (u32, inode numbers) that are wanted; the value says nothing.
    pub const SPACES: &str = "trace_spaces";
    /// [`super::Event`]s.
    pub const EVENTS: &str = "trace_events";
    /// 0 (u32) -> u64 on each CPU: events for which there was no room.
    pub const LOST: &str = "trace_lost";
    /// 0 (u32) -> [`super::Counts`] on each CPU, as they were at the last drop.
    pub const LAST: &str = "trace_last";
    /// Kernel trace point and program: a packet came in by an interface.
    pub const RECEIVED: &str = "netif_receive_skb";
    /// A packet is handed to an interface's driver.
    pub const SENT: &str = "net_dev_start_xmit";
    /// The kernel threw a packet away.
    pub const FREED: &str = "kfree_skb";
    /// Program that runs before one of [`crate::ownership::program`].
    pub const BEFORE: &str = "before_program";
    /// Program that runs after it.
    pub const AFTER: &str = "after_program";
}

/// Where the members of the kernel's structures stand, in bytes from their beginnings. They differ
/// from kernel to kernel; the agent reads them from the kernel's own type information.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// `sk_buff.head`.
    pub head: u16,
    /// `sk_buff.data`.
    pub data: u16,
    /// `sk_buff.len`.
    pub len: u16,
    /// `sk_buff.network_header`.
    pub network_header: u16,
    /// `sk_buff.dev`.
    pub dev: u16,
    /// `net_device.name`.
    pub name: u16,
    /// `net_device.nd_net.net`.
    pub net: u16,
    /// `net.ns.inum`.
    pub inum: u16,
}

crate::plain_bytes!(Layout, 16);

/// Which packets are wanted, and how the kernel lays out what is read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// The kernel's.
    pub layout: Layout,
    /// [`Setup::ANY_ADDRESS`] and the like.
    pub flags: u32,
    /// IP protocol number; 0: any.
    pub protocol: u32,
    /// This kernel's numbers of the reasons for which a packet is freed that a program at an
    /// interface has dropped: SKB_DROP_REASON_TC_INGRESS and _TC_EGRESS.
    pub dropped_by_program: [u32; 2],
}

crate::plain_bytes!(Setup, 32);

impl Setup {
    /// No address is asked for.
    pub const ANY_ADDRESS: u32 = 1;
    /// One wanted address of the two is enough; without it both must be wanted.
    pub const ONE_ADDRESS: u32 = 2;
    /// No port is asked for. (Where one is, one of the two is enough.)
    pub const ANY_PORT: u32 = 4;
    /// A program's run is told only if it dropped or refused the packet.
    pub const ONLY_DROPS: u32 = 8;
}

/// What happened to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It came in by the interface.
    Received,
    /// It was handed to the interface's driver.
    Sent,
    /// The kernel threw it away, for [`Event::reason`].
    Freed,
    /// One of our programs ran on it.
    Program,
}

impl EventKind {
    /// As [`Event::kind`] has it.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Back from that.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Received),
            1 => Some(Self::Sent),
            2 => Some(Self::Freed),
            3 => Some(Self::Program),
            _ => None,
        }
    }
}

/// An element of the ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When it began, by CLOCK_MONOTONIC.
    pub nanoseconds: u64,
    /// How long the program ran, in nanoseconds; 0 for other events.
    pub took: u64,
    /// The address of the code that threw the packet away; 0 for other events.
    pub location: u64,
    /// The packet's tuple; ports are 0 where its protocol has none.
    pub before: FlowKey,
    /// The same after the program; equal for other events.
    pub after: FlowKey,
    /// The interface's name, with zeros behind it; zeros where the packet has none.
    pub interface: [u8; 16],
    /// Inode number of the interface's network namespace; 0: not known.
    pub space: u32,
    /// Bytes of the packet, with or without its Ethernet header, as the kernel counts there.
    pub length: u32,
    /// `enum skb_drop_reason` of [`EventKind::Freed`].
    pub reason: u32,
    /// Counters ([`crate::Counter`]) that the program moved, a bit each; of [`EventKind::Freed`]
    /// those of [`DROPS`] that the program moved that has dropped it.
    pub counters: u32,
    /// What the program returned.
    pub verdict: i32,
    /// [`EventKind::number`].
    pub kind: u8,
    /// Which program: its place in [`PROGRAMS`].
    pub program: u8,
    /// The flags of a TCP header.
    pub tcp_flags: u8,
    /// Nothing.
    pub zero: u8,
}

crate::plain_bytes!(Event, 144);

/// The data path's counters on one CPU.
pub type Counts = [u64; Counter::COUNT as usize];

/// The counters that move when a program has a packet dropped, a bit each. A program adds one and
/// at once the kernel frees the packet on the same CPU: what has moved there since the last such
/// packet is the reason of this one. ([`Counter::FlowTableFull`] moves without a drop, too.)
pub const DROPS: u32 = 1 << Counter::Malformed as u32
    | 1 << Counter::FlowTableFull as u32
    | 1 << Counter::RewriteFailed as u32
    | 1 << Counter::NoRoute as u32
    | 1 << Counter::NoEndpointSilent as u32
    | 1 << Counter::EmptySlot as u32
    | 1 << Counter::ForgedSource as u32
    | 1 << Counter::PortsExhausted as u32
    | 1 << Counter::NotMasqueradable as u32
    | 1 << Counter::NoLocalEndpoint as u32
    | 1 << Counter::NoSource as u32
    | 1 << Counter::SourceRange as u32;

// A bit for each counter.
const _: () = assert!(Counter::COUNT <= u32::BITS);

/// The programs that are watched at their work.
pub const PROGRAMS: [&str; 4] = [
    crate::ownership::program::FROM_POD,
    crate::ownership::program::TO_POD,
    crate::ownership::program::FROM_NETWORK,
    crate::ownership::program::TO_NETWORK,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_survives_its_number() {
        for kind in [
            EventKind::Received,
            EventKind::Sent,
            EventKind::Freed,
            EventKind::Program,
        ] {
            assert_eq!(EventKind::of(kind.number()), Some(kind));
        }
        assert_eq!(EventKind::of(4), None);
    }
}
