//! The programs that the lab, the tests and the benches start, and the packages they come in.

use std::path::Path;

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
        program: "dig",
        package: "bind9-dnsutils",
        used_for: "asks the DNS server as any other client would",
        scope: Scope::Test,
    },
    Tool {
        program: "host-local",
        package: "containernetworking-plugins",
        used_for: "the reference for the layout of IPAM's files",
        scope: Scope::Test,
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

/// The state of every tool in the table.
pub(super) fn needs() -> Vec<Need> {
    TOOLS.iter().map(need).collect()
}

fn need(tool: &Tool) -> Need {
    let in_cni_dirs = || {
        CNI_BIN_DIRS
            .iter()
            .map(|dir| Path::new(dir).join(tool.program))
            .find(|path| path.exists())
    };
    let state = match find_program(tool.program).or_else(in_cni_dirs) {
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
