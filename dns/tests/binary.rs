//! The program itself: command line, banner, readiness, one question, SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(20);

fn flatnet_dns() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flatnet-dns"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("FLATNET_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// A running server. Killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(api: &str) -> Self {
        Self::start_as(flatnet_dns(), api, "127.0.0.1:0")
    }

    /// By `command`, which may be another one that ends in ours.
    fn start_as(mut command: Command, api: &str, listen: &str) -> Self {
        command.args([
            "--api-server",
            api,
            "--listen",
            listen,
            "--http",
            "127.0.0.1:0",
            "--metrics",
            "127.0.0.1:0",
        ]);
        // By its environment, to see that it is read.
        command
            .env("FLATNET_DNS_DRAIN", "0.5")
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                println!("flatnet-dns: {line}");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next log line that contains `part`.
    fn line(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no line with {part:?}: {error}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The address in the next log line that contains `part`.
    fn address(&self, part: &str) -> SocketAddr {
        let line = self.line(part);
        let (_, address) = line
            .split_once("address=")
            .expect("an address in the banner");
        address.trim().parse().expect("an address in the banner")
    }

    fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("sh");
        assert!(status.success());
    }

    fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An API server of one Service, that fails until it is told to `work`.
struct Api {
    url: String,
    work: Arc<AtomicBool>,
    _runtime: Runtime,
}

impl Api {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let work = Arc::new(AtomicBool::new(false));
        let works = work.clone();
        let app = Router::new().fallback(move |request: Request| answer(request, works.clone()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            url,
            work,
            _runtime: runtime,
        }
    }
}

async fn answer(request: Request, works: Arc<AtomicBool>) -> axum::response::Response {
    if request
        .uri()
        .query()
        .is_some_and(|query| query.contains("watch=true"))
    {
        // A watch on which nothing ever happens.
        return std::future::pending().await;
    }
    if !works.load(Ordering::Relaxed) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let web = json!({
        "metadata": {"namespace": "default", "name": "web", "resourceVersion": "1"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
    });
    let services = request.uri().path() == "/api/v1/services";
    let items = if services { vec![web] } else { vec![] };
    Json(json!({"metadata": {"resourceVersion": "1"}, "items": items})).into_response()
}

/// The status line and body of a GET.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the HTTP listener");
    let request = format!("GET {path} HTTP/1.1\r\nHost: dns\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("received");
    answer
}

/// Code and answer count of the A records of `web.default.svc.cluster.local`.
fn ask(address: SocketAddr) -> (u8, u8) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["web", "default", "svc", "cluster", "local"] {
        query.push(u8::try_from(label.len()).expect("a label"));
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    socket.send_to(&query, address).expect("sent");
    let mut answer = [0; 512];
    socket.recv(&mut answer).expect("an answer");
    (answer[3] & 15, answer[7])
}

#[test]
fn from_start_to_sigterm() {
    let api = Api::start();
    let mut server = Running::start(&api.url);
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
    assert_eq!(ask(udp), (2, 0), "SERVFAIL until it knows");
    api.work.store(true, Ordering::Relaxed);
    server.line("synced");
    assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
    assert_eq!(ask(udp), (0, 1));

    server.terminate();
    server.line("draining");
    assert!(get(http, "/ready").starts_with("HTTP/1.1 503"));
    assert_eq!(ask(udp), (0, 1), "it answers while it drains");
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn two_on_one_port_is_one_too_many() {
    let api = Api::start();
    let first = Running::start(&api.url);
    let taken = first.address("DNS over UDP").to_string();
    let output = flatnet_dns()
        .args([
            "--api-server",
            &api.url,
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

/// A number in the text of the metrics.
fn metric(http: SocketAddr, name: &str) -> f64 {
    let text = get(http, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    let value = line.split_whitespace().last();
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

#[test]
fn answers_go_on_without_the_api_server_and_their_age_is_told() {
    let api = Api::start();
    api.work.store(true, Ordering::Relaxed);
    let server = Running::start(&api.url);
    let udp = server.address("DNS over UDP");
    let http = server.address("HTTP");
    server.line("synced");
    drop(api);
    server.line("watch interrupted");
    let before = metric(http, "flatnet_dns_data_age_seconds");
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(ask(udp), (0, 1), "it answers from what it knows");
    assert!(metric(http, "flatnet_dns_data_age_seconds") >= before + 1.0);
    assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
    for name in [
        "coredns_dns_requests_total",
        "coredns_dns_responses_total",
        "coredns_dns_request_duration_seconds_count",
    ] {
        assert!(metric(http, name) >= 1.0, "{name}");
    }
}

#[test]
fn an_ordinary_user_with_the_right_to_bind_is_enough() {
    if !std::fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("Uid:\t0\t")) {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must not skip: not root"
        );
        println!("skipped: not root");
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
