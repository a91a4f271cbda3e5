//! From outcome to action: the one place where a packet's or socket's fate is decided and counted.

use aya_ebpf::helpers::bpf_set_retval;
use proxy_abi::Counter;

use crate::maps;
use crate::translate::Outcome;

/// tcx: the next program, or the stack, goes on with the packet (linux/bpf.h, TCX_NEXT).
const TCX_NEXT: i32 = -1;
/// tcx: the packet ends here (TCX_DROP).
const TCX_DROP: i32 = 2;
/// tcx: a redirect helper has said where the packet goes (TCX_REDIRECT).
const TCX_REDIRECT: i32 = 7;

/// A cgroup program lets the system call go on.
pub(crate) const PROCEED: i32 = 1;
/// A cgroup program ends the system call with an error.
const FORBID: i32 = 0;
/// errno 111 (asm-generic/errno.h).
const ECONNREFUSED: i32 = 111;

/// Why a packet is dropped. Each reason has its counter, named alike.
#[derive(Clone, Copy)]
pub(crate) enum Drop {
    Malformed,
    FlowTableFull,
    RewriteFailed,
    NoRoute,
    NoEndpointSilent,
    EmptySlot,
    ForgedSource,
    PortsExhausted,
    NotMasqueradable,
    NoLocalEndpoint,
    NoSource,
    SourceRange,
}

/// What becomes of a packet.
#[must_use]
#[inline(always)]
pub(crate) fn verdict(outcome: Result<Outcome, Drop>) -> i32 {
    let (action, counter) = match outcome {
        Ok(Outcome::Pass | Outcome::Translated) => return TCX_NEXT,
        Ok(Outcome::Redirected) => (TCX_REDIRECT, Counter::Shortcut),
        Ok(Outcome::Answered) => (TCX_REDIRECT, Counter::NoEndpoint),
        // A hook that cannot answer lets nobody wait for what will not come either.
        Ok(Outcome::NoEndpoint) | Err(Drop::NoEndpointSilent) => {
            (TCX_DROP, Counter::NoEndpointSilent)
        }
        Err(Drop::Malformed) => (TCX_DROP, Counter::Malformed),
        Err(Drop::FlowTableFull) => (TCX_DROP, Counter::FlowTableFull),
        Err(Drop::RewriteFailed) => (TCX_DROP, Counter::RewriteFailed),
        Err(Drop::NoRoute) => (TCX_DROP, Counter::NoRoute),
        Err(Drop::EmptySlot) => (TCX_DROP, Counter::EmptySlot),
        Err(Drop::ForgedSource) => (TCX_DROP, Counter::ForgedSource),
        Err(Drop::PortsExhausted) => (TCX_DROP, Counter::PortsExhausted),
        Err(Drop::NotMasqueradable) => (TCX_DROP, Counter::NotMasqueradable),
        Err(Drop::SourceRange) => (TCX_DROP, Counter::SourceRange),
        Err(Drop::NoSource) => (TCX_DROP, Counter::NoSource),
        Err(Drop::NoLocalEndpoint) => (TCX_DROP, Counter::NoLocalEndpoint),
    };
    maps::count(counter);
    action
}

/// What becomes of a connect() or sendmsg().
pub(crate) enum SocketOutcome {
    /// The address is no frontend.
    NotOurs,
    /// The socket goes to an endpoint.
    Translated,
    /// The frontend has no endpoint.
    Refused,
    /// The agent asks whether anybody is here.
    Probed,
    /// The client is in none of the Service's source ranges.
    Forbidden,
}

/// The action for a connect() or sendmsg() and its counter.
#[must_use]
#[inline(always)]
pub(crate) fn socket_verdict(outcome: SocketOutcome) -> i32 {
    match outcome {
        SocketOutcome::NotOurs => PROCEED,
        SocketOutcome::Translated => {
            maps::count(Counter::SocketTranslated);
            PROCEED
        }
        SocketOutcome::Refused => {
            maps::count(Counter::SocketRefused);
            refuse()
        }
        SocketOutcome::Probed => refuse(),
        SocketOutcome::Forbidden => {
            maps::count(Counter::SourceRange);
            // EPERM, as for what a firewall drops of the node's own.
            FORBID
        }
    }
}

/// Ends the system call with ECONNREFUSED.
#[inline(always)]
fn refuse() -> i32 {
    // Without this the caller would see EPERM (kernel 5.18, commit b44123b4a3dc).
    // SAFETY: the helper takes a number and stores it for this run of the hook.
    unsafe { bpf_set_retval(-ECONNREFUSED) };
    FORBID
}
