//! The kernel half of the service proxy: one thin entry a hook. An entry says where a packet or a
//! socket stands, calls the walk, and turns its outcome into an action in one exhaustive match.
//!
//! The walk of a packet: [`parse`] -> [`source`] check -> [`translate`] (known flow? -> service ->
//! endpoint -> rewrite) -> [`refuse`] or [`forward`] -> [`verdict`]. What the node forwards to the
//! outside takes [`masquerade`] in place of [`translate`]; a segment of a connection that has lately
//! walked so and needed nothing is sent on by [`short`]. The walk of a socket is [`socket`]:
//! service -> endpoint -> address. Maps are touched through [`maps`] alone, packet bytes through [`skb`] alone.
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

mod short;
mod parse;
mod source;
mod translate;
mod flow;
mod affinity;
mod service;
mod ports;
mod masquerade;
mod rewrite;
mod errors;
mod forward;
mod refuse;
mod verdict;

mod socket;

mod maps;
mod skb;

use aya_ebpf::macros::{cgroup_sock_addr, classifier};
use aya_ebpf::programs::{SockAddrContext, TcContext};

use crate::maps::{Room, Workspace};
use crate::parse::{Packet, parse};
use crate::refuse::refuse;
use crate::skb::{Side, Skb};
use crate::translate::{Hook, Outcome, translate, translate_answer};
use crate::verdict::{Drop, socket_verdict, verdict};

/// Ingress on the host end of a pod's veth: what the pod sends, requests and replies.
#[classifier]
pub fn from_pod(ctx: TcContext) -> i32 {
    let skb = Skb::new(ctx);
    skb.unmark();
    if let Ok(true) = short::walk(&skb, true) {
        return verdict(Ok(Outcome::Redirected));
    }
    walk(&skb, pods_packet)
}

/// Egress on the host end of a pod's veth: what the node's own processes answer to a pod that asked
/// a Service whose endpoint they are. What is forwarded to the pod has been seen where it came from.
#[classifier]
pub fn to_pod(ctx: TcContext) -> i32 {
    let skb = Skb::new(ctx);
    if !forward::is_nodes_own(&skb) {
        return verdict(Ok(Outcome::Pass));
    }
    walk(&skb, translate_answer)
}

/// tcx ingress on an uplink: what comes for pods, and replies to the node's own processes.
#[classifier]
pub fn from_network(ctx: TcContext) -> i32 {
    let skb = Skb::new(ctx);
    if skb.take_turned() {
        return verdict(Ok(Outcome::Pass));
    }
    if let Ok(true) = short::walk(&skb, false) {
        return verdict(Ok(Outcome::Redirected));
    }
    walk(&skb, networks_packet)
}

/// tcx egress on an uplink: what the node's own processes send to a frontend, and what pods send
/// out of the cluster.
#[classifier]
pub fn to_network(ctx: TcContext) -> i32 {
    let skb = Skb::new(ctx);
    if skb.take_done() {
        return verdict(Ok(Outcome::Pass));
    }
    if forward::is_nodes_own(&skb) {
        walk(&skb, nodes_packet)
    } else {
        walk(&skb, forwarded_packet)
    }
}

/// Reads the packet and takes its walk; what is not IP passes.
#[inline(always)]
fn walk(
    skb: &Skb,
    steps: impl FnOnce(&Skb, &mut Packet, &mut Room) -> Result<Outcome, Drop>,
) -> i32 {
    let Some(Workspace { packet, room }) = maps::workspace() else {
        // The kernel half was loaded with a map of no elements.
        return verdict(Err(Drop::Malformed));
    };
    verdict(match parse(skb, packet) {
        Ok(true) => steps(skb, packet, room),
        Ok(false) => Ok(Outcome::Pass),
        Err(drop) => Err(drop),
    })
}

#[inline(always)]
fn pods_packet(skb: &Skb, packet: &mut Packet, room: &mut Room) -> Result<Outcome, Drop> {
    let shaped = source::check(skb, packet)?;
    let outcome = translate(skb, packet, room, Hook::FromPod)?;
    let outcome = refuse(skb, packet, room, outcome, Side::Out)?;
    if shaped {
        return Ok(outcome);
    }
    forward::from_pod(skb, packet, room, outcome)
}

#[inline(always)]
fn networks_packet(skb: &Skb, packet: &mut Packet, room: &mut Room) -> Result<Outcome, Drop> {
    let outcome = translate(skb, packet, room, Hook::FromNetwork)?;
    if outcome == Outcome::Pass {
        masquerade::entering(packet, room);
    }
    let outcome = refuse(skb, packet, room, outcome, Side::Out)?;
    forward::from_network(skb, packet, room, outcome)
}

#[inline(always)]
fn nodes_packet(skb: &Skb, packet: &mut Packet, room: &mut Room) -> Result<Outcome, Drop> {
    let outcome = match translate(skb, packet, room, Hook::FromNode)? {
        Outcome::Pass => service::leaving(packet),
        outcome => outcome,
    };
    let outcome = refuse(skb, packet, room, outcome, Side::In)?;
    forward::from_node(skb, packet, room, outcome)
}

#[inline(always)]
fn forwarded_packet(skb: &Skb, packet: &mut Packet, room: &mut Room) -> Result<Outcome, Drop> {
    let outcome = masquerade::leaving(skb, packet, room)?;
    refuse(skb, packet, room, outcome, Side::In)
}

/// connect() of an IPv4 socket in the node's cgroup.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    socket_verdict(socket::connect(&socket::V4(ctx)))
}

/// connect() of an IPv6 socket, which may name an IPv4 address in its mapped form.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    socket_verdict(socket::connect(&socket::V6(ctx)))
}

/// sendto() of an IPv4 UDP socket that names an address.
#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    socket_verdict(socket::sendmsg(&socket::V4(ctx)))
}

/// sendto() of an IPv6 UDP socket that names an address.
#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    socket_verdict(socket::sendmsg(&socket::V6(ctx)))
}

/// recvfrom() of an IPv4 UDP socket: who answered.
#[cgroup_sock_addr(recvmsg4)]
pub fn recvmsg4(ctx: SockAddrContext) -> i32 {
    socket::recvmsg(&socket::V4(ctx));
    verdict::PROCEED
}

/// recvfrom() of an IPv6 UDP socket: who answered.
#[cgroup_sock_addr(recvmsg6)]
pub fn recvmsg6(ctx: SockAddrContext) -> i32 {
    socket::recvmsg(&socket::V6(ctx));
    verdict::PROCEED
}

/// getpeername() of an IPv4 socket: what connect() was asked for.
#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    socket::show_frontend(&socket::V4(ctx));
    verdict::PROCEED
}

/// getpeername() of an IPv6 socket.
#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    socket::show_frontend(&socket::V6(ctx));
    verdict::PROCEED
}

// The routing table's helper, bpf_fib_lookup, is for GPL-compatible programs only, so the three
// crates that run in the kernel are offered under GPL-2.0 beside Apache-2.0, and this tells it.
#[cfg(target_arch = "bpf")]
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 4] = *b"GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // The verifier rejects a program with a reachable endless loop, so a panic that could happen
    // is found when the program is loaded, not when it runs.
    loop {}
}

/// The host builds this crate only so that one `cargo clippy` and one editor see both halves.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
