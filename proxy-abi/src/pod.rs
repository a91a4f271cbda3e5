//! A pod of this node, found by its address.
//!
//! Map `pods`, [`crate::Ip`] -> [`Pod`], written by the CNI plugin alone: one entry for each of a
//! pod's addresses, made at the end of ADD, removed at the beginning of DEL. The programs ask it
//! two things: whether a packet that arrives on an interface may carry this source, and whether a
//! destination is a pod of this node, to which a packet can go straight.

/// Value of the map `pods`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Index of the host end of the pod's veth.
    pub ifindex: u32,
    /// Ethernet address of the pod's end.
    pub mac: [u8; 6],
    zero: [u8; 2],
}

crate::plain_bytes!(Pod, 12);

impl Pod {
    /// The pod behind interface `ifindex`, whose own end has `mac`.
    #[inline(always)]
    #[must_use]
    pub const fn new(ifindex: u32, mac: [u8; 6]) -> Self {
        Self {
            ifindex,
            mac,
            zero: [0; 2],
        }
    }
}
