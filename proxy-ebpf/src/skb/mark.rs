//! Marks by which one program tells the next that it need not look. They stand where traffic control
//! keeps an index of its own that nothing else of today's kernels reads.
//!
//! A mark stays on a packet that goes from one network namespace into another by a veth pair, as
//! between the nodes of a kind cluster. So a pod's is taken away where its packet comes in, each mark
//! is taken away by the program that it is for, and the two are not alike.

use super::Skb;

/// For `to_network`: nothing is left to do.
const DONE: u32 = 0xf1a7;
/// For `from_network`: the node's own packet, turned round at this uplink.
const TURNED: u32 = 0xf1a8;

impl Skb {
    /// Tells the program at the next uplink that nothing is left to do for this packet.
    #[inline(always)]
    pub(crate) fn mark_done(&self) {
        self.set_mark(DONE);
    }

    /// Tells the program at this uplink's ingress that the packet is the node's own.
    #[inline(always)]
    pub(crate) fn mark_turned(&self) {
        self.set_mark(TURNED);
    }

    /// Whether the packet came marked as done; it is so no more.
    #[inline(always)]
    pub(crate) fn take_done(&self) -> bool {
        self.take(DONE)
    }

    /// Whether the packet came marked as turned round; it is so no more.
    #[inline(always)]
    pub(crate) fn take_turned(&self) -> bool {
        self.take(TURNED)
    }

    /// Takes away whatever mark a pod's packet comes with.
    #[inline(always)]
    pub(crate) fn unmark(&self) {
        if self.index() != 0 {
            self.set_mark(0);
        }
    }

    #[inline(always)]
    fn take(&self, mark: u32) -> bool {
        let marked = self.index() == mark;
        if marked {
            self.set_mark(0);
        }
        marked
    }

    #[inline(always)]
    fn index(&self) -> u32 {
        // SAFETY: the context pointer is the kernel's, valid while the program runs, and the
        // verifier checks this very load.
        unsafe { (*self.0.skb.skb).tc_index }
    }

    #[inline(always)]
    fn set_mark(&self, mark: u32) {
        // SAFETY: as for `index`, a store.
        unsafe { (*self.0.skb.skb).tc_index = mark };
    }
}
