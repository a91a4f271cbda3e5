//! A kernel of one's own for a test: its thread gets private mount and network namespaces with a
//! fresh bpffs, and the real programs are loaded there. Nothing outlives the thread, so there is
//! nothing to clean up, whatever way the test ends.

#![allow(dead_code, reason = "each test program uses its part of this module")]

pub(crate) mod packet;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use aya::programs::{Program, SchedClassifier, TestRun as _, TestRunOptions};
use cluster_model::{FrontendKind, Protocol, ServiceName};
use proxy_abi::{
    Counter, Endpoint, Flow, FlowKey, FrontendKey, HostPort, Inside, Ip, NodeAddress, Pod, Port,
    ThisNode, Treatment, Uplink,
};
use proxy_agent::kernel::filesystem;
use proxy_agent::kernel::maps::ServiceMaps;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::kernel::programs::{self, Loaded, Outdated, Sizes};
use proxy_agent::plan::desired::{FrontendWish, PortId, PortWish};
use proxy_agent::plan::services::{Observed, Table};

/// tcx verdicts (linux/bpf.h), as the test run returns them.
pub(crate) const NEXT: u32 = u32::MAX;
/// The packet is dropped.
pub(crate) const DROP: u32 = 2;
/// The packet is redirected.
pub(crate) const REDIRECT: u32 = 7;

/// The interface at which a test run's packets stand: `lo` of the test's network namespace.
const LOOPBACK: u32 = 1;

/// The loaded programs and their maps.
pub(crate) struct Kernel {
    pub(crate) pins: Pins,
    pub(crate) loaded: Loaded,
    maps: ServiceMaps,
    table: Table,
    _folder: tempfile::TempDir,
}

/// The Service that a test's frontend is of.
fn name(frontend: FrontendKey) -> ServiceName {
    ServiceName::new("default", format!("{frontend:?}"))
}

/// What a program made of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) verdict: u32,
    pub(crate) frame: Vec<u8>,
}

impl Kernel {
    /// Loads everything, or says why this machine cannot and returns `None`.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let object = object(test)?;
        let folder = isolated_bpffs();
        let pins = Pins::below(folder.path()).expect("a bpffs");
        pins.create().expect("folders in bpffs");
        let sizes = Sizes {
            flows: Some(1024),
            endpoints: Some(1024),
            ..Sizes::default()
        };
        let loaded = programs::load(&object, &pins, sizes).expect("programs load");
        let maps = ServiceMaps::open(&pins).expect("maps open");
        let table = Table::new(Observed::default(), maps.slots(), 0);
        Some(Self {
            pins,
            loaded,
            maps,
            table,
            _folder: folder,
        })
    }

    /// The programs of a version that has every map in another layout, which are about to take the
    /// place of these: with empty maps, and with these at hand.
    pub(crate) fn successor(&mut self) -> Self {
        let all = programs::ALL.map(Outdated);
        for outdated in all {
            self.loaded.pin(outdated, &self.pins).expect("pinned");
        }
        let layouts = programs::MAPS.map(|name| (name.to_owned(), 9));
        let pins = self.pins.clone().with_layouts(layouts);
        let object = object("successor").expect("there before");
        let mut loaded = programs::load(&object, &pins, Sizes::default()).expect("programs load");
        loaded.keep_earlier(&all, &pins).expect("kept");
        let maps = ServiceMaps::open(&pins).expect("maps open");
        Self {
            table: Table::new(Observed::default(), maps.slots(), 0),
            pins,
            loaded,
            maps,
            _folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Makes `frontend` lead to `endpoints`, through the agent's own plan and writer.
    pub(crate) fn point(&mut self, frontend: FrontendKey, endpoints: &[Endpoint]) {
        let mut list = endpoints.to_vec();
        list.sort();
        let list: Arc<[Endpoint]> = list.into();
        let wish = FrontendWish {
            kind: FrontendKind::ClusterIp,
            inside: list.clone(),
            outside: list,
            treatment: Treatment::default(),
        };
        self.wish(frontend, wish, 0);
    }

    /// Makes `frontend` what `wish` says.
    pub(crate) fn wish(&mut self, frontend: FrontendKey, wish: FrontendWish, affinity: u32) {
        let port = port_wish(affinity, [(frontend, wish)]);
        self.plan(name(frontend), vec![port]);
    }

    /// Makes the frontends of one Service port what `wishes` say.
    pub(crate) fn wishes<const N: usize>(
        &mut self,
        service: &str,
        wishes: [(FrontendKey, FrontendWish); N],
        affinity: u32,
    ) {
        let name = ServiceName::new("default", service);
        self.plan(name, vec![port_wish(affinity, wishes)]);
    }

    /// Makes `frontend` what `wish` says, for clients in these ranges.
    pub(crate) fn wish_for(&mut self, frontend: FrontendKey, wish: FrontendWish, ranges: &[&str]) {
        let mut port = port_wish(0, [(frontend, wish)]);
        let ranges = ranges.iter().map(|range| range.parse().expect("a range"));
        port.source_ranges = ranges.collect();
        self.plan(name(frontend), vec![port]);
    }

    /// Removes `frontend`.
    pub(crate) fn remove(&mut self, frontend: FrontendKey) {
        self.plan(name(frontend), Vec::new());
    }

    fn plan(&mut self, name: ServiceName, ports: Vec<PortWish>) {
        let wanted = BTreeMap::from([(name, ports)]);
        let planned = self.table.plan_changed(wanted, Instant::now());
        assert_eq!(planned.unplaced, []);
        for operation in planned.operations {
            self.maps.apply(&operation).expect("a map write");
        }
    }

    /// Makes `address` that of a pod of this node, whose veth is the interface of the test run.
    pub(crate) fn pod(&mut self, address: &str) {
        let pod = Pod::new(LOOPBACK, packet::SENDER);
        self.insert("pods", ip_of(address), pod);
    }

    /// Removes a pod's address.
    pub(crate) fn forget_pod(&mut self, address: &str) {
        let mut pods: aya::maps::HashMap<MapData, Ip, Pod> =
            aya::maps::Map::HashMap(self.map("pods"))
                .try_into()
                .expect("its shape");
        pods.remove(&ip_of(address)).expect("an entry");
    }

    /// Removes the entry of the packets `from` -> `to` of a conversation that has just begun, as
    /// the table does when it is full.
    pub(crate) fn evict(&mut self, from: &str, to: &str, protocol: u8) {
        let map = aya::maps::Map::LruHashMap(self.map("openings"));
        let mut flows: aya::maps::HashMap<MapData, FlowKey, Flow> =
            map.try_into().expect("its shape");
        flows
            .remove(&FlowKey::new(address(from), address(to), protocol))
            .expect("an entry");
    }

    /// The entry of the packets `from` -> `to` of an established conversation.
    pub(crate) fn established(&self, from: &str, to: &str, protocol: u8) -> Option<Flow> {
        let flows: aya::maps::HashMap<MapData, FlowKey, Flow> =
            aya::maps::Map::HashMap(self.map("flows"))
                .try_into()
                .expect("its shape");
        let key = FlowKey::new(address(from), address(to), protocol);
        flows.get(&key, 0).ok()
    }

    /// Fills the table of established conversations with others'.
    pub(crate) fn fill_flows(&mut self) {
        let mut flows: aya::maps::HashMap<MapData, FlowKey, Flow> =
            aya::maps::Map::HashMap(self.map("flows"))
                .try_into()
                .expect("its shape");
        let at = |last: u16| (ip_of("192.0.2.1"), Port::new(last));
        let mut others = (0..u16::MAX).map(|port| FlowKey::new(at(port), at(0), 6));
        let full = |key: FlowKey| flows.insert(key, Flow::default(), 0).is_err();
        assert!(others.any(full), "it has an end");
    }

    /// Makes `cidr` a part of the cluster.
    pub(crate) fn inside(&mut self, cidr: &str) {
        self.put_inside(cidr, Inside::CLUSTER);
    }

    /// Says that cluster IPs come from `cidr`.
    pub(crate) fn service_cidr(&mut self, cidr: &str) {
        self.put_inside(cidr, Inside::SERVICES);
    }

    fn put_inside(&mut self, cidr: &str, whose: Inside) {
        let (address, bits) = cidr.split_once('/').expect("address/bits");
        let address: std::net::IpAddr = address.parse().expect("an address");
        let bits: u32 = bits.parse().expect("bits");
        let bits = if address.is_ipv4() { 96 + bits } else { bits };
        let mut inside: LpmTrie<MapData, Ip, Inside> = aya::maps::Map::LpmTrie(self.map("inside"))
            .try_into()
            .expect("its shape");
        inside
            .insert(&Key::new(bits, Ip::from(address)), whose, 0)
            .expect("an entry");
    }

    /// Has masquerade use these addresses and ports at the interface of the test run.
    pub(crate) fn uplink(&mut self, addresses: &[&str], first_port: u16, last_port: u16) {
        self.uplink_at(LOOPBACK, addresses, first_port, last_port);
    }

    /// The same at another interface.
    pub(crate) fn uplink_at(
        &mut self,
        ifindex: u32,
        addresses: &[&str],
        first_port: u16,
        last_port: u16,
    ) {
        let mut uplink = Uplink {
            first_port,
            last_port,
            ..Uplink::default()
        };
        for address in addresses {
            match address.parse().expect("an address") {
                v4 @ std::net::IpAddr::V4(_) => uplink.v4 = Ip::from(v4),
                v6 @ std::net::IpAddr::V6(_) => uplink.v6 = Ip::from(v6),
            }
            self.insert("node_addresses", ip_of(address), NodeAddress::new(true));
        }
        self.insert("uplinks", ifindex, uplink);
    }

    /// Gives the pod at `pod` the host port at `at`.
    pub(crate) fn host_port(&mut self, at: &str, protocol: u8, pod: &str) {
        self.insert(
            "host_ports",
            frontend(at, protocol),
            HostPort::new(endpoint(pod), LOOPBACK),
        );
    }

    /// Tells the programs that the test's network namespace is the node's own.
    pub(crate) fn this_node(&mut self, socket_path: bool) {
        let cookie = proxy_agent::kernel::namespace::cookie().expect("a number");
        let mut map: aya::maps::Array<MapData, ThisNode> =
            aya::maps::Map::Array(self.map("this_node"))
                .try_into()
                .expect("its shape");
        map.set(0, ThisNode::new(cookie, socket_path), 0)
            .expect("a value");
    }

    /// Tells them that it is a pod's.
    pub(crate) fn node_elsewhere(&mut self) {
        let mut map: aya::maps::Array<MapData, ThisNode> =
            aya::maps::Map::Array(self.map("this_node"))
                .try_into()
                .expect("its shape");
        map.set(0, ThisNode::new(1, true), 0).expect("a value");
    }

    /// Has the programs leave the sockets of the test's network namespace alone.
    pub(crate) fn packet_pod(&mut self) {
        let cookie = proxy_agent::kernel::namespace::cookie().expect("a number");
        self.insert("packet_pods", cookie, LOOPBACK);
    }

    /// Makes `address` one of the node's own.
    pub(crate) fn node_address(&mut self, address: &str) {
        self.insert("node_addresses", ip_of(address), NodeAddress::new(true));
    }

    fn insert<K: aya::Pod, V: aya::Pod>(&mut self, map: &str, key: K, value: V) {
        let mut map: aya::maps::HashMap<MapData, K, V> = aya::maps::Map::HashMap(self.map(map))
            .try_into()
            .expect("its shape");
        map.insert(key, value, 0).expect("an entry");
    }

    fn map(&self, name: &str) -> MapData {
        MapData::from_pin(self.pins.map(name)).expect("the map")
    }

    /// Runs `to_network` on a packet that the node forwards.
    pub(crate) fn leave(&mut self, frame: &[u8]) -> Run {
        // struct __sk_buff: nothing given but ingress_ifindex, the tenth word.
        let mut context = [0; 44];
        context[36..40].copy_from_slice(&7u32.to_ne_bytes());
        self.run_as("to_network", frame, Some(&context))
    }

    /// Runs a packet program once.
    pub(crate) fn run(&mut self, program: &str, frame: &[u8]) -> Run {
        self.run_as(program, frame, None)
    }

    fn run_as(&mut self, program: &str, frame: &[u8], context: Option<&[u8]>) -> Run {
        let mut out = vec![0; frame.len() + 128];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: context,
            ..Default::default()
        };
        let result = self
            .classifier(program)
            .test_run(options)
            .expect("a test run");
        out.truncate(result.data_size_out as usize);
        Run {
            verdict: result.return_value,
            frame: out,
        }
    }

    fn classifier(&mut self, name: &str) -> &mut SchedClassifier {
        match self.loaded.ebpf().program_mut(name).expect("the program") {
            Program::SchedClassifier(program) => program,
            _ => panic!("{name} is no packet program"),
        }
    }

    /// Every counter that is not zero, over all CPUs, by name.
    pub(crate) fn counters(&self) -> BTreeMap<&'static str, u64> {
        let data = MapData::from_pin(self.pins.map("counters")).expect("the counters");
        let map = aya::maps::Map::PerCpuArray(data);
        let array: PerCpuArray<MapData, u64> = map.try_into().expect("an array");
        let sum = |values: PerCpuValues<u64>| values.iter().sum::<u64>();
        Counter::ALL
            .into_iter()
            .map(|counter| {
                (
                    counter.name(),
                    sum(array.get(&(counter as u32), 0).expect("a value")),
                )
            })
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// `10.96.0.10:53` and a protocol number, as a frontend.
pub(crate) fn frontend(at: &str, protocol: u8) -> FrontendKey {
    let (ip, port) = address(at);
    FrontendKey::new(ip, port, protocol)
}

/// `10.244.1.2:8080` as an endpoint.
pub(crate) fn endpoint(at: &str) -> Endpoint {
    let (ip, port) = address(at);
    Endpoint::new(ip, port)
}

/// `10.244.1.2:8080` as address and port.
pub(crate) fn address(at: &str) -> (Ip, Port) {
    let address: std::net::SocketAddr = at.parse().expect("address:port");
    (Ip::from(address.ip()), Port::new(address.port()))
}

/// `10.244.1.2` as the maps have it.
pub(crate) fn ip_of(address: &str) -> Ip {
    Ip::from(address.parse::<std::net::IpAddr>().expect("an address"))
}

fn port_wish<const N: usize>(
    affinity_seconds: u32,
    frontends: [(FrontendKey, FrontendWish); N],
) -> PortWish {
    PortWish {
        port: PortId {
            name: "".into(),
            protocol: Protocol::Tcp,
        },
        affinity_seconds,
        source_ranges: Vec::new(),
        frontends: BTreeMap::from(frontends),
    }
}

/// Counters as a test expects them.
pub(crate) fn counted<const N: usize>(
    rows: [(&'static str, u64); N],
) -> BTreeMap<&'static str, u64> {
    BTreeMap::from(rows)
}

/// The index of an interface in the test's network namespace.
pub(crate) fn ifindex(name: &str) -> u32 {
    let name = std::ffi::CString::new(name).expect("no NUL");
    // SAFETY: the string is NUL-terminated and alive for the call.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// Runs `ip` with these arguments in the test's network namespace.
pub(crate) fn ip(arguments: &str) {
    run("ip", arguments);
}

/// Runs `tc` likewise.
pub(crate) fn tc(arguments: &str) {
    run("tc", arguments);
}

fn run(program: &str, arguments: &str) {
    let status = Command::new(program)
        .args(arguments.split_whitespace())
        .status()
        .expect("iproute2 is installed");
    assert!(status.success(), "{program} {arguments}");
}

/// The object file, if this test can run at all; CI takes no excuse.
pub(crate) fn object(test: &str) -> Option<PathBuf> {
    let skip = |why: &str| {
        assert!(
            std::env::var_os("CI").is_none(),
            "{test} cannot be skipped in CI: {why}"
        );
        eprintln!("SKIP {test}: {why}");
        None
    };
    // SAFETY: getuid has no preconditions and cannot fail.
    if unsafe { libc::getuid() } != 0 {
        return skip("needs root");
    }
    match std::env::var_os("FLATNET_PROGRAMS").map(PathBuf::from) {
        Some(path) if path.exists() => Some(path),
        _ => skip("FLATNET_PROGRAMS names no eBPF object (run `cargo xtask test`)"),
    }
}

/// Where cgroup2 is mounted.
pub(crate) fn cgroup_root() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
    let mut lines = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = lines
        .find(|fields| fields.get(2) == Some(&"cgroup2"))
        .expect("cgroup2 is mounted");
    PathBuf::from(mount[1])
}

/// Gives this thread mount and network namespaces of its own, and a bpffs in them.
pub(crate) fn isolated_bpffs() -> tempfile::TempDir {
    isolate();
    let folder = tempfile::tempdir().expect("a folder for bpffs");
    filesystem::ensure_bpffs(folder.path()).expect("a bpffs");
    folder
}

/// Gives this thread mount and network namespaces of its own.
pub(crate) fn isolate() {
    // SAFETY: both calls concern this thread alone; the strings are NUL-terminated.
    unsafe {
        assert_eq!(
            libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET),
            0,
            "unshare"
        );
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let none = c"none".as_ptr();
        assert_eq!(
            libc::mount(none, c"/".as_ptr(), none, private, std::ptr::null()),
            0,
            "private"
        );
    }
}
