//! A way: where the segments of an established TCP connection go that nobody translates.
//!
//! Map `ways`, [`crate::FlowKey`] -> [`Way`], written by the programs when such a segment has taken
//! the whole walk, and believed for a moment: one look-up instead of one for each question.

/// Value of the map `ways`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The interface at which the segments must arrive.
    pub arrives: u32,
    /// The interface to which they go.
    pub ifindex: u32,
    /// Until when it is believed: the kernel's ticks (jiffies), the low half.
    pub until: u32,
    /// Bytes of the longest frame that is known to fit.
    pub longest: u32,
    /// Destination and source Ethernet address on a way out of the node.
    pub addresses: [u8; 12],
    /// Ethernet address that the sender must have, if it is a pod of this node.
    pub sender: [u8; 6],
    flags: u16,
}

crate::plain_bytes!(Way, 36);

impl Way {
    /// Out of the node, rather than to a pod of this node.
    const OUT: u16 = 1;
    /// To a place inside the cluster: not to be masqueraded.
    const INSIDE: u16 = 2;

    /// Whether it leads out of the node.
    #[inline(always)]
    #[must_use]
    pub const fn is_out(&self) -> bool {
        self.flags & Self::OUT != 0
    }

    /// Whether it leads to a place inside the cluster.
    #[inline(always)]
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.flags & Self::INSIDE != 0
    }

    /// To a pod of this node.
    #[inline(always)]
    pub const fn lead_to_pod(&mut self, ifindex: u32) {
        self.ifindex = ifindex;
        self.flags = 0;
    }

    /// Out of the node by an interface, to these Ethernet addresses; whether to a place inside the
    /// cluster.
    #[inline(always)]
    pub const fn lead_out(&mut self, ifindex: u32, addresses: [u8; 12], inside: bool) {
        self.ifindex = ifindex;
        self.addresses = addresses;
        self.flags = Self::OUT | if inside { Self::INSIDE } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_to_a_pod_or_out() {
        let mut way = Way::default();
        way.lead_out(3, [1; 12], true);
        assert!(way.is_out() && way.is_inside());
        way.lead_out(3, [1; 12], false);
        assert!(way.is_out() && !way.is_inside());
        way.lead_to_pod(4);
        assert_eq!(
            (way.ifindex, way.is_out(), way.is_inside()),
            (4, false, false)
        );
    }
}
