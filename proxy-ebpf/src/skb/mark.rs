//! A mark by which one program tells the next that it need not look.

use super::Skb;

/// The mark of packets for which nothing is left to do, where traffic control keeps an index.
const DONE: u32 = 0xf1a7;

impl Skb {
    /// Tells the program at the next uplink that nothing is left to do for this packet. (The field
    /// is a number of traffic control's own that nothing else of today's kernels reads.)
    #[inline(always)]
    pub(crate) fn mark_done(&self) {
        // SAFETY: as for `ifindex`, a store that the verifier checks.
        unsafe { (*self.0.skb.skb).tc_index = DONE };
    }

    /// Whether the packet was marked so by one of our programs, see `unmark`.
    #[inline(always)]
    pub(crate) fn is_done(&self) -> bool {
        // SAFETY: as for `ifindex`.
        unsafe { (*self.0.skb.skb).tc_index == DONE }
    }

    /// Takes away a mark that a pod's packet comes with.
    #[inline(always)]
    pub(crate) fn unmark(&self) {
        if self.is_done() {
            // SAFETY: as for `mark_done`.
            unsafe { (*self.0.skb.skb).tc_index = 0 };
        }
    }
}
