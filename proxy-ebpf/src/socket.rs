//! The walk of a socket: service -> endpoint -> address. A TCP connect() to a frontend is pointed
//! at an endpoint once, and no packet of the connection is ever rewritten.
//!
//! TCP only: a connected UDP socket would stay on its endpoint after the endpoint's death, so
//! datagrams are translated packet by packet.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::programs::SockAddrContext;
use packet::choice;
use proxy_abi::{Ip, Port, SocketPeer, protocol};

use crate::verdict::SocketOutcome;
use crate::{maps, service};

/// The address that a socket system call carries: read, or written over.
pub(crate) trait Address {
    /// The kernel's context.
    fn context(&self) -> &SockAddrContext;
    /// The IP address.
    fn ip(&self) -> Ip;
    /// Writes another IP address of the same family.
    fn set_ip(&self, ip: Ip);
}

/// A call of an AF_INET socket.
pub(crate) struct V4(pub(crate) SockAddrContext);
/// A call of an AF_INET6 socket.
pub(crate) struct V6(pub(crate) SockAddrContext);

impl Address for V4 {
    #[inline(always)]
    fn context(&self) -> &SockAddrContext {
        &self.0
    }

    #[inline(always)]
    fn ip(&self) -> Ip {
        // SAFETY: the kernel's context, valid while the program runs; the verifier checks the
        // load. The field holds the four bytes in network order.
        Ip::v4(unsafe { (*self.0.sock_addr).user_ip4 }.to_ne_bytes())
    }

    #[inline(always)]
    fn set_ip(&self, ip: Ip) {
        // SAFETY: as above, a store that the verifier checks.
        unsafe { (*self.0.sock_addr).user_ip4 = ip.low() };
    }
}

impl Address for V6 {
    #[inline(always)]
    fn context(&self) -> &SockAddrContext {
        &self.0
    }

    #[inline(always)]
    fn ip(&self) -> Ip {
        // SAFETY: as for V4. The kernel lets the field be read in words of four bytes, so each
        // is read by itself and volatile, lest the compiler join them into other sizes.
        let word = |index: usize| unsafe {
            (&raw const (*self.0.sock_addr).user_ip6[index]).read_volatile()
        };
        Ip::from_words([word(0), word(1), word(2), word(3)])
    }

    #[inline(always)]
    fn set_ip(&self, ip: Ip) {
        for (index, word) in ip.words().into_iter().enumerate() {
            // SAFETY: as for reading, word by word.
            unsafe { (&raw mut (*self.0.sock_addr).user_ip6[index]).write_volatile(word) };
        }
    }
}

/// Points a connect() to a frontend at one of its endpoints.
#[inline(always)]
pub(crate) fn connect(address: &impl Address) -> SocketOutcome {
    if protocol_of(address) != u32::from(protocol::TCP) {
        return SocketOutcome::NotOurs;
    }
    let dialled = (address.ip(), port(address));
    let Some(frontend) = service::at(dialled.0, dialled.1, protocol::TCP) else {
        return SocketOutcome::NotOurs;
    };
    if frontend.offer.inside.count == 0 {
        return SocketOutcome::Refused;
    }
    // SAFETY: the helper takes nothing and returns a number.
    let random = unsafe { bpf_get_prandom_u32() };
    let Ok(endpoint) = service::endpoint(
        frontend.offer.inside,
        choice::index(random, frontend.offer.inside.count),
    ) else {
        // An empty slot is the agent's mistake: the packet path will count and drop it.
        return SocketOutcome::NotOurs;
    };
    maps::remember_peer(address.context(), &SocketPeer::new(dialled, endpoint.at()));
    address.set_ip(endpoint.address);
    set_port(address, endpoint.port);
    SocketOutcome::Translated
}

/// Shows the frontend that connect() was asked for, while the socket is connected to the endpoint
/// that it was given.
#[inline(always)]
pub(crate) fn getpeername(address: &impl Address) {
    let Some(peer) = maps::peer(address.context()) else {
        return;
    };
    if peer.endpoint() == (address.ip(), port(address)) {
        let (ip, port) = peer.frontend();
        address.set_ip(ip);
        set_port(address, port);
    }
}

#[inline(always)]
fn protocol_of(address: &impl Address) -> u32 {
    // SAFETY: as for `ip`.
    unsafe { (*address.context().sock_addr).protocol }
}

#[inline(always)]
fn port(address: &impl Address) -> Port {
    // SAFETY: as for `ip`. The two bytes, in network order, stand in the low half.
    let word = unsafe { (*address.context().sock_addr).user_port };
    Port::from_wire((word as u16).to_ne_bytes())
}

#[inline(always)]
fn set_port(address: &impl Address, port: Port) {
    let word = u32::from(u16::from_ne_bytes(port.wire()));
    // SAFETY: as for `set_ip`.
    unsafe { (*address.context().sock_addr).user_port = word };
}
