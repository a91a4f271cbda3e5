//! The programs of another version that these have just replaced.

use aya_ebpf::macros::map;
use aya_ebpf::maps::ProgramArray;
use proxy_abi::earlier::{self, Given};

use crate::skb::Skb;
use crate::translate::Hook;

/// Not pinned: each load of the programs has its own, or they would find themselves in it. The
/// kernel empties it when the agent that filled it ends.
#[map(name = "earlier")]
static EARLIER: ProgramArray = ProgramArray::with_max_entries(earlier::SLOTS, 0);

/// Hands a packet, untouched so far, to the program that was at this hook before, if one is noted
/// for such packets; then this does not return.
///
/// To be inlined into a program's entry: the index is a constant there, so the kernel makes this
/// a jump, or nothing while the slot is empty (`bpf_arch_text_poke`), and a chain of functions
/// that has called this far may have no more than 256 bytes of stack.
#[inline(always)]
pub(crate) fn ask_earlier(skb: &Skb, hook: Hook, given: Given) {
    let index = match hook {
        Hook::FromPod => 0,
        Hook::ToPod => 1,
        Hook::FromNetwork => 2,
        Hook::FromNode | Hook::Leaving => 3,
    };
    // SAFETY: nothing on this program's stack waits to be dropped.
    unsafe { EARLIER.tail_call(skb.context(), earlier::slot(index, given)) };
}
