//! The program, started and asked as its users do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The Service that every test's cluster has.
pub(crate) const WEB: &str = "web.default.svc.cluster.local.";

/// The program without the flags that this process's environment may hold.
pub(crate) fn flatnet_dns() -> Command {
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
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(api: &str) -> Self {
        Self::start_with(api, &[])
    }

    /// With `flags` more.
    pub(crate) fn start_with(api: &str, flags: &[&str]) -> Self {
        let mut command = flatnet_dns();
        command.args(flags);
        Self::start_as(command, api, "127.0.0.1:0")
    }

    /// By `command`, which may be another one that ends in ours.
    pub(crate) fn start_as(mut command: Command, api: &str, listen: &str) -> Self {
        command.args(["--api-server", api, "--listen", listen]);
        command.args(["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
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
    pub(crate) fn line(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no line with {part:?}: {error}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The address in the next log line that contains `part`.
    pub(crate) fn address(&self, part: &str) -> SocketAddr {
        let line = self.line(part);
        let (_, address) = line
            .split_once("address=")
            .expect("an address in the banner");
        address.trim().parse().expect("an address in the banner")
    }

    /// Memory that it holds, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("VmRSS")
    }

    /// Whether it is still the process that was started.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    pub(crate) fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("sh");
        assert!(status.success());
    }

    pub(crate) fn exit(&mut self) -> ExitStatus {
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

/// The status line and body of a GET.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the HTTP listener");
    let request = format!("GET {path} HTTP/1.1\r\nHost: dns\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("received");
    answer
}

/// A number in the text of the metrics: of the first line that begins so.
pub(crate) fn metric(http: SocketAddr, name: &str) -> f64 {
    let text = get(http, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    let value = line.split_whitespace().last();
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

/// A question for the A records of `name`, as bytes.
pub(crate) fn question(name: &str, id: u16) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(name).expect(name);
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().expect("a question")
}

/// Code and addresses of what is said of `name` over UDP.
pub(crate) fn ask(address: SocketAddr, name: &str) -> (ResponseCode, Vec<IpAddr>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.send_to(&question(name, 7), address).expect("sent");
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).expect("an answer");
    let answer = Message::from_vec(&answer[..length]).expect("a message");
    let addresses = answer.answers.iter().filter_map(|r| r.data.ip_addr());
    (answer.metadata.response_code, addresses.collect())
}

/// Asks for `name` until the answer is `wanted`; how long that took.
pub(crate) fn ask_until(address: SocketAddr, name: &str, wanted: &[IpAddr]) -> Duration {
    let begun = Instant::now();
    loop {
        let (code, found) = ask(address, name);
        if found == wanted {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "{name}: {code} {found:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
