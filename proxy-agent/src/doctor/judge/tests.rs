//! Broken hosts, a row each: what is wrong with it, and the line that says so.

use super::*;

fn good() -> Facts {
    Facts {
        capabilities: (0..41).collect(),
        kernel: (6, 18),
        bpffs: None,
        cgroup: None,
        sockets: Some(true),
        object: None,
        configurations: Ok(vec![
            CNI_CONFIG_FILE.to_owned(),
            "99-loopback.conf".to_owned(),
        ]),
        plugin: Ok(()),
        loopback: Ok(()),
        sysctls: vec![
            ("net/ipv4/ip_forward", Some("1".to_owned())),
            ("net/ipv4/conf/all/rp_filter", Some("0".to_owned())),
            ("net/ipv6/conf/all/forwarding", Some("1".to_owned())),
            (
                "net/ipv4/ip_local_port_range",
                Some("32768\t60999".to_owned()),
            ),
            ("net/core/bpf_jit_enable", Some("1".to_owned())),
        ],
        cluster: known(&["10.244.1.0/24", "fd00::/64"], false),
        node_name: "node1".to_owned(),
        addresses: ["172.30.0.11".parse().unwrap()].into(),
        taken: Vec::new(),
    }
}

fn known(pod_cidrs: &[&str], by_cluster_ip: bool) -> Cluster {
    Cluster::Known {
        addresses: vec!["172.30.0.11".parse().unwrap()],
        pod_cidrs: pod_cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        by_cluster_ip,
    }
}

fn set(facts: &mut Facts, name: &str, value: Option<&str>) {
    let mut rows = facts.sysctls.iter_mut();
    let row = rows.find(|(known, _)| *known == name).unwrap();
    row.1 = value.map(str::to_owned);
}

#[test]
fn a_good_host_has_no_finding() {
    assert_eq!(findings(&good()), []);
}

type Break = fn(&mut Facts);

/// Who is broken, how, how bad that is, and what the line names as cause and as remedy.
const BROKEN: &[(&str, Break, Severity, &str, &str)] = &[
    (
        "old kernel",
        |facts| facts.kernel = (5, 15),
        Severity::Error,
        "Linux 5.15 is older than 6.1",
        "boot a newer kernel",
    ),
    (
        "kernel without tcx",
        |facts| facts.kernel = (6, 1),
        Severity::Warning,
        "Linux 6.1 has no tcx",
        "cannot be added here",
    ),
    (
        "missing capability",
        |facts| facts.capabilities.retain(|number| *number != 39),
        Severity::Error,
        "lacks CAP_BPF",
        "securityContext.capabilities",
    ),
    (
        "no bpffs",
        |facts| facts.bpffs = Some("/x is no bpffs; mount one with: mount".to_owned()),
        Severity::Error,
        "/x is no bpffs",
        "mount one",
    ),
    (
        "no cgroup2",
        |facts| facts.cgroup = Some("no cgroup2 file system is mounted here; mount one".to_owned()),
        Severity::Error,
        "no cgroup2",
        "mount one",
    ),
    (
        "programs on another cgroup",
        |facts| facts.sockets = Some(false),
        Severity::Warning,
        "does not meet the socket programs",
        "--cgroup-root",
    ),
    (
        "no eBPF object",
        |facts| facts.object = Some("/y: not found".to_owned()),
        Severity::Error,
        "/y: not found",
        "--programs",
    ),
    (
        "wrong API address",
        |facts| facts.cluster = Cluster::Away("connection refused".to_owned()),
        Severity::Error,
        "connection refused",
        "--api-server",
    ),
    (
        "API server by its cluster IP",
        |facts| facts.cluster = known(&["10.244.1.0/24"], true),
        Severity::Warning,
        "asked at a cluster IP",
        "control plane node",
    ),
    (
        "wrong node name",
        |facts| facts.cluster = Cluster::Unknown(vec!["a".to_owned(), "b".to_owned()]),
        Severity::Error,
        "no Node named node1 (there are a, b)",
        "--node-name",
    ),
    (
        "another machine's address",
        |facts| facts.addresses.clear(),
        Severity::Error,
        "no interface here holds an InternalIP of Node node1 (172.30.0.11)",
        "--node-ip",
    ),
    (
        "no pod CIDR",
        |facts| facts.cluster = known(&[], false),
        Severity::Error,
        "has no pod CIDR",
        "--allocate-node-cidrs",
    ),
    (
        "IPv6 switched off",
        |facts| set(facts, "net/ipv6/conf/all/forwarding", None),
        Severity::Error,
        "its kernel no IPv6",
        "ipv6.disable=1",
    ),
    (
        "no forwarding",
        |facts| set(facts, "net/ipv4/ip_forward", Some("0")),
        Severity::Warning,
        "ip_forward is 0 and must be 1",
        "who sets it back",
    ),
    (
        "strict reverse path",
        |facts| set(facts, "net/ipv4/conf/all/rp_filter", Some("1")),
        Severity::Warning,
        "rp_filter is 1 and must be 0",
        "/etc/sysctl.d",
    ),
    (
        "no JIT",
        |facts| set(facts, "net/core/bpf_jit_enable", Some("0")),
        Severity::Warning,
        "interprets eBPF",
        "set it to 1",
    ),
    (
        "no port left",
        |facts| set(facts, "net/ipv4/ip_local_port_range", Some("1024 65535")),
        Severity::Error,
        "every port",
        "--masquerade-ports",
    ),
    (
        "plugin not installed",
        |facts| facts.plugin = Err("/opt/cni/bin/flatnet-cni: not found".to_owned()),
        Severity::Error,
        "/opt/cni/bin/flatnet-cni: not found",
        "flatnet-agent prepare",
    ),
    (
        "runtime without its loopback plugin",
        |facts| facts.loopback = Err("/opt/cni/bin/loopback: not found".to_owned()),
        Severity::Error,
        "loopback, without which containerd starts no pod",
        "kubernetes-cni",
    ),
    (
        "foreign configuration first",
        |facts| facts.configurations = Ok(vec!["05-cilium.conflist".to_owned()]),
        Severity::Error,
        "05-cilium.conflist comes before",
        "remove it",
    ),
    (
        "no configuration yet",
        |facts| facts.configurations = Ok(vec![]),
        Severity::Warning,
        "no 10-flatnet.conflist yet",
        "its log",
    ),
    (
        "no folder of configurations",
        |facts| facts.configurations = Err("/etc/cni/net.d: not found".to_owned()),
        Severity::Error,
        "/etc/cni/net.d: not found",
        "--cni-conf-dir",
    ),
    (
        "port taken",
        |facts| facts.taken = vec!["0.0.0.0:10256".parse().unwrap()],
        Severity::Error,
        "somebody else listens at 0.0.0.0:10256",
        "kube-proxy",
    ),
];

#[test]
fn each_broken_host_is_one_line_with_its_cause_and_remedy() {
    for (host, break_it, severity, cause, remedy) in BROKEN {
        let mut facts = good();
        break_it(&mut facts);
        let found = findings(&facts);
        assert_eq!(found.len(), 1, "{host}: {found:?}");
        assert_eq!(found[0].severity, *severity, "{host}");
        let line = found[0].to_string();
        assert!(!line.contains('\n'), "{host}: {line}");
        for part in [cause, remedy] {
            assert!(line.contains(part), "{host}: {line}");
        }
    }
}
