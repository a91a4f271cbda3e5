//! Sockets of the node's own that a packet would meet.

use aya_ebpf::bindings::{
    bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 as SocketTupleV4,
    bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 as SocketTupleV6,
};
use aya_ebpf::helpers::{bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp};
use proxy_abi::{FlowKey, protocol};

use super::Skb;

impl Skb {
    /// Whether a socket in the interface's network namespace takes the answers to packets with this
    /// tuple: one that is connected so, or listens there.
    #[inline(always)]
    pub(crate) fn has_socket(&self, key: &FlowKey) -> bool {
        let ports = (
            u16::from_ne_bytes(key.destination_port.wire()),
            u16::from_ne_bytes(key.source_port.wire()),
        );
        let tcp = key.protocol == protocol::TCP;
        if key.source.is_v4() {
            let tuple = SocketTupleV4 {
                saddr: key.destination.low(),
                daddr: key.source.low(),
                sport: ports.0,
                dport: ports.1,
            };
            self.looks_up(&tuple, tcp)
        } else {
            let tuple = SocketTupleV6 {
                saddr: key.destination.words(),
                daddr: key.source.words(),
                sport: ports.0,
                dport: ports.1,
            };
            self.looks_up(&tuple, tcp)
        }
    }

    /// Whether there is a socket; `tuple` is one of the two of `struct bpf_sock_tuple`.
    #[inline(always)]
    fn looks_up<T>(&self, tuple: &T, tcp: bool) -> bool {
        // BPF_F_CURRENT_NETNS: the namespace of the packet's interface.
        const HERE: u64 = u64::MAX;
        let (skb, size) = (self.0.skb.skb.cast(), size_of::<T>() as u32);
        let tuple = (&raw const *tuple).cast_mut().cast();
        // SAFETY: the helpers read `size` bytes of `tuple`, and what they find is released before
        // it goes out of sight.
        unsafe {
            let socket = if tcp {
                bpf_skc_lookup_tcp(skb, tuple, size, HERE, 0).cast()
            } else {
                bpf_sk_lookup_udp(skb, tuple, size, HERE, 0)
            };
            if socket.is_null() {
                return false;
            }
            bpf_sk_release(socket.cast());
        }
        true
    }
}
