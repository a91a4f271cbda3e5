//! Who the receiver sees: captured in the receiving pod, not told by it.

mod stage;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use lab::Lab;
use lab::handle::RunningPod;
use lab::store::Kind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use stage::{output, two_tier};

/// A capture on the `eth0` of a pod, of packets to one port.
struct Capture {
    tcpdump: Child,
}

impl Capture {
    fn start(lab: &Lab, pod: &RunningPod, port: u16) -> Self {
        let filter = format!("dst host {} and dst port {port}", pod.address);
        let argv = [
            "tcpdump",
            "-n",
            "-l",
            "--immediate-mode",
            "-i",
            "eth0",
            &filter,
        ];
        let mut command = lab.in_pod(&pod.name, &argv);
        let mut tcpdump = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump runs");
        // It says so once the socket is open; packets before that would be missed.
        let mut said = BufReader::new(tcpdump.stderr.take().expect("piped")).lines();
        let listening = said.any(|line| line.expect("text").contains("listening on"));
        assert!(listening, "tcpdump listens");
        // Kept open: tcpdump writes its totals there in the end.
        std::thread::spawn(move || said.for_each(drop));
        Self { tcpdump }
    }

    /// Ends the capture; returns its lines.
    fn finish(self) -> Vec<String> {
        let pid = i32::try_from(self.tcpdump.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("asked to end");
        let output = self.tcpdump.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        // Beside its packets tcpdump prints an empty line when it is ended.
        text.lines()
            .filter(|line| line.contains("IP "))
            .map(str::to_owned)
            .collect()
    }
}

/// `IP 10.244.1.3.40000 > 10.244.2.2.8080: …` -> `10.244.1.3`
fn source(line: &str) -> &str {
    let endpoint = line
        .split("IP ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    endpoint
        .and_then(|endpoint| endpoint.rsplit_once('.'))
        .map_or("", |(address, _)| address)
}

#[test]
fn the_receiving_pod_sees_the_sending_pods_address() {
    let Some(lab) = two_tier("addresses", &["tcpdump"]) else {
        return;
    };
    let service = lab
        .api()
        .find(Kind::Service, "default", "backend")
        .expect("an answer");
    let address = service.expect("the Service")["spec"]["clusterIP"].clone();
    let address = address.as_str().expect("a cluster IP");
    let url = format!("http://{address}");
    let echo = format!("{address}:80");
    let tcp = ["flatnet-demo", "get", &url, "--count", "20"];
    let udp = ["flatnet-demo", "udp", &echo, "--count", "20"];
    // A sender on the node of each receiver, so that both ways are sure to be walked.
    lab.scale("frontend", 6).expect("scaled");
    let senders = lab
        .wait_pods("frontend", 6, stage::PATIENCE)
        .expect("six frontends");
    let receivers = lab.pods("backend").expect("pods");
    let mut walked = std::collections::BTreeSet::new();
    for receiver in &receivers {
        for sender in &senders {
            for (protocol, argv) in [("TCP", tcp), ("UDP", udp)] {
                let capture = Capture::start(&lab, receiver, 8080);
                output(lab.in_pod(&sender.name, &argv));
                let seen = capture.finish();
                // Probes come from the node; what else arrives must be the sender itself.
                let others: Vec<_> = seen
                    .iter()
                    .filter(|line| !source(line).starts_with("172.30.0."))
                    .filter(|line| source(line) != sender.address)
                    .collect();
                assert!(others.is_empty(), "{protocol} from {sender:?}: {others:?}");
                let own = seen
                    .iter()
                    .filter(|line| source(line) == sender.address)
                    .count();
                assert!(own > 0, "{protocol} {sender:?} -> {receiver:?}: {seen:?}");
                walked.insert((protocol, sender.node == receiver.node));
            }
        }
    }
    let all = [("TCP", false), ("TCP", true), ("UDP", false), ("UDP", true)];
    assert_eq!(walked.into_iter().collect::<Vec<_>>(), all);
}
