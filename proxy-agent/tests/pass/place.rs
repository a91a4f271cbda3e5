//! A node for the tests of whole passes, and the cluster that it is in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_model::testing::{mk_index, mk_node, mk_service, mk_slice};
use cluster_model::{ClusterIndex, Here, Protocol};
use proxy_abi::ownership::map::Pin;
use proxy_agent::args::{FlowOptions, Options, ServiceOptions};
use proxy_agent::kernel::routes::Netlink;
use proxy_agent::pass::{Node, Plan, Wish};
use proxy_agent::plan::peers::Routing;

use crate::kernel::{cgroup_root, ip, isolated_bpffs, object};

/// A node with an uplink, a cgroup and a bpffs of its own.
pub(crate) struct Place {
    pub(crate) options: Options,
    pub(crate) folder: tempfile::TempDir,
    cgroup: PathBuf,
}

impl Place {
    pub(crate) fn new(test: &str) -> Option<Self> {
        let programs = object(test)?;
        let folder = isolated_bpffs();
        let cgroup = cgroup_root().join(format!("flatnet-test-{}-{test}", std::process::id()));
        fs::create_dir(&cgroup).expect("a cgroup");
        let options = Options {
            node_name: "node-1".into(),
            api_server: None,
            kubeconfig: None,
            bpffs: folder.path().into(),
            cgroup_root: Some(cgroup.clone()),
            proc_sys: "/proc/sys".into(),
            state_dir: folder.path().with_extension("state"),
            cni_conf_dir: tempfile::tempdir().expect("a folder").keep(),
            cni_data_dir: "/var/lib/cni/networks".into(),
            programs,
            flow_table_size: Some(1024),
            endpoint_slots: Some(1024),
            frontend_table_size: Some(1024),
            service_cidr: Vec::new(),
            socket_lb: true,
            services: ServiceOptions::default(),
            flows: FlowOptions::default(),
            routing: Routing::Auto,
            vxlan_port: 8472,
            tcx: None,
            map_layouts: Vec::new(),
            masquerade: true,
            masquerade_exclude: Vec::new(),
            masquerade_ports: None,
            socket: folder.path().with_extension("sock"),
            audit_seconds: Duration::from_secs(30),
        };
        let place = Self {
            options,
            folder,
            cgroup,
        };
        ip("link set lo up");
        ip("link add eth0 type veth peer name far0");
        ip("addr add 172.30.0.11/24 dev eth0");
        ip("link set eth0 up");
        ip("link set far0 up");
        Some(place)
    }

    /// An agent that has just started: it knows nothing but its options.
    pub(crate) fn agent(&self) -> Node {
        self.agent_with(|_options| ())
    }

    /// Another agent in the same place.
    pub(crate) fn agent_with(&self, change: impl FnOnce(&mut Options)) -> Node {
        let mut options = self.options.clone();
        change(&mut options);
        let netlink = Netlink::open().expect("netlink");
        let mut node = Node::new(options, netlink).expect("a bpffs");
        node.load().expect("programs load");
        node
    }

    pub(crate) fn pin(&self, below: &str) -> PathBuf {
        self.folder.path().join("flatnet").join(below)
    }

    /// Whether there is an interface of this name.
    pub(crate) fn has(&self, interface: &str) -> bool {
        Path::new("/proc/sys/net/ipv4/conf")
            .join(interface)
            .exists()
    }

    /// The pin of a map.
    pub(crate) fn map(&self, name: &str) -> PathBuf {
        self.pin(&format!("maps/{}", Pin::of(name)))
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.options.cni_conf_dir.join("10-flatnet.conflist")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The links are pinned; once the pins go, the cgroup is free of programs.
        _ = fs::remove_dir_all(self.pin(""));
        _ = fs::remove_dir_all(&self.options.cni_conf_dir);
        _ = fs::remove_dir_all(&self.options.state_dir);
        _ = fs::remove_dir(&self.cgroup);
    }
}

pub(crate) fn here() -> Here {
    Here::new("node-1")
}

pub(crate) fn cluster() -> ClusterIndex {
    let service = mk_service("default", "web")
        .cluster_ip("10.96.1.1")
        .port("", Protocol::Tcp, 80);
    let slice = mk_slice("default", "web", "web-1")
        .port("", Protocol::Tcp, 8080)
        .ready("10.244.1.2")
        .ready("10.244.2.2");
    let mut index = mk_index([service], [slice]);
    for number in 1..=3 {
        index.apply_node(
            mk_node(&format!("node-{number}"))
                .address(&format!("172.30.0.1{number}"))
                .pod_cidr(&format!("10.244.{number}.0/24")),
        );
    }
    index
}

/// Full passes until one succeeds, as the agent's loop does: the kernel frees an unpinned link a
/// moment after its pin is removed, and until then refuses the same program a second time.
pub(crate) async fn full_at_last(node: &mut Node, index: &ClusterIndex) -> Plan {
    for _ in 0..40 {
        match node.full(Wish::of(index, &here())).await {
            Ok((plan, _)) => return plan,
            Err(error) => eprintln!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no pass succeeded in two seconds");
}

pub(crate) async fn full(node: &mut Node, index: &ClusterIndex) -> Plan {
    let (plan, waiting) = node.full(Wish::of(index, &here())).await.expect("a pass");
    assert_eq!(waiting, []);
    plan
}
