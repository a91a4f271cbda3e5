//! Every map of the kernel half, and the only code that touches one.
//!
//! | map | key -> value | writer | when full |
//! |---|---|---|---|
//! | `frontends` | address, port, protocol -> endpoint lists | agent | the agent reports it |
//! | `endpoints` | slot -> endpoint | agent | the agent reports it |
//! | `host_ports` | address, port, protocol -> pod's address and port | CNI plugin | ADD fails |
//! | `openings` | tuple on arrival -> tuple to write | packet programs | least recently used goes |
//! | `flows` | the same, once both sides have spoken | packet programs | it stays in `openings` |
//! | `ways` | slot of a tuple -> where its segments go | packet programs | each slot has its last |
//! | `affinity` | Service, client -> endpoint | packet programs | least recently used goes |
//! | `fragments` | datagram -> its ports | packet programs | least recently used goes |
//! | `socket_peers` | socket and endpoint -> frontend | socket programs | the same |
//! | `packet_pods` | network namespace -> interface | CNI plugin | ADD fails |
//! | `pods` | address -> interface and Ethernet address | CNI plugin | ADD fails |
//! | `node_addresses` | address -> flags | agent | the agent reports it |
//! | `inside` | prefix -> whose it is | agent | the agent reports it |
//! | `source_ranges` | service and prefix -> nothing | agent | the agent reports it |
//! | `uplinks` | interface -> masquerade's address and ports | agent | the agent reports it |
//! | `this_node` | 0 -> network namespace, switches | agent | fixed |
//! | `counters` | counter -> packets or sockets, per CPU | all programs | fixed |
//!
//! All of these are pinned by name, so that they outlive the agent. Sizes are defaults; the agent
//! may set others when it creates them. Not pinned are `workspace`, which holds nothing between
//! packets, and `earlier` (slot -> program, written by the agent).

mod earlier;
mod flows;
mod node;
mod services;
mod sockets;
mod ways;

pub(crate) use earlier::*;
pub(crate) use flows::*;
pub(crate) use node::*;
pub(crate) use services::*;
pub(crate) use sockets::*;
pub(crate) use ways::*;

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use packet::refusal;
use proxy_abi::{Client, Counter, Flow, FlowKey, Way};

use crate::errors::Carried;
use crate::parse::Packet;
use crate::service::Service;
use crate::skb::RouteQuestion;

#[map(name = "counters")]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::pinned(Counter::COUNT, 0);

/// What a walk works with. Not pinned: it holds nothing between packets.
#[map(name = "workspace")]
static WORKSPACE: PerCpuArray<Workspace> = PerCpuArray::with_max_entries(1, 0);

/// The packet of a walk, and room beside it: together they would not fit into the 512 bytes of
/// stack that a chain of functions has, and the verifier has less to keep apart in a map's memory
/// than on a stack.
#[repr(C)]
pub(crate) struct Workspace {
    /// The packet.
    pub(crate) packet: Packet,
    /// The rest.
    pub(crate) room: Room,
}

/// What is written before it is read, by each step for itself or for the next.
#[repr(C)]
pub(crate) struct Room {
    /// The packet's half of its flow.
    pub(crate) flow: Flow,
    /// What stands at the packet's destination.
    pub(crate) service: Service,
    /// The client of a Service with affinity.
    pub(crate) client: Client,
    /// Where the packet goes.
    pub(crate) way: Way,
    /// What the routing table is asked.
    pub(crate) routing: RouteQuestion,
    /// The key of the flow's other half.
    pub(crate) answers: FlowKey,
    /// The flow's other half.
    pub(crate) other: Flow,
    /// The key of the client's half of a flow that stands in the way of another.
    pub(crate) rival: FlowKey,
    /// What an ICMP error carries.
    pub(crate) error: Carried,
    /// The head of a frame that is to be answered.
    pub(crate) question: [u8; refusal::RESET_V6],
    /// The frame that answers it.
    pub(crate) answer: [u8; refusal::UNREACHABLE_V6],
}

/// This CPU's workspace, with what it last held.
#[inline(always)]
pub(crate) fn workspace() -> Option<&'static mut Workspace> {
    // SAFETY: the slot is this CPU's own, lives as long as the program, and a packet program is
    // not interrupted by another on one CPU; each walk asks for it once. It begins as zeros and
    // only values of its types are written to it; zeros are a value of each.
    WORKSPACE
        .get_ptr_mut(0)
        .map(|workspace| unsafe { &mut *workspace })
}

/// Adds one.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the pointer is this CPU's own slot. A connect program may be preempted by
        // another between reading and writing it, which loses a count and nothing else.
        unsafe { *value += 1 };
    }
}
