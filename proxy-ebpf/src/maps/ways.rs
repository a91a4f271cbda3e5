//! The ways of established connections.

use aya_ebpf::helpers::bpf_jiffies64;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use proxy_abi::{FlowKey, KeptWay, Way, way};

/// The last tuple to come has its slot, see [`way::slot`].
#[map(name = "ways")]
static WAYS: Array<KeptWay> = Array::pinned(way::SLOTS, 0);

/// Ticks for which a way is believed: between a quarter of a second and two and a half, as the
/// kernel was built. For so long a route that has changed may still be taken.
const BELIEVED: u32 = 256;

/// The kernel's ticks, the low half.
#[inline(always)]
fn ticks() -> u32 {
    // SAFETY: the helper takes nothing (Linux 5.6).
    unsafe { bpf_jiffies64() as u32 }
}

/// Copies the way of a connection's segments to `way`; whether there is one that is still believed.
#[inline(always)]
pub(crate) fn way(key: &FlowKey, way: &mut Way) -> bool {
    let Some(kept) = WAYS.get_ptr(way::slot(key)) else {
        return false;
    };
    // SAFETY: the memory is the map's for ever, of the size and alignment of its type, and every
    // bit pattern is a value. Other CPUs may write meanwhile: what was read is proved by its check.
    unsafe {
        if (*kept).key != *key {
            return false;
        }
        copy_way(&raw const (*kept).way, way);
        // Ticks wrap; the distance does not.
        (*kept).check == way::check(key, way) && way.until.wrapping_sub(ticks()) <= BELIEVED
    }
}

/// Remembers a way for a moment.
#[inline(always)]
pub(crate) fn remember_way(key: &FlowKey, way: &mut Way) {
    way.until = ticks().wrapping_add(BELIEVED);
    let Some(kept) = WAYS.get_ptr_mut(way::slot(key)) else {
        return;
    };
    // SAFETY: as for `way`.
    unsafe {
        (*kept).key = *key;
        copy_way(way, &mut (*kept).way);
        (*kept).check = way::check(key, way);
    }
}

/// Forgets a way: its segments are translated from now on.
#[inline(always)]
pub(crate) fn forget_way(key: &FlowKey) {
    if let Some(kept) = WAYS.get_ptr_mut(way::slot(key)) {
        // SAFETY: as for `way`. Another tuple's way may go with it, which costs that a whole walk.
        unsafe { (*kept).check = 0 };
    }
}

/// Copies word by word: as a whole it would be a call that copies bytes.
///
/// # Safety
/// Both must be a way's memory.
#[inline(always)]
unsafe fn copy_way(from: *const Way, to: *mut Way) {
    const WORDS: usize = size_of::<Way>() / size_of::<u32>();
    let (from, to) = (from.cast::<u32>(), to.cast::<u32>());
    for word in 0..WORDS {
        // SAFETY: both are as long as the loop, and aligned to words.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
    }
}
