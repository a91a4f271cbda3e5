//! The programs that the lab, the tests and the benches start, and the packages they come in.

use std::path::{Path, PathBuf};

use super::need::{Need, Remedy, Scope, State};
use crate::process::find_program;

/// A program of another project that one of our commands starts.
struct Tool {
    program: &'static str,
    /// Its Debian package (12 and later).
    package: &'static str,
    used_for: &'static str,
    scope: Scope,
}

/// Every such program. A tool that nothing starts any more leaves this table.
const TOOLS: &[Tool] = &[
    Tool {
        program: "musl-gcc",
        package: "musl-tools",
        used_for: "compiles the C in a dependency of static programs (ring)",
        scope: Scope::Image,
    },
    Tool {
        program: "ip",
        package: "iproute2",
        used_for: "makes the lab's fabric, shows links and routes",
        scope: Scope::Lab,
    },
    Tool {
        program: "kubectl",
        package: "kubernetes-client",
        used_for: "applies manifests to the lab's API server",
        scope: Scope::Lab,
    },
    Tool {
        program: "tcpdump",
        package: "tcpdump",
        used_for: "proves which source address a pod sees",
        scope: Scope::Test,
    },
    Tool {
        program: "ping",
        package: "iputils-ping",
        used_for: "echo requests from a pod to the outside",
        scope: Scope::Test,
    },
    Tool {
        program: "traceroute",
        package: "traceroute",
        used_for: "shows a pod the hops to the outside",
        scope: Scope::Test,
    },
    Tool {
        program: "dig",
        package: "bind9-dnsutils",
        used_for: "asks the DNS server as any other client would",
        scope: Scope::Test,
    },
    Tool {
        program: "host-local",
        package: "containernetworking-plugins",
        used_for: "the reference for the layout of IPAM's files; the peers' IPAM in benches",
        scope: Scope::Bench,
    },
    Tool {
        program: "ptp",
        package: "containernetworking-plugins",
        used_for: "a peer in benches: veth pairs and plain routing",
        scope: Scope::Bench,
    },
    Tool {
        program: "bridge",
        package: "containernetworking-plugins",
        used_for: "a peer in benches: a Linux bridge",
        scope: Scope::Bench,
    },
    Tool {
        program: "dnsperf",
        package: "dnsperf",
        used_for: "the load of the DNS bench",
        scope: Scope::Bench,
    },
    Tool {
        program: "unbound",
        package: "unbound",
        used_for: "a peer in benches: a DNS server",
        scope: Scope::Bench,
    },
    Tool {
        program: "iptables-restore",
        package: "iptables",
        used_for: "a peer in benches: kube-proxy's rules",
        scope: Scope::Bench,
    },
    Tool {
        program: "nft",
        package: "nftables",
        used_for: "a peer in benches: kube-proxy's rules",
        scope: Scope::Bench,
    },
    Tool {
        program: "containerd",
        package: "containerd",
        used_for: "a container runtime as users have it, to call the CNI plugin",
        scope: Scope::Test,
    },
    Tool {
        program: "runc",
        package: "runc",
        used_for: "starts containerd's containers",
        scope: Scope::Test,
    },
    Tool {
        program: "bpftool",
        package: "bpftool",
        used_for: "shows what of ours is in the kernel, by eyes that are not ours",
        scope: Scope::Test,
    },
    Tool {
        program: "sysctl",
        package: "procps",
        used_for: "reads and changes kernel parameters, as others do",
        scope: Scope::Test,
    },
    Tool {
        program: "dockerd",
        package: "docker.io",
        used_for: "takes the image, as users' docker does",
        scope: Scope::Test,
    },
    Tool {
        program: "docker",
        package: "docker.io",
        used_for: "asks it to",
        scope: Scope::Test,
    },
    Tool {
        program: "busybox",
        package: "busybox-static",
        used_for: "all that is in those containers' image",
        scope: Scope::Test,
    },
    Tool {
        program: "perl",
        package: "perl-base",
        used_for: "a client of another language than ours, for the socket path",
        scope: Scope::Test,
    },
    Tool {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        used_for: "the machine that boots another kernel",
        scope: Scope::Vm,
    },
    Tool {
        program: "c++",
        package: "g++",
        used_for: "compiles libFuzzer",
        scope: Scope::Fuzz,
    },
    Tool {
        program: "diff",
        package: "diffutils",
        used_for: "kubectl diff starts it",
        scope: Scope::Test,
    },
];

/// Debian installs CNI plugins where container runtimes look, not on PATH.
const CNI_BIN_DIRS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin"];

/// Where another project's CNI plugin is; only looked for where runtimes look.
pub(crate) fn cni_plugin(name: &str) -> Option<PathBuf> {
    CNI_BIN_DIRS
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

/// The state of every tool in the table.
pub(super) fn needs() -> Vec<Need> {
    TOOLS.iter().map(need).collect()
}

fn need(tool: &Tool) -> Need {
    // A CNI plugin may have the name of another program on PATH (`bridge` of iproute2).
    let found = cni_plugin(tool.program).or_else(|| find_program(tool.program));
    let state = match found {
        Some(path) => State::Here(path.display().to_string()),
        None => State::Missing {
            why: format!("no program `{}` found", tool.program),
            remedy: Remedy::Package(tool.package),
        },
    };
    Need {
        name: tool.program.to_owned(),
        used_for: tool.used_for,
        scope: tool.scope,
        state,
    }
}
