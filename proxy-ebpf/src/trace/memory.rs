//! Maps of the trace programs and the kernel's memory: the only unsafe code of this object.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{
    bpf_get_attach_cookie, bpf_ktime_get_ns, bpf_probe_read_kernel,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use proxy_abi::trace::{Counts, Event, Setup};
use proxy_abi::{Counter, FlowKey, Ip};

#[map(name = "trace_setup")]
static SETUP: Array<Setup> = Array::with_max_entries(1, 0);
#[map(name = "trace_addresses")]
static ADDRESSES: HashMap<Ip, u32> = HashMap::with_max_entries(1024, 0);
#[map(name = "trace_ports")]
static PORTS: HashMap<u32, u32> = HashMap::with_max_entries(256, 0);
#[map(name = "trace_spaces")]
static SPACES: HashMap<u32, u32> = HashMap::with_max_entries(4096, 0);
/// Some 30 000 events.
#[map(name = "trace_events")]
static EVENTS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);
#[map(name = "trace_lost")]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// What a program began with, until it ends.
#[map(name = "trace_begun")]
static BEGUN: PerCpuArray<Begun> = PerCpuArray::with_max_entries(1, 0);
#[map(name = "trace_last")]
static LAST: PerCpuArray<Counts> = PerCpuArray::with_max_entries(1, 0);
/// What the packet at hand was dropped for.
#[map(name = "trace_dropped")]
static DROPPED: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);
/// The data path's own.
#[map(name = "counters")]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::pinned(Counter::COUNT, 0);

/// A program's run that has begun.
#[repr(C)]
pub(crate) struct Begun {
    /// When, by CLOCK_MONOTONIC.
    pub(crate) nanoseconds: u64,
    /// The counters, if the packet was wanted as it came.
    pub(crate) counters: Counts,
    /// The packet's tuple.
    pub(crate) tuple: FlowKey,
    /// Whether there is a tuple, and whether it was wanted.
    pub(crate) known: u32,
    /// The same.
    pub(crate) wanted: u32,
}

/// What is asked for.
#[inline(always)]
pub(crate) fn setup() -> Option<&'static Setup> {
    SETUP.get(0)
}

/// Whether this address is asked for.
#[inline(always)]
pub(crate) fn has_address(address: &Ip) -> bool {
    ADDRESSES.get_ptr(address).is_some()
}

/// Whether this port (host order) is asked for.
#[inline(always)]
pub(crate) fn has_port(port: u16) -> bool {
    PORTS.get_ptr(u32::from(port)).is_some()
}

/// Whether this network namespace is asked for.
#[inline(always)]
pub(crate) fn has_space(inode: u32) -> bool {
    SPACES.get_ptr(inode).is_some()
}

/// This CPU's place for a run that has begun.
#[inline(always)]
pub(crate) fn begun() -> Option<&'static mut Begun> {
    // SAFETY: the slot is this CPU's own and lives as long as the program. A packet program is not
    // interrupted by another on one CPU, so what watches it is not either.
    BEGUN.get_ptr_mut(0).map(|begun| unsafe { &mut *begun })
}

/// This CPU's counters as they were at the last drop.
#[inline(always)]
pub(crate) fn last() -> Option<&'static mut Counts> {
    // SAFETY: the slot is this CPU's own and lives as long as the program. Packets are freed in
    // softirq or with it off where a program has dropped them, so nobody else is at it.
    LAST.get_ptr_mut(0).map(|last| unsafe { &mut *last })
}

/// Carries a number through memory: what is read back is any number to the verifier, which then
/// walks what follows once, and not once for each way by which the number may come about.
#[inline(always)]
pub(crate) fn carried(number: u32) -> Option<u32> {
    let slot = DROPPED.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's own and lives as long as the program.
    unsafe {
        slot.write_volatile(number);
        Some(slot.read_volatile())
    }
}

/// This CPU's count of a data path's counter.
#[inline(always)]
pub(crate) fn counter(index: u32) -> Option<u64> {
    // SAFETY: the pointer is to this CPU's own slot, which the program that is watched wrote.
    COUNTERS.get_ptr(index).map(|count| unsafe { *count })
}

/// Puts an event into the ring, or counts that there was no room.
#[inline(always)]
pub(crate) fn put(event: &Event) {
    match EVENTS.reserve::<Event>(0) {
        Some(mut room) => {
            room.write(*event);
            room.submit(0);
        }
        None => lose(),
    }
}

#[inline(always)]
fn lose() {
    if let Some(lost) = LOST.get_ptr_mut(0) {
        // SAFETY: this CPU's own slot; an interrupt between reading and writing loses a count.
        unsafe { *lost += 1 };
    }
}

/// Reads the kernel's memory at `base + offset`; zeros where it cannot be read. (No error: the
/// verifier would walk the rest of the program once more for each.)
#[inline(always)]
pub(crate) fn read<T: Copy>(base: u64, offset: u16) -> T {
    let at = base.wrapping_add(u64::from(offset)) as *const c_void;
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes as many bytes as it is told, zeros where it cannot read, so that
    // there is a whole value. The types are plain numbers, of which any bytes are one.
    unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, at);
        value.assume_init()
    }
}

/// Nanoseconds of CLOCK_MONOTONIC.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: it takes nothing and returns a number.
    unsafe { bpf_ktime_get_ns() }
}

/// The number that a link was made with.
#[inline(always)]
pub(crate) fn cookie(context: *mut c_void) -> u64 {
    // SAFETY: the context is the program's own.
    unsafe { bpf_get_attach_cookie(context) }
}
