//! The walk of a socket: service -> endpoint -> address. A TCP connect() to a frontend is pointed
//! at an endpoint once, and no packet of the connection is ever rewritten.
//!
//! TCP only: a connected UDP socket would stay on its endpoint after the endpoint's death, so
//! datagrams are translated packet by packet. But what a process of the node sends to an address
//! of the node itself never comes by a packet program: such datagrams are pointed at an endpoint
//! here, and such connections even where the socket path is switched off. So is what it sends to a
//! frontend's address for which the node would ask its neighbours, of whom nobody has it: such a
//! packet gets to no program either.
//!
//! A frontend that asks for the client's address (affinity, source ranges) is the packet programs'
//! business, because a socket that connects has none yet; at the node's own addresses it will be
//! that very address. So is a pod that said no (a mesh, whose own proxy is to see what was asked for;
//! a sandbox, whose sockets are not the kernel's).

use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::programs::SockAddrContext;
use packet::choice;
use proxy_abi::socket::{PROBE_PORT, PROBE_V4, PROBE_V6};
use proxy_abi::{Affinity, Client, Endpoint, Ip, Offer, Port, Treatment, protocol};

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
    point(address, true)
}

/// Points a datagram, sent to an address that is named with it, to an endpoint.
#[inline(always)]
pub(crate) fn sendmsg(address: &impl Address) -> SocketOutcome {
    point(address, false)
}

#[inline(always)]
fn point(address: &impl Address, connects: bool) -> SocketOutcome {
    let protocol = match protocol_of(address) {
        number if number == u32::from(protocol::TCP) && connects => protocol::TCP,
        number if number == u32::from(protocol::UDP) => protocol::UDP,
        _ => return SocketOutcome::NotOurs,
    };
    let dialled = (address.ip(), port(address));
    if dialled.1 == PROBE_PORT && (dialled.0 == PROBE_V4 || dialled.0 == PROBE_V6) {
        return SocketOutcome::Probed;
    }
    let Some(reason) = reason(address, &dialled.0, protocol) else {
        return SocketOutcome::NotOurs;
    };
    let chosen = choose(address, dialled, protocol, reason);
    // Asked last, so that what is no frontend does not pay for it.
    if !matches!(chosen, Chosen::Nothing)
        && reason == Reason::Accelerated
        && maps::is_packet_pods(address.context())
    {
        return SocketOutcome::NotOurs;
    }
    let endpoint = match chosen {
        Chosen::Endpoint(endpoint) => endpoint,
        Chosen::Nothing => return SocketOutcome::NotOurs,
        Chosen::Nobody => return SocketOutcome::Refused,
        Chosen::Forbidden => return SocketOutcome::Forbidden,
    };
    maps::remember_peer(address.context(), dialled, endpoint.at());
    address.set_ip(endpoint.address);
    set_port(address, endpoint.port);
    SocketOutcome::Translated
}

/// Why a socket is pointed at an endpoint, rather than its packets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It is the node's own and goes to one of the node's own addresses.
    NodesAddress,
    /// It is the node's own, and its packets may get nowhere.
    NodesOwn,
    /// A connection is cheaper so.
    Accelerated,
}

#[inline(always)]
fn reason(address: &impl Address, dialled: &Ip, protocol: u8) -> Option<Reason> {
    let node = maps::this_node();
    let nodes_address = is_nodes_address(dialled);
    let accelerated = protocol == protocol::TCP && node.socket_path();
    // A pod's connection does not pay for the question.
    if nodes_address || !accelerated {
        let own = maps::is_nodes_own(address.context(), &node);
        return match (own, nodes_address) {
            (true, true) => Some(Reason::NodesAddress),
            (true, false) => Some(Reason::NodesOwn),
            (false, _) => accelerated.then_some(Reason::Accelerated),
        };
    }
    Some(Reason::Accelerated)
}

/// What stands where a socket wants to go.
enum Chosen {
    /// This one takes it.
    Endpoint(Endpoint),
    /// Nothing of ours, or nothing for a socket.
    Nothing,
    /// A frontend without endpoints.
    Nobody,
    /// A frontend that is not for this client.
    Forbidden,
}

#[inline(always)]
fn choose(address: &impl Address, dialled: (Ip, Port), protocol: u8, reason: Reason) -> Chosen {
    let Some(frontend) = service::at(dialled.0, dialled.1, protocol) else {
        return match reason {
            Reason::NodesAddress => service::host_port(dialled, protocol)
                .map_or(Chosen::Nothing, |found| Chosen::Endpoint(found.endpoint)),
            Reason::NodesOwn | Reason::Accelerated => Chosen::Nothing,
        };
    };
    let offer = frontend.offer;
    let limited = offer.treatment.has(Treatment::SOURCE_RANGES);
    let by_packets = match reason {
        Reason::NodesAddress => false,
        Reason::NodesOwn if !offer.treatment.has(Treatment::ON_LINK) => true,
        Reason::NodesOwn | Reason::Accelerated => limited || offer.affinity_seconds != 0,
    };
    if by_packets {
        return Chosen::Nothing;
    }
    // Whoever goes to an address of his own comes from there.
    if limited && !maps::is_in_ranges(offer.service, &dialled.0) {
        return Chosen::Forbidden;
    }
    if offer.inside.count == 0 {
        if offer.treatment.has(Treatment::DROP_INSIDE) {
            return Chosen::Nothing; // Dropped, not refused: packet by packet.
        }
        return Chosen::Nobody;
    }
    if offer.affinity_seconds != 0 {
        return kept(&offer, dialled.0, chance(address, protocol));
    }
    one_of(&offer, chance(address, protocol))
}

/// The endpoint that the client had last, if that still counts and serves; else any, which it keeps.
#[inline(never)]
fn kept(offer: &Offer, client: Ip, chance: u32) -> Chosen {
    let client = Client {
        service: offer.service,
        address: client,
    };
    let last = maps::affinity(&client);
    let counts = |last: &Affinity| {
        last.counts(maps::now(), offer.affinity_seconds)
            && service::serves(offer.inside, last.endpoint.at())
    };
    let chosen = match last.filter(counts) {
        Some(last) => Chosen::Endpoint(last.endpoint),
        None => one_of(offer, chance),
    };
    if let Chosen::Endpoint(endpoint) = chosen {
        maps::keep_client(&client, endpoint);
    }
    chosen
}

#[inline(always)]
fn one_of(offer: &Offer, chance: u32) -> Chosen {
    match service::endpoint(offer.inside, choice::index(chance, offer.inside.count)) {
        Ok(endpoint) => Chosen::Endpoint(endpoint),
        // An empty slot is the agent's mistake: the packet path will count and drop it.
        Err(_) => Chosen::Nothing,
    }
}

/// What decides among endpoints: another number for each connection, the same for all datagrams of
/// a socket, which the endpoint may have to tell as one conversation.
#[inline(always)]
fn chance(address: &impl Address, protocol: u8) -> u32 {
    if protocol == protocol::UDP {
        return choice::number_hash(maps::cookie(address.context()));
    }
    // SAFETY: the helper takes nothing and returns a number.
    unsafe { bpf_get_prandom_u32() }
}

/// Whether an address leads to the node itself, from the node.
#[inline(always)]
fn is_nodes_address(address: &Ip) -> bool {
    let loopback = match address.as_v4() {
        Some([first, ..]) => first == 127,
        None => address.halves() == (0, 1),
    };
    loopback || maps::is_nodes(address)
}

/// Shows the frontend that connect() was asked for, while the socket is connected to the endpoint
/// that it was given; or the one to which the datagram went that is now answered.
#[inline(always)]
pub(crate) fn show_frontend(address: &impl Address) {
    if let Some(frontend) = maps::asked_for(address.context(), (address.ip(), port(address))) {
        address.set_ip(frontend.address);
        set_port(address, frontend.port);
    }
}

/// The same for a datagram that is received; only the node's own sockets have been given endpoints.
#[inline(always)]
pub(crate) fn recvmsg(address: &impl Address) {
    if maps::is_nodes_own(address.context(), &maps::this_node()) {
        show_frontend(address);
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
