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
    flags: u16,
}

crate::plain_bytes!(Pod, 12);

impl Pod {
    /// Its traffic must pass the node's stack, where a queueing discipline limits it.
    const SHAPED: u16 = 1;

    /// The pod behind interface `ifindex`, whose own end has `mac`.
    #[inline(always)]
    #[must_use]
    pub const fn new(ifindex: u32, mac: [u8; 6]) -> Self {
        Self {
            ifindex,
            mac,
            flags: 0,
        }
    }

    /// The same pod, its traffic kept on the node's stack: another plugin of the chain limits its
    /// bandwidth there, and a redirect would pass the limit by.
    #[inline(always)]
    #[must_use]
    pub const fn shaped(mut self) -> Self {
        self.flags |= Self::SHAPED;
        self
    }

    /// Whether packets from and to this pod must stay on the node's stack.
    #[inline(always)]
    #[must_use]
    pub const fn is_shaped(&self) -> bool {
        self.flags & Self::SHAPED != 0
    }
}
