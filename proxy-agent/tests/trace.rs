//! The trace programs in the real kernel: what they tell of a run of ours and of what the kernel
//! does with a packet, and that nothing of them stays.

mod kernel;

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::thread::sleep;
use std::time::Duration;

use aya::programs::ProgramInfo;
use kernel::packet::{tcp, udp};
use kernel::{Kernel, NEXT, endpoint, frontend, ip, object};
use proxy_abi::trace::{Event, EventKind, PROGRAMS, names};
use proxy_abi::{Counter, FlowKey, protocol};
use proxy_agent::kernel::trace::{TraceError, Tracer, Wanted, types};

const CLIENT: &str = "10.244.1.2:40000";
const FRONTEND: &str = "10.96.0.10:53";
const ENDPOINT: &str = "10.244.2.8:5353";

/// A kernel whose programs are pinned, as the agent leaves them.
fn pinned(test: &str) -> Option<Kernel> {
    let mut kernel = Kernel::new(test)?;
    for outdated in kernel.loaded.outdated(&kernel.pins) {
        kernel.loaded.pin(outdated, &kernel.pins).expect("pinned");
    }
    ip("link set lo up");
    Some(kernel)
}

/// Traces in this thread's network namespace.
fn tracer(kernel: &Kernel, wanted: &Wanted) -> Tracer {
    let programs = object("trace").expect("an object");
    let space = std::fs::metadata("/proc/thread-self/ns/net").expect("a namespace");
    let space = u32::try_from(space.ino()).expect("an inode number of nsfs");
    Tracer::start(&programs, &kernel.pins, wanted, &[space]).expect("the programs load")
}

/// Whether this kernel lets a program be watched: one may be made to refuse that whatever the
/// rights. Any other reason why not is a fault of ours.
fn watches(tracer: &Tracer) -> bool {
    match &tracer.unwatched {
        None => true,
        Some(TraceError::Program { source, .. })
            if source.kind() == ErrorKind::PermissionDenied =>
        {
            eprintln!("skipped: this kernel lets no program be watched ({source})");
            false
        }
        Some(fault) => panic!("{fault}"),
    }
}

fn events(tracer: &mut Tracer) -> Vec<Event> {
    tracer.collect()
}

/// Only runs of ours: the end of a test run frees the packet, on some kernels as if it were lost.
fn runs(tracer: &mut Tracer) -> Vec<Event> {
    let mut all = events(tracer);
    all.retain(|one| EventKind::of(one.kind) == Some(EventKind::Program));
    all
}

fn wanted(addresses: &[&str]) -> Wanted {
    let address = |text: &&str| text.parse::<IpAddr>().expect("an address");
    Wanted {
        addresses: addresses.iter().map(address).collect(),
        ..Wanted::default()
    }
}

fn key(from: &str, to: &str, number: u8) -> FlowKey {
    FlowKey::new(kernel::address(from), kernel::address(to), number)
}

#[test]
fn a_run_is_told_with_what_it_changed() {
    let Some(mut kernel) = pinned("a_run_is_told_with_what_it_changed") else {
        return;
    };
    kernel.pod("10.244.1.2");
    kernel.point(frontend(FRONTEND, protocol::UDP), &[endpoint(ENDPOINT)]);
    let path = wanted(&["10.244.1.2", "10.96.0.10", "10.244.2.8"]);
    let mut tracer = tracer(&kernel, &path);
    if !watches(&tracer) {
        return;
    }
    let other = udp("10.244.1.2:40000", "10.9.9.9:53").frame();
    assert_eq!(kernel.run("from_pod", &other).verdict, NEXT);
    kernel.run("from_pod", &udp(CLIENT, FRONTEND).frame());
    let seen = runs(&mut tracer);
    assert_eq!(seen.len(), 1, "the other packet is not wanted: {seen:?}");
    let event = seen[0];
    assert_eq!(EventKind::of(event.kind), Some(EventKind::Program));
    assert_eq!(PROGRAMS[usize::from(event.program)], "from_pod");
    assert_eq!(event.before, key(CLIENT, FRONTEND, protocol::UDP));
    assert_eq!(event.after, key(CLIENT, ENDPOINT, protocol::UDP));
    assert!(event.counters & 1 << Counter::FlowCreated as u32 != 0);
    assert!(event.took > 0 && event.nanoseconds > 0);
    assert_eq!(tracer.lost(), 0);
}

#[test]
fn a_drop_of_ours_is_told_with_its_reason() {
    let Some(mut kernel) = pinned("a_drop_of_ours_is_told_with_its_reason") else {
        return;
    };
    kernel.pod("10.244.1.2");
    let mut tracer = tracer(
        &kernel,
        &Wanted {
            one_end: true,
            only_drops: true,
            ..wanted(&["10.244.1.3"])
        },
    );
    if !watches(&tracer) {
        return;
    }
    let syn = 2;
    kernel.run("from_pod", &tcp(CLIENT, "10.244.1.3:80", syn).frame());
    let forged = tcp("10.244.1.9:40000", "10.244.1.3:80", syn);
    kernel.run("from_pod", &forged.frame());
    let seen = runs(&mut tracer);
    assert_eq!(seen.len(), 1, "only what is dropped: {seen:?}");
    assert_eq!(seen[0].counters, 1 << Counter::ForgedSource as u32);
    assert_eq!((seen[0].verdict, seen[0].tcp_flags), (2, syn));
}

#[test]
fn the_kernel_says_why_it_threw_a_packet_away() {
    let Some(kernel) = pinned("the_kernel_says_why_it_threw_a_packet_away") else {
        return;
    };
    let mut tracer = tracer(&kernel, &wanted(&["127.0.0.1", "::1"]));
    for address in ["127.0.0.1", "::1"] {
        let address: IpAddr = address.parse().expect("an address");
        let socket = UdpSocket::bind((address, 0)).expect("a socket");
        socket.send_to(b"anybody?", (address, 9)).expect("sent");
        sleep(Duration::from_millis(50));
        let seen: Vec<Event> = events(&mut tracer)
            .into_iter()
            .filter(|one| one.before.destination_port.number() == 9)
            .collect();
        let kinds: Vec<_> = seen.iter().map(|one| EventKind::of(one.kind)).collect();
        let expected = [EventKind::Sent, EventKind::Received, EventKind::Freed].map(Some);
        assert_eq!(kinds, expected, "{seen:?}");
        let names = &types::kernel().expect("types").reasons;
        assert_eq!(names[&seen[2].reason], "NO_SOCKET");
        assert!(seen.iter().all(|one| one.interface.starts_with(b"lo\0")));
        assert!(seen.is_sorted_by_key(|one| one.nanoseconds));
        assert_ne!(seen[2].location, 0);
    }
}

/// A program that drops a packet of a real interface: the reason is told without its being watched.
#[test]
fn a_packet_that_a_program_drops_is_told_with_the_programs_reason() {
    let Some(kernel) = pinned("a_packet_that_a_program_drops") else {
        return;
    };
    ip("link add pod0 address 02:00:00:00:00:01 type veth peer name up0 address 02:00:00:00:00:02");
    for name in ["pod0", "up0"] {
        ip(&format!("link set {name} up"));
    }
    ip("addr add 10.244.1.2/32 dev pod0");
    ip("route add 10.244.1.9 dev pod0");
    ip("neigh add 10.244.1.9 lladdr 02:00:00:00:00:02 dev pod0");
    let program = kernel.pins.program("from_pod");
    let program = program.to_str().expect("text");
    kernel::tc("qdisc add dev up0 clsact");
    kernel::tc(&format!(
        "filter add dev up0 ingress bpf direct-action pinned {program}"
    ));
    let mut tracer = tracer(&kernel, &wanted(&["10.244.1.2", "10.244.1.9"]));
    // No pod of this node's has that address.
    let socket = UdpSocket::bind("10.244.1.2:4000").expect("a socket");
    socket.send_to(b"here I am", "10.244.1.9:9").expect("sent");
    sleep(Duration::from_millis(50));
    let seen = events(&mut tracer);
    let freed: Vec<&Event> = seen
        .iter()
        .filter(|one| EventKind::of(one.kind) == Some(EventKind::Freed))
        .collect();
    assert_eq!(freed.len(), 1, "{seen:?}");
    let names = &types::kernel().expect("types").reasons;
    assert_eq!(names[&freed[0].reason], "TC_INGRESS");
    assert_eq!(freed[0].counters, 1 << Counter::ForgedSource as u32);
    assert!(freed[0].interface.starts_with(b"up0\0"));
}

/// "Costs nothing while off" is by construction: the programs are the same to a byte, before,
/// meanwhile and after, and nothing else is on their way.
#[test]
fn nothing_of_a_trace_stays() {
    let Some(mut kernel) = pinned("nothing_of_a_trace_stays") else {
        return;
    };
    let tags = |kernel: &Kernel| {
        PROGRAMS.map(|name| {
            let info = ProgramInfo::from_pin(kernel.pins.program(name)).expect("pinned");
            (info.id(), info.tag())
        })
    };
    let points = [names::RECEIVED, names::SENT, names::FREED];
    let watching = || {
        let all = aya::programs::loaded_programs().filter_map(Result::ok);
        let ours = all.filter(|info| {
            // The kernel keeps fifteen letters of a name.
            let name = info.name_as_str().unwrap_or_default();
            name == "flatnet_trace"
                || points
                    .iter()
                    .any(|point| point.get(..15).unwrap_or(point) == name)
        });
        ours.map(|info| info.id()).collect::<Vec<_>>()
    };
    let before = tags(&kernel);
    let all = Wanted::default();
    let mut running = tracer(&kernel, &all);
    let programs = match running.unwatched {
        None => 2 * PROGRAMS.len(),
        Some(_) => 0,
    };
    let loaded = watching();
    assert!(loaded.len() >= points.len() + programs, "{loaded:?}");
    assert_eq!(tags(&kernel), before);
    kernel.run("from_pod", &udp(CLIENT, FRONTEND).frame());
    assert_eq!(runs(&mut running).is_empty(), programs == 0);
    drop(running);
    kernel.run("from_pod", &udp(CLIENT, FRONTEND).frame());
    assert_eq!(tags(&kernel), before);
    let mut again = tracer(&kernel, &all);
    assert_eq!(
        events(&mut again),
        [],
        "what ran without a trace is not told"
    );
    drop(again);
    // Others may trace at the same time: only those that were seen are to be gone.
    let gone = |_| {
        watching().iter().all(|id| !loaded.contains(id)) || {
            sleep(Duration::from_millis(20));
            false
        }
    };
    assert!((0..250).any(gone), "they are unloaded");
}
