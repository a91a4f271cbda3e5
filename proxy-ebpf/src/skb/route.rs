//! What the node's routing table says of a packet's way.

use aya_ebpf::bindings::bpf_fib_lookup as FibLookup;
use aya_ebpf::helpers::bpf_fib_lookup;
use packet::Family;

use super::Skb;
use crate::parse::Packet;

/// What the node's routing table says of a destination.
pub(crate) enum Route {
    /// Out of interface `ifindex`; both Ethernet addresses known: destination, source.
    Neighbour { ifindex: u32, addresses: [u8; 12] },
    /// Out of interface `ifindex`; the next hop must be asked for its Ethernet address.
    Unresolved { ifindex: u32 },
    /// Nowhere, or a way that only the stack can take.
    Other,
}

/// Room for a question to the routing table and its answer: too much for a program's stack.
pub(crate) struct RouteQuestion(FibLookup);

impl RouteQuestion {
    #[inline(always)]
    fn clear(&mut self) {
        const WORDS: usize = size_of::<FibLookup>() / size_of::<u32>();
        let words = (&raw mut self.0).cast::<u32>();
        for word in 0..WORDS {
            // SAFETY: the struct is this many words long and aligned to them, plain integers and
            // unions of them; zero is a value of each. Volatile, lest the compiler make it a call
            // that clears bytes, one at a time.
            unsafe { words.add(word).write_volatile(0) };
        }
    }
}

impl Skb {
    /// Asks the node's routing table for the way of a packet that is to be forwarded. (As for
    /// one of the node's own, BPF_FIB_LOOKUP_OUTPUT, the helper would consider no interface but
    /// this one.) Forwarding must be enabled on the interface.
    #[inline(always)]
    pub(crate) fn route(&self, packet: &Packet, question: &mut RouteQuestion) -> Route {
        // Address families of linux/socket.h.
        const AF_INET: u8 = 2;
        const AF_INET6: u8 = 10;
        const SUCCESS: i64 = 0; // BPF_FIB_LKUP_RET_SUCCESS
        const NO_NEIGHBOUR: i64 = 7; // BPF_FIB_LKUP_RET_NO_NEIGH
        question.clear();
        let params = &mut question.0;
        params.ifindex = self.ifindex();
        let (source, destination) = (packet.key.source, packet.key.destination);
        match packet.family {
            Family::V4 => {
                params.family = AF_INET;
                params.__bindgen_anon_3.ipv4_src = source.low();
                params.__bindgen_anon_4.ipv4_dst = destination.low();
            }
            Family::V6 => {
                params.family = AF_INET6;
                params.__bindgen_anon_3.ipv6_src = source.words();
                params.__bindgen_anon_4.ipv6_dst = destination.words();
            }
        }
        let size = size_of::<FibLookup>() as i32;
        // SAFETY: the helper reads and writes `params` within the size that it is told.
        let result = unsafe { bpf_fib_lookup(self.0.skb.skb.cast(), &raw mut *params, size, 0) };
        match result {
            SUCCESS => Route::Neighbour {
                ifindex: params.ifindex,
                addresses: ethernet(params),
            },
            NO_NEIGHBOUR => Route::Unresolved {
                ifindex: params.ifindex,
            },
            _ => Route::Other,
        }
    }
}

/// Destination and source, as they stand at the head of a frame.
#[inline(always)]
fn ethernet(params: &FibLookup) -> [u8; 12] {
    let [a, b, c, d, e, f] = params.dmac;
    let [g, h, i, j, k, l] = params.smac;
    [a, b, c, d, e, f, g, h, i, j, k, l]
}
