//! What is wrong, from what was seen. Pure.

use std::fmt;

use proxy_abi::ownership::{CNI_CONFIG_FILE, CNI_TYPE};

use super::facts::{Cluster, Facts, LOOPBACK};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The node works, but not in full.
    Warning,
    /// It does not.
    Error,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    what: String,
    remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(out, "{severity}: {}; {}", self.what, self.remedy)
    }
}

fn error(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Error,
        what: what.into(),
        remedy: remedy.into(),
    }
}

fn warning(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..error(what, remedy)
    }
}

/// Everything that is wrong, in the order in which it is to be mended.
#[must_use]
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(kernel(facts));
    found.extend(mounts(facts));
    found.extend(cluster(facts));
    found.extend(sysctls(facts));
    found.extend(runtime(facts));
    found
}

/// Linux has them by these numbers since 5.8; the programs need no more.
const CAPABILITIES: [(u32, &str, &str); 3] = [
    (12, "NET_ADMIN", "attach programs and write routes"),
    (38, "PERFMON", "load programs"),
    (39, "BPF", "load programs"),
];
/// The first kernel on which every program loads.
const OLDEST: (u32, u32) = (6, 1);
/// The first with tcx.
const TCX: (u32, u32) = (6, 6);

fn kernel(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let (major, minor) = facts.kernel;
    if facts.kernel < OLDEST {
        let what = format!("Linux {major}.{minor} is older than 6.1");
        found.push(error(what, "boot a newer kernel: the programs need it"));
    } else if facts.kernel < TCX {
        let what = format!("Linux {major}.{minor} has no tcx (6.6)");
        let remedy = "pods with a limit on what they send cannot be added here; all else works";
        found.push(warning(what, remedy));
    }
    for (number, name, what_for) in CAPABILITIES {
        if !facts.capabilities.contains(&number) {
            let what = format!("this process lacks CAP_{name}, needed to {what_for}");
            let remedy =
                format!("run as root, or in a pod add {name} to securityContext.capabilities");
            found.push(error(what, remedy));
        }
    }
    found
}

fn mounts(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    // These sentences bring their remedies.
    for text in [&facts.bpffs, &facts.cgroup].into_iter().flatten() {
        let (what, remedy) = text.split_once("; ").unwrap_or((text, "see above"));
        found.push(error(what, remedy));
    }
    if let Some(why) = &facts.object {
        let remedy = "give --programs (FLATNET_PROGRAMS); the image has it where the default says";
        found.push(error(
            format!("the eBPF object cannot be read: {why}"),
            remedy,
        ));
    }
    if facts.sockets == Some(false) {
        let what = "a connect() of this process does not meet the socket programs";
        let remedy = "is the cgroup that they hang on (--cgroup-root) the one that holds every \
                      process of the node? Services work by packets meanwhile";
        found.push(warning(what, remedy));
    }
    found
}

fn cluster(facts: &Facts) -> Vec<Finding> {
    let name = &facts.node_name;
    match &facts.cluster {
        Cluster::Unasked => vec![],
        Cluster::Away(why) => vec![error(
            format!("the API server cannot be used: {why}"),
            "give --api-server (FLATNET_API_SERVER) the address of a control plane node or of its \
             load balancer, as `kubectl get endpointslices kubernetes` shows it",
        )],
        Cluster::Unknown(names) => vec![error(
            format!(
                "there is no Node named {name} (there are {})",
                names.join(", ")
            ),
            "give --node-name (NODE_NAME) the name that `kubectl get nodes` shows",
        )],
        Cluster::Known {
            addresses,
            pod_cidrs,
            by_cluster_ip,
        } => {
            let mut found = Vec::new();
            if !addresses.iter().any(|ip| facts.addresses.contains(ip)) {
                let listed: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let what = format!(
                    "no interface here holds an InternalIP of Node {name} ({})",
                    listed.join(", ")
                );
                let remedy = "run this on that node, in its network namespace (hostNetwork), or \
                              mend the kubelet's --node-ip";
                found.push(error(what, remedy));
            }
            if pod_cidrs.is_empty() {
                let what = format!("Node {name} has no pod CIDR");
                let remedy = "start the controller manager with --allocate-node-cidrs and \
                              --cluster-cidr (kubeadm: --pod-network-cidr)";
                found.push(error(what, remedy));
            }
            let has_v6 = pod_cidrs.iter().any(|cidr| cidr.addr().is_ipv6());
            if has_v6 && value(facts, "net/ipv6/conf/all/forwarding").is_none() {
                let what = format!("Node {name} has an IPv6 pod CIDR and its kernel no IPv6");
                let remedy = "boot without ipv6.disable=1";
                found.push(error(what, remedy));
            }
            if *by_cluster_ip {
                let what = "the API server is asked at a cluster IP, which works only while the \
                            agent's own programs do";
                let remedy = "give --api-server the address of a control plane node";
                found.push(warning(what, remedy));
            }
            found
        }
    }
}

fn value<'a>(facts: &'a Facts, name: &str) -> Option<&'a str> {
    let found = facts.sysctls.iter().find(|(known, _)| *known == name);
    found.and_then(|(_, value)| value.as_deref())
}

/// Ports that masquerade needs for itself, outside the kernel's own range and above 1024.
const MASQUERADE_PORTS: u32 = 1024;

fn sysctls(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let (has_v4, has_v6) = match &facts.cluster {
        Cluster::Known { pod_cidrs, .. } => (
            pod_cidrs.iter().any(|cidr| cidr.addr().is_ipv4()),
            pod_cidrs.iter().any(|cidr| cidr.addr().is_ipv6()),
        ),
        _ => (false, false),
    };
    for (name, wanted, applies) in [
        ("net/ipv4/ip_forward", "1", has_v4),
        ("net/ipv4/conf/all/rp_filter", "0", has_v4),
        ("net/ipv6/conf/all/forwarding", "1", has_v6),
    ] {
        let other = value(facts, name).filter(|value| *value != wanted);
        if let Some(other) = other.filter(|_| applies) {
            let what = format!("sysctl {name} is {other} and must be {wanted}");
            let remedy = "the agent sets it; if it does not stay, look for who sets it back \
                          (/etc/sysctl.d, a tuning daemon)";
            found.push(warning(what, remedy));
        }
    }
    if value(facts, "net/core/bpf_jit_enable") == Some("0") {
        let what = "the kernel interprets eBPF programs (net.core.bpf_jit_enable is 0)";
        found.push(warning(
            what,
            "set it to 1: packets take several times as long",
        ));
    }
    let range = value(facts, "net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = range
        .split_whitespace()
        .filter_map(|port| port.parse::<u32>().ok());
    if let (Some(first), Some(last)) = (ports.next(), ports.next()) {
        let below = first.saturating_sub(1024);
        let above = 65_535_u32.saturating_sub(last);
        if below.max(above) < MASQUERADE_PORTS {
            let what =
                format!("sockets may have every port (ip_local_port_range is {first}-{last})");
            let remedy = "narrow net.ipv4.ip_local_port_range, or give --masquerade-ports: until \
                          then packets of pods do not leave the cluster";
            found.push(error(what, remedy));
        }
    }
    found
}

fn runtime(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(plugins(facts));
    match &facts.configurations {
        Err(why) => found.push(error(
            format!("the folder of CNI configurations cannot be read: {why}"),
            "give --cni-conf-dir (FLATNET_CNI_CONF_DIR) the folder that the runtime reads",
        )),
        Ok(names) => match names.first() {
            Some(first) if first == CNI_CONFIG_FILE => {}
            Some(first) => found.push(error(
                format!("{first} comes before {CNI_CONFIG_FILE}, so the runtime takes that"),
                "remove it, or rename it to something that sorts later, if its plugin is to go",
            )),
            None => found.push(warning(
                format!("there is no {CNI_CONFIG_FILE} yet, so the node is not Ready"),
                "the agent writes it when the node works; what keeps it from that is above, or in \
                 its log",
            )),
        },
    }
    for port in &facts.taken {
        found.push(error(
            format!("somebody else listens at {port}"),
            "end it (kube-proxy, perhaps), or give --healthz-bind-address or \
             --metrics-bind-address another port",
        ));
    }
    found
}

fn plugins(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Err(why) = &facts.plugin {
        let what =
            format!("the CNI plugin {CNI_TYPE} is not where the runtime looks for it: {why}");
        let remedy = "run `flatnet-agent prepare`, with --cni-bin-dir where it looks elsewhere; a \
                      read-only folder has to be mounted writable";
        found.push(error(what, remedy));
    }
    if let Err(why) = &facts.loopback {
        let what = format!(
            "the CNI plugin {LOOPBACK}, without which containerd starts no pod, is not beside \
             {CNI_TYPE}: {why}"
        );
        let remedy = "install the CNI project's plugins (kubernetes-cni, \
                      containernetworking-plugins) or copy it there; CRI-O does without, and \
                      containerd 2 with use_internal_loopback";
        found.push(error(what, remedy));
    }
    found
}

#[cfg(test)]
mod tests;
