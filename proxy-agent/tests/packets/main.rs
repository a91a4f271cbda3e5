//! The packet programs, as a table: what is in the maps, what comes in, and then the verdict, the
//! bytes and the counters. Run by the kernel itself (BPF_PROG_TEST_RUN), on the programs as the
//! agent loads them. Every test runs once for each family.

#[path = "../kernel/mod.rs"]
mod kernel;

mod changeover;
mod errors;
mod flows;
mod fragments;
mod host_ports;
mod masquerade;
mod life;
mod policies;
mod refusals;
mod services;
mod short;

use kernel::{Kernel, NEXT, REDIRECT, Run, endpoint, frontend};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The addresses of one family: a client pod, two frontends, an endpoint on this node, one
/// elsewhere.
struct Net {
    v4: bool,
    client: &'static str,
    web: &'static str,
    dns: &'static str,
    local: &'static str,
    remote: &'static str,
    /// A host beyond the cluster, and this node's address.
    outside: &'static str,
    node: &'static str,
    /// Pods of this node.
    pods: [&'static str; 4],
}

const NETS: [Net; 2] = [
    Net {
        v4: true,
        client: "10.244.1.2:40000",
        web: "10.96.1.1:80",
        dns: "10.96.0.10:53",
        local: "10.244.1.7:8080",
        remote: "10.244.2.8:8080",
        outside: "192.0.2.9:443",
        node: "172.30.0.11",
        pods: ["10.244.1.2", "10.244.1.3", "10.244.1.4", "10.244.1.7"],
    },
    Net {
        v4: false,
        client: "[fd00:10:244:1::2]:40000",
        web: "[fd00:10:96::1:1]:80",
        dns: "[fd00:10:96::a]:53",
        local: "[fd00:10:244:1::7]:8080",
        remote: "[fd00:10:244:2::8]:8080",
        outside: "[2001:db8::9]:443",
        node: "fd00:30::11",
        pods: [
            "fd00:10:244:1::2",
            "fd00:10:244:1::3",
            "fd00:10:244:1::4",
            "fd00:10:244:1::7",
        ],
    },
];

impl Net {
    /// A kernel with `web` (TCP) and `dns` (UDP), one endpoint on this node each.
    fn kernel(&self, test: &str) -> Option<Kernel> {
        let mut kernel = Kernel::new(test)?;
        kernel.point(frontend(self.web, TCP), &[endpoint(self.local)]);
        kernel.point(frontend(self.dns, UDP), &[endpoint(self.local)]);
        for pod in self.pods {
            kernel.pod(pod);
        }
        Some(kernel)
    }

    /// The node's address at a port.
    fn node_at(&self, port: u16) -> String {
        let node: std::net::IpAddr = self.node.parse().expect("an address");
        std::net::SocketAddr::new(node, port).to_string()
    }

    /// The kernel of a node whose uplink is where the test run's packets stand, with ten ports for
    /// masquerade from 61000 on.
    fn leaving(&self, test: &str) -> Option<Kernel> {
        let mut kernel = self.kernel(test)?;
        kernel.uplink(&[self.node], 61_000, 61_009);
        kernel.inside(if self.v4 {
            "10.244.0.0/16"
        } else {
            "fd00:10:244::/48"
        });
        Some(kernel)
    }

    /// The port that a frame comes from.
    fn source_port(&self, frame: &[u8]) -> u16 {
        let transport = if self.v4 { 34 } else { 54 };
        u16::from_be_bytes([frame[transport], frame[transport + 1]])
    }

    /// `end` at the port that a frame comes from, which must be another one than its own, and none
    /// that sockets are given.
    fn at_another_port(&self, end: &str, frame: &[u8]) -> String {
        let (address, own) = end.rsplit_once(':').expect("address:port");
        let port = self.source_port(frame);
        assert!(port >= 61_000 && own != port.to_string(), "{end}: {port}");
        format!("{address}:{port}")
    }

    /// The same pod as `client` at another port.
    fn client_at(&self, port: u16) -> String {
        let (address, _) = self.client.rsplit_once(':').expect("address:port");
        format!("{address}:{port}")
    }
}

/// Runs a test for each family, unless this machine cannot.
fn each_family(test: &str, check: impl Fn(&Net, &mut Kernel)) {
    for net in &NETS {
        let Some(mut kernel) = net.kernel(test) else {
            return;
        };
        check(net, &mut kernel);
    }
}

/// The stack goes on with this frame.
fn next(frame: Vec<u8>) -> Run {
    Run {
        verdict: NEXT,
        frame,
    }
}

/// This frame goes straight to where it is going.
fn straight(frame: Vec<u8>) -> Run {
    Run {
        verdict: REDIRECT,
        frame,
    }
}
