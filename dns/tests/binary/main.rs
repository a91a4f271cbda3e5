//! The program itself: command line, banner, readiness, one question, SIGTERM; and what it makes
//! of an API server that goes away, of upstreams, and of floods.

#[path = "../../../cluster-watch/tests/against_api/api.rs"]
#[expect(dead_code, reason = "the tests of the watches use more of it")]
mod api;
mod away;
mod flood;
mod manifests;
mod running;
mod upstream;
mod upstreams;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::process::{Command, Output};

use hickory_proto::op::ResponseCode;
use serde_json::{Value, json};

use api::{Api, SERVICES};
use running::{Running, WEB, ask, flatnet_dns, get, metric};

/// Any free port of loopback.
const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// The name of the headless Service.
const PEERS: &str = "peers.default.svc.cluster.local.";

/// A Service of `default` with this cluster IP, or `None` for a headless one.
fn service(name: &str, cluster_ip: &str) -> Value {
    json!({
        "metadata": {"namespace": "default", "name": name},
        "spec": {"clusterIP": cluster_ip, "ports": [{"port": 80}]},
    })
}

/// The endpoints of the Service `peers`.
fn peers(addresses: &[&str]) -> Value {
    let endpoint = |address| json!({"addresses": [address], "conditions": {"ready": true}});
    let endpoints: Vec<_> = addresses.iter().map(endpoint).collect();
    json!({
        "metadata": {
            "namespace": "default", "name": "peers-1",
            "labels": {"kubernetes.io/service-name": "peers"},
        },
        "addressType": "IPv4", "endpoints": endpoints,
    })
}

#[test]
fn from_start_to_sigterm() {
    let api = Api::started();
    api.put(SERVICES, service("web", "10.96.0.1"));
    api.fail(SERVICES, true);
    let mut server = Running::start(&api.url());
    let banner = server.line("flatnet-dns");
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(
        banner.contains(&version) && banner.contains("cluster.local"),
        "{banner}"
    );
    let udp = server.address("DNS over UDP");
    assert_eq!(udp, server.address("DNS over TCP"));
    let http = server.address("HTTP");

    assert!(get(http, "/health").starts_with("HTTP/1.1 200"));
    assert!(get(http, "/ready").starts_with("HTTP/1.1 503"));
    assert_eq!(ask(udp, WEB).0, ResponseCode::ServFail, "until it knows");
    api.fail(SERVICES, false);
    server.line("synced");
    assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
    assert_eq!(ask(udp, WEB).0, ResponseCode::NoError);
    for name in [
        "coredns_dns_requests_total",
        "coredns_dns_responses_total",
        "coredns_dns_request_duration_seconds_count",
    ] {
        assert!(metric(http, name) >= 1.0, "{name}");
    }

    server.terminate();
    server.line("draining");
    assert!(get(http, "/ready").starts_with("HTTP/1.1 503"));
    assert_eq!(
        ask(udp, WEB).0,
        ResponseCode::NoError,
        "it answers while it drains"
    );
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn two_on_one_port_is_one_too_many() {
    let api = Api::started();
    let first = Running::start(&api.url());
    let taken = first.address("DNS over UDP").to_string();
    let output = flatnet_dns()
        .args([
            "--api-server",
            &api.url(),
            "--listen",
            &taken,
            "--http",
            "127.0.0.1:0",
            "--metrics",
            "127.0.0.1:0",
        ])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains(&format!("cannot listen on {taken}")),
        "{}",
        said(&output)
    );
}

#[test]
fn it_answers_at_the_addresses_it_is_told_alone() {
    let api = Api::started();
    api.put(SERVICES, service("web", "10.96.0.1"));
    let told = SocketAddr::from((upstream::own_host(), 5301));
    let server = Running::start_as(flatnet_dns(), &api.url(), &told.to_string());
    server.line("synced");
    assert_eq!(ask(told, WEB).0, ResponseCode::NoError);
    let other = SocketAddr::from((upstream::own_host(), told.port()));
    assert!(TcpStream::connect(other).is_err());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.connect(other).expect("loopback");
    socket.send(&running::question(WEB, 1)).expect("sent");
    // What nobody listens for is refused on loopback.
    assert!(socket.recv(&mut [0; 512]).is_err());
}

#[test]
fn bad_flags_are_named() {
    for (flags, wanted) in [
        (&["--ttl", "forever"][..], "--ttl <SECONDS>"),
        (&["--zone", "."], "the root is no domain of anybody's"),
        (&["--listen", "somewhere"], "--listen <IP:PORT>"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let output = flatnet_dns()
            .args(flags)
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(64), "{flags:?}");
        assert!(
            said(&output).contains(wanted),
            "{flags:?}: {}",
            said(&output)
        );
    }
    let output = flatnet_dns()
        .args(["--api-server", "10.0.0.1:6443"])
        .output();
    let output = output.expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("expected a URL"),
        "{}",
        said(&output)
    );
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (flag, wanted) in [
        ("--help", "FLATNET_DNS_ZONE"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = flatnet_dns()
            .arg(flag)
            .output()
            .expect("the program starts");
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(wanted), "{flag}: {text}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether this is not root, which is said.
fn lacks_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status");
    let root = status.is_ok_and(|text| text.contains("Uid:\t0\t"));
    if !root {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must not skip: not root"
        );
        println!("skipped: not root");
    }
    !root
}

#[test]
fn an_ordinary_user_with_the_right_to_bind_is_enough() {
    if lacks_root() {
        return;
    }
    // Where any user may read it.
    let dir = std::env::temp_dir().join(format!("flatnet-dns-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("a directory");
    let program = dir.join("flatnet-dns");
    std::fs::copy(env!("CARGO_BIN_EXE_flatnet-dns"), &program).expect("copied");
    let rights = "-all,+net_bind_service";
    let mut command = Command::new("unshare");
    command.args([
        "--net",
        "sh",
        "-c",
        "ip link set lo up && exec \"$0\" \"$@\"",
        "setpriv",
    ]);
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    for set in ["inh-caps", "ambient-caps", "bounding-set"] {
        command.arg(format!("--{set}={rights}"));
    }
    command.arg(&program);
    let server = Running::start_as(command, "http://127.0.0.1:1", "127.0.0.1:53");
    let address = server.address("DNS over TCP");
    drop(server);
    std::fs::remove_dir_all(&dir).expect("removed");
    assert_eq!(address.port(), 53);
}
