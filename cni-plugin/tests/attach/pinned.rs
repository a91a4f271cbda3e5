//! Stand-ins for what the agent pins, made by bpf(2) itself so that these tests need no BPF
//! toolchain: programs of two instructions that give every packet one verdict, and the
//! maps `pods` and `host_ports`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// What the program says of every packet (linux/bpf.h, `enum tcx_action_base`).
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// Go on as if the program were not there.
    Next = -1,
    /// Drop.
    Drop = 2,
}

const BPF_MAP_CREATE: i64 = 0;
const BPF_MAP_LOOKUP_ELEM: i64 = 1;
const BPF_MAP_UPDATE_ELEM: i64 = 2;
const BPF_MAP_GET_NEXT_KEY: i64 = 4;
const BPF_MAP_TYPE_HASH: u32 = 1;
const BPF_PROG_LOAD: i64 = 5;
const BPF_OBJ_PIN: i64 = 6;
const BPF_OBJ_GET: i64 = 7;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

/// The head of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The head of `union bpf_attr` for BPF_OBJ_PIN.
#[repr(C)]
struct ObjectPin {
    path: u64,
    fd: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for BPF_MAP_CREATE.
#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    capacity: u32,
}

/// `union bpf_attr` for operations on one element.
#[repr(C)]
struct Element {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// What the map `pods` says of an address: interface index, MAC address, and whether the pod's
/// traffic is limited.
pub(crate) type Entry = (u32, [u8; 6], bool);
/// A port of the node: address, port, protocol number.
pub(crate) type HostPort = (IpAddr, u16, u8);
/// Whose it is: address, port, interface index.
pub(crate) type Holder = (IpAddr, u16, u32);

/// Makes a map with keys and values of these sizes and pins it.
pub(crate) fn pin_map(path: &Path, key_size: u32, value_size: u32, capacity: u32) {
    let attributes = MapCreate {
        kind: BPF_MAP_TYPE_HASH,
        key_size,
        value_size,
        capacity,
    };
    let map = owned(bpf(BPF_MAP_CREATE, &attributes).expect("BPF_MAP_CREATE"));
    pin_object(&map, path);
}

/// What a pinned map of pods holds.
pub(crate) fn pods(path: &Path) -> BTreeMap<IpAddr, Entry> {
    let entries = elements::<16, 12>(path).into_iter();
    let read = entries.map(|(key, value)| {
        let [a, b, c, d, mac @ .., flags, _] = value;
        let entry = (u32::from_ne_bytes([a, b, c, d]), mac, flags & 1 != 0);
        (address(key), entry)
    });
    read.collect()
}

/// What a pinned map of network namespaces holds.
pub(crate) fn packet_pods(path: &Path) -> BTreeMap<u64, u32> {
    let entries = elements::<8, 4>(path).into_iter();
    let read = entries.map(|(key, value)| (u64::from_ne_bytes(key), u32::from_ne_bytes(value)));
    read.collect()
}

/// What a pinned map of host ports holds.
pub(crate) fn host_ports(path: &Path) -> BTreeMap<HostPort, Holder> {
    let entries = elements::<20, 24>(path).into_iter();
    let read = entries.map(|(key, value)| {
        let [ip @ .., a, b, protocol, _] = key;
        let host_port = (address(ip), u16::from_be_bytes([a, b]), protocol);
        let [ip @ .., a, b, _, _, c, d, e, f] = value;
        let index = u32::from_ne_bytes([c, d, e, f]);
        (host_port, (address(ip), u16::from_be_bytes([a, b]), index))
    });
    read.collect()
}

/// Makes an entry in a pinned map of host ports.
pub(crate) fn set_host_port(path: &Path, (ip, port, protocol): HostPort, holder: Holder) {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let mut key = [0; 20];
    key[..16].copy_from_slice(&octets(ip));
    key[16..18].copy_from_slice(&port.to_be_bytes());
    key[18] = protocol;
    let mut value = [0; 24];
    value[..16].copy_from_slice(&octets(holder.0));
    value[16..18].copy_from_slice(&holder.1.to_be_bytes());
    value[20..].copy_from_slice(&holder.2.to_ne_bytes());
    let map = open(path);
    let element = element(&map, key.as_ptr() as u64, &mut value);
    bpf(BPF_MAP_UPDATE_ELEM, &element).expect("BPF_MAP_UPDATE_ELEM");
}

fn address(octets: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(octets).to_canonical()
}

fn elements<const K: usize, const V: usize>(path: &Path) -> Vec<([u8; K], [u8; V])> {
    let map = open(path);
    let mut elements = Vec::<([u8; K], [u8; V])>::new();
    loop {
        let mut next = [0; K];
        let last = elements.last().map_or(0, |(key, _)| key.as_ptr() as u64);
        if bpf(BPF_MAP_GET_NEXT_KEY, &element(&map, last, &mut next)).is_err() {
            return elements;
        }
        let mut value = [0; V];
        let lookup = element(&map, next.as_ptr() as u64, &mut value);
        bpf(BPF_MAP_LOOKUP_ELEM, &lookup).expect("BPF_MAP_LOOKUP_ELEM");
        elements.push((next, value));
    }
}

fn element(map: &OwnedFd, key: u64, value: &mut [u8]) -> Element {
    Element {
        map: u32::try_from(map.as_raw_fd()).unwrap(),
        zero: 0,
        key,
        value: value.as_mut_ptr() as u64,
        flags: 0,
    }
}

fn open(path: &Path) -> OwnedFd {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let object = ObjectPin {
        path: path.as_ptr() as u64,
        fd: 0,
        flags: 0,
    };
    owned(bpf(BPF_OBJ_GET, &object).expect("BPF_OBJ_GET"))
}

/// Loads a program with that verdict and pins it. It has the name of its pin, up to a `-`.
pub(crate) fn pin_program(path: &Path, verdict: Verdict) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let name = name.split('-').next().unwrap();
    let mut padded = [0; 16];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    pin_object(&load(padded, verdict), path);
}

fn pin_object(object: &OwnedFd, path: &Path) {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let fd = u32::try_from(object.as_raw_fd()).unwrap();
    bpf(
        BPF_OBJ_PIN,
        &ObjectPin {
            path: path.as_ptr() as u64,
            fd,
            flags: 0,
        },
    )
    .expect("BPF_OBJ_PIN");
}

fn load(name: [u8; 16], verdict: Verdict) -> OwnedFd {
    let instruction = |code: u8, immediate: i32| {
        let [a, b, c, d] = immediate.to_ne_bytes();
        [code, 0, 0, 0, a, b, c, d]
    };
    // r0 = verdict; exit
    let instructions = [instruction(0xb7, verdict as i32), instruction(0x95, 0)];
    let attributes = ProgramLoad {
        kind: BPF_PROG_TYPE_SCHED_CLS,
        instruction_count: 2,
        instructions: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
        name,
    };
    owned(bpf(BPF_PROG_LOAD, &attributes).expect("BPF_PROG_LOAD"))
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel returned it just now for this call; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn bpf<T>(command: i64, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` is a `repr(C)` head of `union bpf_attr` of the size given, and what its
    // addresses point to outlives the call; the kernel takes missing tail fields as zero.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
