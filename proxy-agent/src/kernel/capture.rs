//! Sees packets where they pass the interfaces of a network namespace, as tcpdump does: a packet
//! socket for a moment, for `flatnet trace`. While nobody traces there is none, and the data path is
//! the same as without it. A packet that a program sends straight into a pod is seen in the pod.

mod head;

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::mpsc::sync_channel;

use proxy_abi::FlowKey;

use self::head::tuple;
use super::ask;
use super::lease::{Gathering, Lease};
use super::spaces::Space;
use super::trace::Wanted;

/// How long a look at the socket lasts.
const LOOK: libc::timeval = libc::timeval {
    tv_sec: 0,
    tv_usec: 20_000,
};
/// Bytes of a packet that are read: headers.
const HEAD: usize = 96;
/// What the kernel may keep for us until we read it.
const BUFFER: libc::c_int = 8 << 20;
/// A path has a few packets; who follows traffic takes them in time.
const MOST: usize = 10_000;

/// A packet at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The interface's name in its namespace.
    pub interface: String,
    /// Whether it left by it, rather than came.
    pub outgoing: bool,
    /// Its tuple.
    pub tuple: FlowKey,
    /// When, in nanoseconds since 1970 by the machine's clock.
    pub nanoseconds: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Taken {
    /// The packets, as they came.
    pub sightings: Vec<Sighting>,
    /// Packets, of any kind, for which there was no room: some of ours may have been among them.
    pub missed: u64,
}

/// Begins to look in a namespace; when this returns, no packet is missed for being early.
///
/// # Errors
/// If the namespace cannot be entered or the socket cannot be made.
pub fn start(space: &Space, wanted: Wanted) -> io::Result<Gathering<Taken>> {
    let pid = space.pids.first().ok_or(io::ErrorKind::NotFound)?;
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    let (ready, opened) = sync_channel(1);
    let gathering =
        Gathering::begin(
            move |held| match ask::enter(&namespace).and_then(|()| open()) {
                Ok(socket) => {
                    _ = ready.send(Ok(()));
                    look(&socket, &wanted, held);
                }
                Err(error) => _ = ready.send(Err(error)),
            },
        );
    opened
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the thread that looks broke")))?;
    Ok(gathering)
}

fn open() -> io::Result<OwnedFd> {
    let all = i32::from((libc::ETH_P_ALL as u16).to_be());
    // SAFETY: socket() takes numbers; a descriptor that it returns is nobody else's.
    let socket = unsafe {
        match libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, all) {
            -1 => return Err(io::Error::last_os_error()),
            descriptor => OwnedFd::from_raw_fd(descriptor),
        }
    };
    set(&socket, libc::SO_RCVBUFFORCE, &BUFFER)?;
    set(&socket, libc::SO_TIMESTAMPNS, &1_i32)?;
    set(&socket, libc::SO_RCVTIMEO, &LOOK)?;
    Ok(socket)
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let descriptor = socket.as_raw_fd();
    let value: *const T = value;
    // SAFETY: the value is whole and alive for the call, and as long as is said.
    let done =
        unsafe { libc::setsockopt(descriptor, libc::SOL_SOCKET, option, value.cast(), length) };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn look(socket: &OwnedFd, wanted: &Wanted, held: &Lease<Taken>) {
    let mut names = BTreeMap::new();
    loop {
        // Read before the last look, so that what came before the stop is seen.
        let last = held.is_over();
        match next(socket) {
            Some(packet) => {
                let found = sighting(&packet, wanted, &mut names);
                held.with(|taken| match taken.sightings.len() < MOST {
                    true => taken.sightings.extend(found),
                    false => taken.missed += u64::from(found.is_some()),
                });
            }
            None if last => break,
            None => {}
        }
        // What never pauses is left in the midst of it.
        if held.is_forgotten() {
            break;
        }
    }
    held.with(|taken| taken.missed += missed(socket));
}

/// A packet as the socket gives it.
struct Packet {
    bytes: [u8; HEAD],
    length: usize,
    from: libc::sockaddr_ll,
    nanoseconds: u64,
}

fn next(socket: &OwnedFd) -> Option<Packet> {
    let mut bytes = [0; HEAD];
    let mut control = [0_u64; 16];
    // SAFETY: plain integers, of which zero is a value.
    let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: HEAD,
    };
    // SAFETY: pointers and integers, of which zero is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: all that the message points at lives through the call and is as long as is said.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let length = usize::try_from(length).ok()?;
    Some(Packet {
        bytes,
        length,
        from,
        nanoseconds: stamp(&message),
    })
}

fn stamp(message: &libc::msghdr) -> u64 {
    // SAFETY: the message was filled by recvmsg() and its control buffer lives.
    let first = unsafe { libc::CMSG_FIRSTHDR(message) };
    if first.is_null() {
        return 0;
    }
    // SAFETY: the pointer is to a whole header within the buffer, which is aligned for it.
    let header = unsafe { *first };
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return 0;
    }
    // SAFETY: behind a header of this type stands a timespec.
    let time = unsafe {
        libc::CMSG_DATA(first)
            .cast::<libc::timespec>()
            .read_unaligned()
    };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

fn sighting(
    packet: &Packet,
    wanted: &Wanted,
    names: &mut BTreeMap<i32, String>,
) -> Option<Sighting> {
    let head = packet.bytes.get(..packet.length.min(HEAD))?;
    let tuple = tuple(head)?;
    let index = packet.from.sll_ifindex;
    wanted.fits(&tuple).then(|| Sighting {
        interface: names.entry(index).or_insert_with(|| name(index)).clone(),
        outgoing: packet.from.sll_pkttype == libc::PACKET_OUTGOING,
        tuple,
        nanoseconds: packet.nanoseconds,
    })
}

fn name(index: i32) -> String {
    let mut name = [0 as libc::c_char; libc::IF_NAMESIZE];
    let index = index.cast_unsigned();
    // SAFETY: the buffer has the length that the call asks for.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return index.to_string();
    }
    // SAFETY: the call has written a string with its end into the buffer.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    name.to_string_lossy().into_owned()
}

/// `struct tpacket_stats` (linux/if_packet.h): packets for which there was no room.
fn missed(socket: &OwnedFd) -> u64 {
    let mut counts = [0_u32; 2];
    let mut length = size_of_val(&counts) as libc::socklen_t;
    // SAFETY: the buffer is as long as is said and lives through the call.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            counts.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    match done {
        0 => counts[1].into(),
        _ => 0,
    }
}
