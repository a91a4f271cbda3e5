//! What a look at the real maps leaves there, with entries of several ages; and that an agent that
//! has just started knows as much as one that ran all the time.

mod kernel;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aya::maps::{HashMap, Map, MapData};
use cluster_model::Protocol::{Tcp, Udp};
use cluster_model::testing::{mk_endpoint, mk_index, mk_service, mk_slice};
use cluster_model::{ClusterIndex, Here, ServiceName};
use kernel::{address, endpoint, ip_of, isolated_bpffs, object};
use proxy_abi::ownership::map;
use proxy_abi::{Affinity, Client, Flow, FlowKey, Role, protocol};
use proxy_agent::kernel::flows::{FlowMaps, now};
use proxy_agent::kernel::maps::ServiceMaps;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::kernel::programs::{self, Loaded, Sizes};
use proxy_agent::kernel::walk::{self, Use};
use proxy_agent::pass::flows::{Swept, sweep};
use proxy_agent::pass::wishes;
use proxy_agent::plan::flows::{Doomed, Keys, Reason, State, Timeouts, Touched};
use proxy_agent::plan::services::{Table, Wishes};

const SPOKE: u8 = Flow::SPOKE;
const FIN: u8 = Flow::SPOKE | Flow::FINISHED;
const FRONTEND: &str = "10.96.0.1:80";

/// The maps of a node, and nothing that uses them.
struct Stage {
    pins: Pins,
    object: std::path::PathBuf,
    _loaded: Loaded,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new(test: &str, flows: u32) -> Option<Self> {
        let object = object(test)?;
        let folder = isolated_bpffs();
        let pins = Pins::below(folder.path()).expect("a bpffs");
        pins.create().expect("folders");
        let sizes = Sizes {
            flows: Some(flows),
            endpoints: Some(1024),
            ..Sizes::default()
        };
        let loaded = programs::load(&object, &pins, sizes).expect("programs load");
        Some(Self {
            pins,
            object,
            _loaded: loaded,
            _folder: folder,
        })
    }

    /// Another agent takes over.
    fn restart(&mut self) {
        let again = programs::load(&self.object, &self.pins, Sizes::default());
        self._loaded = again.expect("programs load");
    }

    fn table(&self, name: &str) -> HashMap<MapData, FlowKey, Flow> {
        let data = MapData::from_pin(self.pins.map(name)).expect("the map");
        let map = match name {
            map::OPENINGS => Map::LruHashMap(data),
            _ => Map::HashMap(data),
        };
        map.try_into().expect("its shape")
    }

    /// Both entries of a conversation with a client port, last used `idle` seconds ago.
    fn put(&self, table: &str, what: (u8, u16, &str), idle: u64, state: [u8; 2]) -> Keys {
        let [(client_key, client), (answers_key, answers)] = halves(what, idle, state);
        let mut map = self.table(table);
        map.insert(client_key, client, 0).expect("an entry");
        map.insert(answers_key, answers, 0).expect("an entry");
        Keys::of(&client_key, &client)
    }

    /// The client ports of the conversations that are known, of which each half counts.
    fn ports(&self) -> BTreeMap<u16, usize> {
        let mut ports = BTreeMap::new();
        for name in [map::FLOWS, map::OPENINGS] {
            for entry in self.table(name).iter() {
                let (key, flow) = entry.expect("an entry");
                let client = Keys::of(&key, &flow).client;
                *ports.entry(client.source_port.number()).or_default() += 1;
            }
        }
        ports
    }

    fn sweep(&self, touched: &Touched) -> Swept {
        sweep(&self.pins, &Timeouts::default(), touched).expect("a look")
    }
}

fn halves(
    (protocol, port, endpoint): (u8, u16, &str),
    idle: u64,
    state: [u8; 2],
) -> [(FlowKey, Flow); 2] {
    let client = address(&format!("10.244.1.2:{port}"));
    let key = FlowKey::new(client, address(FRONTEND), protocol);
    let seen = now() - Flow::time(idle * 1_000_000_000);
    let mut flow = Flow::new(Role::Request, key.sent_to(address(endpoint)), 1, seen);
    let (answers_key, mut answers) = flow.other_half(&key);
    flow.state = state[0];
    answers.state = state[1];
    [(key, flow), (answers_key, answers)]
}

fn both(ports: &[u16]) -> BTreeMap<u16, usize> {
    ports.iter().map(|port| (*port, 2)).collect()
}

const END: &str = "10.244.2.2:8080";

#[test]
fn what_was_silent_for_too_long_goes_and_nothing_else() {
    let Some(mut stage) = Stage::new("flow-ageing", 1024) else {
        return;
    };
    let (tcp, udp) = (protocol::TCP, protocol::UDP);
    let spoken = [SPOKE, SPOKE];
    stage.put(map::FLOWS, (tcp, 1, END), 70, spoken);
    stage.put(map::FLOWS, (tcp, 2, END), 70, [FIN, SPOKE]);
    stage.put(map::FLOWS, (tcp, 3, END), 70, [FIN, FIN]);
    stage.put(map::FLOWS, (tcp, 4, END), 50, [FIN, FIN]);
    stage.put(map::FLOWS, (udp, 5, END), 70, spoken);
    stage.put(map::OPENINGS, (udp, 6, END), 40, [SPOKE, 0]);
    stage.put(map::OPENINGS, (udp, 7, END), 10, [SPOKE, 0]);
    for (port, idle) in [(8, 70), (9, 50)] {
        let [(key, flow), _] = halves((tcp, port, END), idle, spoken);
        let mut flows = stage.table(map::FLOWS);
        flows.insert(key, flow, 0).expect("an entry");
    }
    // The agent that is there now has never seen any of them.
    stage.restart();
    let swept = stage.sweep(&Touched::default());
    let mut left = both(&[1, 2, 4, 5, 7]);
    left.insert(9, 1);
    assert_eq!(stage.ports(), left);
    let idle = |state| (Reason::Idle(state), 1);
    let removed = [
        idle(State::Opening),
        idle(State::Closed),
        idle(State::Orphan),
    ];
    assert_eq!(swept.removed, removed.into_iter().collect());
    let counts = [
        ((tcp, State::Established), 1),
        ((tcp, State::HalfClosed), 1),
        ((tcp, State::Closed), 2),
        ((tcp, State::Orphan), 2),
        ((udp, State::Established), 1),
        ((udp, State::Opening), 2),
    ];
    assert_eq!(swept.counts, counts.into_iter().collect());
    assert_eq!(
        swept.flows,
        Use {
            used: 12,
            size: 1024
        }
    );
    assert_eq!(swept.openings.used, 4);
    let again = stage.sweep(&Touched::default());
    assert_eq!(again.removed, BTreeMap::new(), "nothing is left to do");
    let counted = walk::count(&stage.pins, map::FLOWS).expect("the map");
    assert_eq!(counted.used, 9);
}

#[test]
fn what_a_packet_used_or_took_meanwhile_stays() {
    let Some(stage) = Stage::new("flow-races", 1024) else {
        return;
    };
    let timeouts = Timeouts::default();
    let forget = |keys, reason| {
        let mut maps = FlowMaps::open(&stage.pins).expect("maps");
        let doomed = Doomed { keys, reason };
        maps.forget(&doomed, &timeouts, now()).expect("a look")
    };
    let closed = Reason::Idle(State::Closed);
    let put = |port, endpoint: &str, idle, state| {
        let what = (protocol::TCP, port, endpoint);
        stage.put(map::FLOWS, what, idle, [state; 2])
    };
    let old = put(1, END, 100, FIN);
    put(1, END, 0, SPOKE);
    assert!(!forget(old, closed), "it was used");
    assert_eq!(stage.ports(), both(&[1]));

    let old = put(2, END, 100, FIN);
    put(2, "10.244.2.3:8080", 0, SPOKE);
    assert!(forget(old, closed), "what is left of the old one");
    assert_eq!(stage.ports(), both(&[1, 2]), "the client has moved");

    assert!(!forget(old, closed), "it is gone already");
    let open = put(3, END, 0, SPOKE);
    assert!(forget(open, Reason::EndpointGone), "whatever its age");
    assert_eq!(stage.ports(), both(&[1, 2]));
}

/// A Service of UDP and TCP with these endpoints, whose clients keep theirs.
fn index(ends: &[&str]) -> ClusterIndex {
    let service = mk_service("shop", "web")
        .cluster_ip("10.96.0.1")
        .port("udp", Udp, 80)
        .port("tcp", Tcp, 80)
        .affinity(100);
    let mut slice = mk_slice("shop", "web", "s")
        .port("udp", Udp, 8080)
        .port("tcp", Tcp, 8080);
    for end in ends {
        slice = slice.endpoint(mk_endpoint(end).on("node-1"));
    }
    mk_index([service], [slice])
}

fn wished(index: &ClusterIndex) -> Wishes {
    let name = ServiceName::new("shop", "web");
    wishes(index, [&name].into_iter(), &Here::new("node-1"))
}

/// A new agent's first pass; what it has to look for in the flows.
fn pass(stage: &Stage, wanted: Wishes) -> (Touched, bool) {
    let mut maps = ServiceMaps::open(&stage.pins).expect("maps open");
    let observed = maps.observe().expect("maps");
    let mut table = Table::new(observed, maps.slots(), 1);
    let planned = table.plan_all(wanted, Instant::now());
    for operation in &planned.operations {
        maps.apply(operation).expect("a map write");
    }
    let mut touched = Touched::default();
    let due = touched.note(planned.changes);
    (touched, due)
}

#[test]
fn what_a_change_leaves_without_an_endpoint_goes_at_once() {
    let Some(mut stage) = Stage::new("flow-clean-up", 1024) else {
        return;
    };
    let other = "10.244.2.3:8080";
    let (_, due) = pass(&stage, wished(&index(&["10.244.2.2", "10.244.2.3"])));
    assert!(!due, "what is new ends nothing");
    let (tcp, udp) = (protocol::TCP, protocol::UDP);
    stage.put(map::FLOWS, (udp, 1, END), 1, [SPOKE, SPOKE]);
    stage.put(map::OPENINGS, (udp, 2, END), 1, [SPOKE, 0]);
    stage.put(map::FLOWS, (udp, 3, other), 1, [SPOKE, SPOKE]);
    stage.put(map::FLOWS, (tcp, 4, END), 1, [SPOKE, SPOKE]);
    stage.put(map::OPENINGS, (tcp, 5, other), 1, [SPOKE, 0]);

    // The endpoint went while no agent ran.
    stage.restart();
    let (touched, due) = pass(&stage, wished(&index(&["10.244.2.3"])));
    assert!(due);
    let swept = stage.sweep(&touched);
    assert_eq!(swept.removed, BTreeMap::from([(Reason::EndpointGone, 2)]));
    assert_eq!(stage.ports(), both(&[3, 4, 5]), "and TCP drains");

    let (touched, due) = pass(&stage, BTreeMap::new());
    assert!(due);
    let swept = stage.sweep(&touched);
    assert_eq!(swept.removed, BTreeMap::from([(Reason::FrontendGone, 2)]));
    assert_eq!(stage.ports(), both(&[4]));
}

#[test]
fn clients_of_a_service_that_is_no_more_are_forgotten() {
    let Some(stage) = Stage::new("affinity-clean-up", 1024) else {
        return;
    };
    let (touched, _) = pass(&stage, wished(&index(&["10.244.2.2"])));
    let maps = ServiceMaps::open(&stage.pins).expect("maps open");
    let frontends = maps.observe().expect("maps").frontends;
    let numbers: BTreeSet<u32> = frontends
        .values()
        .map(|held| held.frontend.offer.service)
        .collect();
    let data = MapData::from_pin(stage.pins.map(map::AFFINITY)).expect("the map");
    let map = Map::LruHashMap(data);
    let mut affinity: HashMap<MapData, Client, Affinity> = map.try_into().expect("its shape");
    for service in numbers.iter().copied().chain([7]) {
        let client = Client {
            service,
            address: ip_of("10.244.1.2"),
        };
        let kept = Affinity {
            endpoint: endpoint(END),
            used: now(),
        };
        affinity.insert(client, kept, 0).expect("an entry");
    }
    let known = || -> BTreeSet<u32> {
        let keys = affinity.keys();
        keys.map(|key| key.expect("a key").service).collect()
    };
    assert_eq!(stage.sweep(&touched).clients, 1, "an agent's before this");
    assert_eq!(known(), numbers);
    let (touched, due) = pass(&stage, BTreeMap::new());
    assert!(due);
    assert_eq!(stage.sweep(&touched).clients, 2);
    assert_eq!(known(), BTreeSet::new());
}

#[test]
fn a_full_table_is_looked_at_in_no_time() {
    let Some(stage) = Stage::new("flow-sweep-cost", 65_536) else {
        return;
    };
    let mut flows = stage.table(map::FLOWS);
    for port in 0..32_768u16 {
        let idle = if port % 2 == 0 { 0 } else { 70 };
        for (key, flow) in halves((protocol::TCP, port, END), idle, [FIN, FIN]) {
            flows.insert(key, flow, 0).expect("an entry");
        }
    }
    let swept = stage.sweep(&Touched::default());
    eprintln!("65 536 entries, half of them removed: {:?}", swept.took);
    let half = BTreeMap::from([(Reason::Idle(State::Closed), 16_384)]);
    assert_eq!(swept.removed, half);
    let again = stage.sweep(&Touched::default());
    eprintln!("32 768 entries, none removed: {:?}", again.took);
    assert!(again.took < Duration::from_secs(2), "{:?}", again.took);
}
