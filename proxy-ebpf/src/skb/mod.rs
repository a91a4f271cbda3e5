//! The one door to packet bytes. Everything is read and written through kernel helpers that check
//! bounds themselves, so no caller holds a pointer into a packet and none needs `unsafe`.

mod mark;
mod route;
mod sockets;

use aya_ebpf::bindings::{BPF_F_INGRESS, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR};
use aya_ebpf::helpers::{
    bpf_redirect, bpf_redirect_neigh, bpf_redirect_peer, bpf_skb_change_tail, bpf_skb_load_bytes,
};
use aya_ebpf::programs::TcContext;
use packet::{Family, ethernet, ipv4, ipv6};
use proxy_abi::{Ip, Port};

pub(crate) use route::{Route, RouteQuestion};

/// A packet at a tcx hook of an Ethernet device.
pub(crate) struct Skb(TcContext);

/// A type of which every bit pattern is a value.
pub(crate) trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for Ip {}

/// A helper said no: the bytes are not there or cannot be written.
pub(crate) struct Failed;

/// Where a transport checksum stands.
pub(crate) struct Checksum {
    /// Its offset in the frame.
    pub(crate) offset: u32,
    /// Whether zero means that there is none (UDP, RFC 768); to TCP it is a sum as any other.
    pub(crate) optional: bool,
    /// Whether it covers the addresses too, as a pseudo header.
    pub(crate) with_addresses: bool,
}

/// Where a packet goes next.
pub(crate) enum Side {
    /// Out of the interface.
    Out,
    /// Into the stack, as if the interface had received it.
    In,
}

impl Skb {
    #[inline(always)]
    pub(crate) const fn new(ctx: TcContext) -> Self {
        Self(ctx)
    }

    /// What the kernel gave the program.
    #[inline(always)]
    pub(crate) const fn context(&self) -> &TcContext {
        &self.0
    }

    /// The EtherType, host order, as the kernel read it off the frame.
    #[inline(always)]
    pub(crate) fn ether_type(&self) -> u16 {
        // `protocol` holds the big-endian type in its low half.
        u16::from_be(self.0.skb.protocol() as u16)
    }

    /// Index of the interface at which the packet stands.
    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        // SAFETY: the context pointer is the kernel's, valid while the program runs, and the
        // verifier checks this very load.
        unsafe { (*self.0.skb.skb).ifindex }
    }

    /// `N` plain values (integers, or types made of them) from `offset` of the frame.
    #[inline(always)]
    pub(crate) fn load<T: Plain, const N: usize>(&self, offset: u32) -> Result<[T; N], Failed> {
        self.0.load(offset as usize).map_err(|_| Failed)
    }

    /// Fills the first `N` bytes of `bytes` from the start of the frame.
    #[inline(always)]
    pub(crate) fn load_head<const N: usize>(&self, bytes: &mut [u8; N]) -> Result<(), Failed> {
        let to = (&raw mut *bytes).cast();
        // SAFETY: the helper writes `N` bytes, which are all the caller's.
        let result = unsafe { bpf_skb_load_bytes(self.0.skb.skb.cast(), 0, to, N as u32) };
        if result == 0 { Ok(()) } else { Err(Failed) }
    }

    /// The first `4 * N - 2` bytes of the frame, behind two bytes of zeros: so an IP header begins
    /// with a word. One call for everything, where a field at a time would be one each.
    #[inline(always)]
    pub(crate) fn load_aligned<const N: usize>(&self) -> Result<[u32; N], Failed> {
        let mut words = core::mem::MaybeUninit::<[u32; N]>::uninit();
        let to: *mut u32 = words.as_mut_ptr().cast();
        // SAFETY: the first word is written by us, then the helper writes all behind its first
        // half; together that is all of `words`.
        unsafe {
            to.write(0);
            let len = (4 * N - 2) as u32;
            match bpf_skb_load_bytes(self.0.skb.skb.cast(), 0, to.cast::<u8>().add(2).cast(), len) {
                0 => Ok(words.assume_init()),
                _ => Err(Failed),
            }
        }
    }

    /// Bytes of the frame.
    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        self.0.skb.len()
    }

    /// Whether the frame is no longer than one that is known to fit its way, or will be cut into
    /// segments that fit.
    #[inline(always)]
    pub(crate) fn fits(&self, longest: u32) -> bool {
        // SAFETY: as for `ifindex`.
        self.len() <= longest || unsafe { (*self.0.skb.skb).gso_size } != 0
    }

    /// Writes `bytes` at `offset`; no checksum is touched.
    #[inline(always)]
    pub(crate) fn store<const N: usize>(&self, offset: u32, bytes: &[u8; N]) -> Result<(), Failed> {
        self.0.store(offset as usize, bytes, 0).map_err(|_| Failed)
    }

    /// Patches the IPv4 header checksum at `offset` for four bytes that change.
    #[inline(always)]
    pub(crate) fn patch_ip(&self, offset: u32, from: u32, to: u32) -> Result<(), Failed> {
        self.0
            .l3_csum_replace(offset as usize, from.into(), to.into(), 4)
            .map_err(|_| Failed)
    }

    /// Patches a transport checksum for four bytes of the pseudo header.
    #[inline(always)]
    pub(crate) fn patch_pseudo(&self, at: &Checksum, from: u32, to: u32) -> Result<(), Failed> {
        self.patch(at, from.into(), to.into(), 4 | u64::from(BPF_F_PSEUDO_HDR))
    }

    /// Patches a transport checksum for four bytes of the data that it covers.
    #[inline(always)]
    pub(crate) fn patch_word(&self, at: &Checksum, from: u32, to: u32) -> Result<(), Failed> {
        self.patch(at, from.into(), to.into(), 4)
    }

    /// Patches a transport checksum for a port that changes.
    #[inline(always)]
    pub(crate) fn patch_port(&self, at: &Checksum, from: Port, to: Port) -> Result<(), Failed> {
        let (from, to) = (
            u16::from_ne_bytes(from.wire()),
            u16::from_ne_bytes(to.wire()),
        );
        self.patch(at, from.into(), to.into(), 2)
    }

    #[inline(always)]
    fn patch(&self, at: &Checksum, from: u64, to: u64, flags: u64) -> Result<(), Failed> {
        // Leaves a zero as it is, and writes none where one would come out.
        let optional = if at.optional {
            u64::from(BPF_F_MARK_MANGLED_0)
        } else {
            0
        };
        let offset = at.offset as usize;
        self.0
            .l4_csum_replace(offset, from, to, flags | optional)
            .map_err(|_| Failed)
    }

    /// Addresses the frame to the interface that was to send it.
    #[inline(always)]
    pub(crate) fn turn_round(&self) -> Result<(), Failed> {
        let sender: [u16; 3] = self.load(ethernet::SOURCE as u32)?;
        let [[a, b], [c, d], [e, f]] = sender.map(u16::to_ne_bytes);
        self.store(0, &[a, b, c, d, e, f])
    }

    /// Makes the frame exactly `len` bytes long, at its end.
    #[inline(always)]
    pub(crate) fn resize(&self, len: u32) -> Result<(), Failed> {
        // SAFETY: the helper takes the context and checks the length.
        let result = unsafe { bpf_skb_change_tail(self.0.skb.skb, len, 0) };
        if result == 0 { Ok(()) } else { Err(Failed) }
    }

    /// Index of the interface through which the packet came to this machine; 0 for one that the
    /// node's own stack made.
    #[inline(always)]
    pub(crate) fn came_from(&self) -> u32 {
        // SAFETY: as for `ifindex`.
        unsafe { (*self.0.skb.skb).ingress_ifindex }
    }

    /// Takes one from the hops that the packet may still take; `hops` is what it has, at least 2.
    #[inline(always)]
    pub(crate) fn spend_hop(&self, family: Family, hops: u8) -> Result<(), Failed> {
        let ip = packet::ethernet::LEN as u32;
        match family {
            Family::V4 => {
                // The helper patches two bytes at a time; the other one does not change.
                let (from, to) = ([hops, 0], [hops - 1, 0]);
                let checksum = (ip + ipv4::CHECKSUM) as usize;
                let (from_word, to_word) = (u16::from_ne_bytes(from), u16::from_ne_bytes(to));
                self.0
                    .l3_csum_replace(checksum, from_word.into(), to_word.into(), 2)
                    .map_err(|_| Failed)?;
                self.store(ip + ipv4::TTL, &[hops - 1])
            }
            Family::V6 => self.store(ip + ipv6::HOP_LIMIT, &[hops - 1]),
        }
    }

    /// Into the other end of the veth whose host end is `ifindex`, as if it had received the
    /// packet from us. Only at ingress.
    #[inline(always)]
    pub(crate) fn redirect_to_peer(&self, ifindex: u32) {
        // SAFETY: as `redirect`.
        _ = unsafe { bpf_redirect_peer(ifindex, 0) };
    }

    /// Sends the packet to an interface as it is.
    #[inline(always)]
    pub(crate) fn redirect(&self, ifindex: u32, side: Side) {
        let flags = match side {
            Side::Out => 0,
            Side::In => u64::from(BPF_F_INGRESS),
        };
        // SAFETY: the helper takes numbers and notes them for when the program returns. Without
        // unknown flags it cannot fail.
        _ = unsafe { bpf_redirect(ifindex, flags) };
    }

    /// Sends the packet out of an interface, after the stack has found the Ethernet address of
    /// its next hop (asking for it and holding the packet meanwhile, if need be).
    #[inline(always)]
    pub(crate) fn redirect_by_neighbour(&self, ifindex: u32) {
        // SAFETY: as `redirect`; a null pointer of length 0 says: look the next hop up yourself.
        _ = unsafe { bpf_redirect_neigh(ifindex, core::ptr::null_mut(), 0, 0) };
    }
}
