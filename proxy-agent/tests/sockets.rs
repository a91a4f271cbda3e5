//! The socket programs, with real sockets: a client process in a cgroup to which the agent's own
//! code attached them, a listener as the endpoint. The client is perl, which every Debian has.

mod kernel;

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use cluster_model::FrontendKind;
use kernel::{Kernel, cgroup_root, counted, endpoint, frontend, ip};
use proxy_abi::{Endpoint, Treatment};
use proxy_agent::kernel::programs::{self, Outdated};
use proxy_agent::kernel::{links, probe};
use proxy_agent::plan::desired::FrontendWish;
use proxy_agent::plan::interfaces::Interfaces;
use proxy_agent::plan::links as plan;

const TCP: u8 = 6;
const UDP: u8 = 17;
const WEB: &str = "10.96.1.1:80";

/// A cgroup of the test's own, with the programs attached.
struct Group {
    kernel: Kernel,
    path: PathBuf,
}

impl Group {
    fn new(test: &str) -> Option<Self> {
        let kernel = Kernel::new(test)?;
        ip("link set lo up");
        let path = cgroup_root().join(format!("flatnet-test-{}-{test}", std::process::id()));
        fs::create_dir(&path).expect("a cgroup");
        let mut group = Self { kernel, path };
        for name in programs::ALL {
            let Kernel { loaded, pins, .. } = &mut group.kernel;
            loaded.pin(Outdated(name), pins).expect("a pin");
        }
        group.attach();
        group.kernel.this_node(true);
        Some(group)
    }

    fn attach(&self) {
        let id = links::cgroup_id(&self.path).expect("an id");
        let wanted = plan::wanted([].into_iter(), [].into_iter(), Some(id));
        let observed = links::observe(&self.kernel.pins, &Interfaces::new()).expect("links");
        let current = |name: &str| programs::current_id(&self.kernel.pins, name);
        let operations = plan::diff(&observed, &wanted, current);
        for operation in operations {
            links::apply(&operation, &self.kernel.pins, &self.path).expect("attached");
        }
        let observed = links::observe(&self.kernel.pins, &Interfaces::new()).expect("links");
        assert_eq!(
            plan::diff(&observed, &wanted, current),
            [],
            "a second pass changes nothing"
        );
    }

    /// Sends "hello" to `at` from an unconnected UDP socket in the cgroup, and returns the answer
    /// and who it came from.
    fn ask(&self, at: &str) -> String {
        let (address, port) = at.rsplit_once(':').expect("address:port");
        let script = r#"
            my ($address, $port) = @ARGV;
            socket(my $s, AF_INET, SOCK_DGRAM, 0) or die "socket: $!";
            send($s, "hello", 0, pack_sockaddr_in($port, inet_aton($address))) or die "send: $!";
            local $SIG{ALRM} = sub { print "no answer"; exit };
            alarm 5;
            my $from = recv($s, my $word, 16, 0);
            my ($p, $a) = unpack_sockaddr_in($from);
            print "$word from ", inet_ntop(AF_INET, $a), ":$p";
        "#;
        self.perl(script, &[address, port])
    }

    /// Runs a perl client in the cgroup: connects a socket of `family` and `kind` to `at`, and
    /// prints its peer, or the error.
    fn connect(&self, family: &str, kind: &str, at: &str) -> String {
        let (address, port) = at.rsplit_once(':').expect("address:port");
        let script = r#"
            my ($family, $kind, $address, $port) = @ARGV;
            my $six = $family eq "inet6";
            socket(my $s, $six ? AF_INET6 : AF_INET, $kind eq "tcp" ? SOCK_STREAM : SOCK_DGRAM, 0)
                or die "socket: $!";
            my $to = $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, "::ffff:$address"))
                          : pack_sockaddr_in($port, inet_aton($address));
            connect($s, $to) or do { print "$!"; exit };
            my ($p, $a) = $six ? unpack_sockaddr_in6(getpeername $s)
                               : unpack_sockaddr_in(getpeername $s);
            print inet_ntop($six ? AF_INET6 : AF_INET, $a), ":$p";
        "#;
        self.perl(script, &[family, kind, address, port])
    }

    fn perl(&self, script: &str, arguments: &[&str]) -> String {
        let procs = self.path.join("cgroup.procs");
        let mut command = Command::new("perl");
        command
            .args(["-MSocket=:all", "-e", script])
            .args(arguments);
        // SAFETY: the closure only writes a short string to a file of its own; it runs in the
        // child between fork and exec.
        unsafe { command.pre_exec(move || fs::write(&procs, "0")) };
        let output = command.output().expect("perl runs");
        String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Every client has been waited for, so the group is empty.
        _ = fs::remove_dir(&self.path);
    }
}

#[test]
fn a_connection_goes_to_an_endpoint_and_shows_the_frontend() {
    let Some(mut group) = Group::new("translated") else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.7:8080").expect("a listener");
    group
        .kernel
        .point(frontend(WEB, TCP), &[endpoint("127.0.0.7:8080")]);
    assert_eq!(group.connect("inet", "tcp", WEB), WEB);
    assert_eq!(group.connect("inet6", "tcp", WEB), format!("::ffff:{WEB}"));
    for _ in 0..2 {
        listener.accept().expect("the connection arrived");
    }
    assert_eq!(group.kernel.counters(), counted([("socket-translated", 2)]));
}

#[test]
fn a_frontend_without_endpoints_refuses_a_connection() {
    let Some(mut group) = Group::new("refused") else {
        return;
    };
    group.kernel.point(frontend(WEB, TCP), &[]);
    assert_eq!(group.connect("inet", "tcp", WEB), "Connection refused");
    assert_eq!(group.connect("inet6", "tcp", WEB), "Connection refused");
    assert_eq!(group.kernel.counters(), counted([("socket-refused", 2)]));
}

#[test]
fn what_is_no_tcp_frontend_is_left_alone() {
    let Some(mut group) = Group::new("left-alone") else {
        return;
    };
    let _listener = TcpListener::bind("127.0.0.7:8080").expect("a listener");
    ip("route add default dev lo");
    group
        .kernel
        .point(frontend(WEB, UDP), &[endpoint("127.0.0.7:8080")]);
    assert_eq!(
        group.connect("inet", "tcp", "127.0.0.7:8080"),
        "127.0.0.7:8080",
        "direct"
    );
    assert_eq!(
        group.connect("inet", "udp", WEB),
        WEB,
        "datagrams are for the packet programs"
    );
    assert_eq!(group.kernel.counters(), counted([]));
}

#[test]
fn the_nodes_own_address_leads_to_a_host_port_even_without_the_socket_path() {
    let Some(mut group) = Group::new("host-port") else {
        return;
    };
    group.kernel.this_node(false);
    let listener = TcpListener::bind("127.0.0.7:8080").expect("a listener");
    let socket = UdpSocket::bind("127.0.0.7:8080").expect("a socket");
    ip("addr add 172.30.0.11/32 dev lo");
    group.kernel.node_address("172.30.0.11");
    group
        .kernel
        .host_port("0.0.0.0:8000", TCP, "127.0.0.7:8080");
    group
        .kernel
        .host_port("127.0.0.1:8000", UDP, "127.0.0.7:8080");
    for at in ["127.0.0.1:8000", "172.30.0.11:8000"] {
        assert_eq!(group.connect("inet", "tcp", at), at, "tcp");
        listener.accept().expect("the connection arrived");
    }
    let at = "127.0.0.1:8000";
    assert_eq!(group.connect("inet", "udp", at), at, "connected udp");
    assert_eq!(
        group.connect("inet", "udp", "172.30.0.11:8000"),
        "172.30.0.11:8000",
        "only at its hostIP"
    );
    assert_eq!(group.kernel.counters(), counted([("socket-translated", 3)]));

    let answer = std::thread::spawn(move || {
        let mut word = [0; 16];
        let (len, from) = socket.recv_from(&mut word).expect("the question");
        socket.send_to(&word[..len], from).expect("the answer");
    });
    assert_eq!(group.ask(at), format!("hello from {at}"), "unconnected udp");
    answer.join().expect("it answered");

    group.kernel.point(frontend(WEB, TCP), &[]);
    let refused = group.connect("inet", "tcp", "127.0.0.1:8001");
    assert_eq!(refused, "Connection refused", "nobody there");
    assert_eq!(group.kernel.counters()["socket-translated"], 4);
}

#[test]
fn the_agent_can_tell_whether_sockets_meet_the_programs() {
    let Some(group) = Group::new("probe") else {
        return;
    };
    assert!(!probe::socket_programs_work(), "this process is outside");
    let probed = format!("{}:1", std::net::Ipv4Addr::from([192, 0, 2, 171]));
    assert_eq!(group.connect("inet", "tcp", &probed), "Connection refused");
    assert_eq!(group.kernel.counters(), counted([]), "and nobody counts it");
}

#[test]
fn a_pods_loopback_is_its_own() {
    let Some(mut group) = Group::new("pod-loopback") else {
        return;
    };
    group
        .kernel
        .host_port("0.0.0.0:8000", TCP, "127.0.0.7:8080");
    let _listener = TcpListener::bind("127.0.0.7:8080").expect("a listener");
    group.kernel.node_elsewhere();
    assert_eq!(
        group.connect("inet", "tcp", "127.0.0.1:8000"),
        "Connection refused"
    );
    assert_eq!(group.kernel.counters(), counted([]));
}

#[test]
fn the_sockets_of_a_pod_that_said_no_are_left_alone() {
    let Some(mut group) = Group::new("said-no") else {
        return;
    };
    let _listener = TcpListener::bind("127.0.0.7:8080").expect("a listener");
    // Where nobody listens: nothing translates packets here.
    ip("addr add 10.96.1.1/32 dev lo");
    group
        .kernel
        .point(frontend(WEB, TCP), &[endpoint("127.0.0.7:8080")]);
    group.kernel.node_elsewhere();
    assert_eq!(group.connect("inet", "tcp", WEB), WEB, "as any pod");
    assert_eq!(group.kernel.counters(), counted([("socket-translated", 1)]));
    group.kernel.packet_pod();
    assert_eq!(group.connect("inet", "tcp", WEB), "Connection refused");
    group.kernel.point(frontend(WEB, TCP), &[]);
    assert_eq!(group.connect("inet", "tcp", WEB), "Connection refused");
    assert_eq!(group.kernel.counters(), counted([("socket-translated", 1)]));
}

#[test]
fn a_swapped_program_keeps_its_link() {
    let Some(mut group) = Group::new("swapped") else {
        return;
    };
    let before = links::observe(&group.kernel.pins, &Interfaces::new()).expect("links");
    let outdated = Outdated("connect4");
    let object = std::env::var_os("FLATNET_PROGRAMS").expect("set, or the test was skipped");
    let sizes = Default::default();
    let mut again = programs::load(object.as_ref(), &group.kernel.pins, sizes).expect("loads");
    assert_eq!(
        again.outdated(&group.kernel.pins),
        [],
        "the same object is up to date"
    );
    again
        .pin(outdated, &group.kernel.pins)
        .expect("another program of the same name");
    group.attach();
    let after = links::observe(&group.kernel.pins, &Interfaces::new()).expect("links");
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    assert_ne!(before["connect4"].program_id, after["connect4"].program_id);
    group.kernel.point(frontend(WEB, TCP), &[]);
    assert_eq!(
        group.connect("inet", "tcp", WEB),
        "Connection refused",
        "the new one works"
    );
}

/// A frontend with these endpoints for everybody.
fn wish(endpoints: &[&str], treatment: Treatment) -> FrontendWish {
    let list: Arc<[Endpoint]> = endpoints.iter().map(|at| endpoint(at)).collect();
    FrontendWish {
        kind: FrontendKind::NodePort,
        inside: list.clone(),
        outside: list,
        treatment,
    }
}

/// How many connections wait at a listener.
fn waiting(listener: &TcpListener) -> usize {
    listener.set_nonblocking(true).expect("a socket");
    std::iter::from_fn(|| listener.accept().ok()).count()
}

#[test]
fn affinity_holds_at_the_nodes_own_address() {
    let Some(mut group) = Group::new("own-affinity") else {
        return;
    };
    ip("addr add 172.30.0.11/32 dev lo");
    group.kernel.node_address("172.30.0.11");
    let endpoints = ["127.0.0.7:8080", "127.0.0.8:8080"];
    let listeners = endpoints.map(|at| TcpListener::bind(at).expect("a listener"));
    let at = "172.30.0.11:30080";
    for (affinity, socket_path) in [(100, true), (100, false), (0, false)] {
        group.kernel.this_node(socket_path);
        let both = wish(&endpoints, Treatment::default());
        group.kernel.wish(frontend(at, TCP), both, affinity);
        for _ in 0..12 {
            assert_eq!(group.connect("inet", "tcp", at), at);
        }
        let mut counts = listeners.each_ref().map(waiting);
        counts.sort_unstable();
        assert_eq!(
            counts == [0, 12],
            affinity != 0,
            "{counts:?} with {affinity} s"
        );
    }
    // The endpoint that the client had is gone.
    for left in endpoints {
        let one = wish(&[left], Treatment::default());
        group.kernel.wish(frontend(at, TCP), one, 100);
        assert_eq!(group.connect("inet", "tcp", at), at);
    }
    assert_eq!(listeners.each_ref().map(waiting), [1, 1]);
}

#[test]
fn source_ranges_hold_at_the_nodes_own_address() {
    let Some(mut group) = Group::new("own-ranges") else {
        return;
    };
    ip("addr add 172.30.0.11/32 dev lo");
    group.kernel.node_address("172.30.0.11");
    let _listener = TcpListener::bind("127.0.0.7:8080").expect("a listener");
    let at = "172.30.0.11:80";
    for (range, expected) in [
        ("10.0.0.0/8", "Operation not permitted"),
        ("172.30.0.0/16", at),
    ] {
        let limited = wish(&["127.0.0.7:8080"], Treatment::SOURCE_RANGES);
        group.kernel.wish_for(frontend(at, TCP), limited, &[range]);
        assert_eq!(group.connect("inet", "tcp", at), expected, "{range}");
    }
    let expected = counted([("socket-translated", 1), ("source-range", 1)]);
    assert_eq!(group.kernel.counters(), expected);
}

/// A packet to a neighbour that is not there would reach no program.
#[test]
fn the_nodes_own_datagrams_go_to_an_on_link_address_by_their_socket() {
    let Some(mut group) = Group::new("on-link") else {
        return;
    };
    group.kernel.this_node(false);
    let socket = UdpSocket::bind("127.0.0.7:8080").expect("a socket");
    let _listener = TcpListener::bind("127.0.0.7:8080").expect("a listener");
    let at = "172.30.0.77:80";
    for protocol in [TCP, UDP] {
        let marked = wish(&["127.0.0.7:8080"], Treatment::ON_LINK);
        group.kernel.wish(frontend(at, protocol), marked, 0);
    }
    let answer = std::thread::spawn(move || {
        let mut word = [0; 16];
        let (len, from) = socket.recv_from(&mut word).expect("the question");
        socket.send_to(&word[..len], from).expect("the answer");
    });
    assert_eq!(group.ask(at), format!("hello from {at}"));
    answer.join().expect("it answered");
    assert_eq!(group.connect("inet", "tcp", at), at, "a connection");
    group.kernel.node_elsewhere();
    assert_eq!(group.connect("inet", "tcp", at), at, "as any pod");
}
