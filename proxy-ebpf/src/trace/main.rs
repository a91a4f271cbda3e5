//! The kernel half of `flatnet trace`: an object of its own, loaded while somebody traces, so that
//! the data path costs the same without it. It watches the kernel's own trace points and the
//! packet programs at their work, and changes nothing.
//!
//! An event: [`packet`] reads the packet, [`wanted`] decides, [`tell`] writes it into the ring.
//! Everything is read by `bpf_probe_read_kernel`, at offsets that the agent has from the kernel's
//! type information: the compiler emits no relocations by which the kernel's loader could do that.
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main)]
#![cfg_attr(
    not(target_arch = "bpf"),
    allow(dead_code, reason = "the host only compiles it")
)]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "aya's macros wrap each entry in an exported function without the entry's docs"
)]

mod memory;
mod packet;
mod program;
mod tell;
mod wanted;

use aya_ebpf::macros::{fentry, fexit, raw_tracepoint};
use aya_ebpf::programs::{FEntryContext, FExitContext, RawTracePointContext};
use proxy_abi::trace::EventKind;

use crate::packet::Start;
use crate::tell::Fact;

/// A packet came in by an interface. Its network header is not noted yet, its data begins there.
#[raw_tracepoint(tracepoint = "netif_receive_skb")]
pub fn netif_receive_skb(ctx: RawTracePointContext) -> Option<()> {
    tell::packet(ctx.arg(0), Start::Data, Fact::of(EventKind::Received))
}

/// A packet is handed to an interface's driver.
#[raw_tracepoint(tracepoint = "net_dev_start_xmit")]
pub fn net_dev_start_xmit(ctx: RawTracePointContext) -> Option<()> {
    tell::packet(ctx.arg(0), Start::Header, Fact::of(EventKind::Sent))
}

/// The kernel throws a packet away (`location` and `reason` since Linux 5.17).
#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn kfree_skb(ctx: RawTracePointContext) -> Option<()> {
    let fact = Fact {
        kind: EventKind::Freed,
        location: ctx.arg(1),
        reason: ctx.arg(2),
    };
    tell::packet(ctx.arg(0), Start::Header, fact)
}

/// One of our packet programs begins.
#[fentry]
pub fn before_program(ctx: FEntryContext) -> Option<()> {
    program::before(ctx.arg(0))
}

/// It has ended. Which it was, the link's cookie says.
#[fexit]
pub fn after_program(ctx: FExitContext) -> Option<()> {
    program::after(&ctx, ctx.arg(0))
}

#[cfg(target_arch = "bpf")]
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 4] = *b"GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // The verifier rejects a reachable endless loop: found when the program is loaded.
    loop {}
}

/// The host builds this only so that one `cargo clippy` and one editor see both halves.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
