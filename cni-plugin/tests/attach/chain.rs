//! A whole configuration list with the reference plugins `portmap`, `bandwidth` and `tuning`
//! behind ours, run as a container runtime does: each plugin with the capabilities it declares
//! and the result of the one before.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::ask::{filters, read};
use crate::call::Call;
use crate::node::{Node, Pod, has_tcx, on_a_node_with_plugins};
use crate::result::{address_of, host_end_of};

const PLUGINS: [&str; 3] = ["portmap", "bandwidth", "tuning"];

/// A list and what the runtime passes with it.
struct Chain<'a> {
    node: &'a Node,
    folder: PathBuf,
    plugins: Vec<Value>,
    capability_arguments: Value,
}

impl<'a> Chain<'a> {
    fn new(node: &'a Node, folder: &Path, capability_arguments: Value) -> Self {
        let mut ours = node.config();
        ours["capabilities"] = json!({"bandwidth": true, "ips": true, "mac": true});
        let plugins = vec![
            ours,
            json!({"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}),
            json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}),
            json!({"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}),
        ];
        Self {
            node,
            folder: folder.to_owned(),
            plugins,
            capability_arguments,
        }
    }

    fn call(&self, plugin: &Value, command: &str, netns: &str, previous: &Value) -> Call {
        let mut call = self.node.call(command, "c1", netns);
        let kind = plugin["type"].as_str().unwrap();
        if kind != "flatnet-cni" {
            call.binary = self.folder.join(kind);
        }
        // iptables is found by its path.
        call = call.with("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        call.config = plugin.clone();
        call.config["name"] = json!("flatnet");
        call.config["cniVersion"] = json!("1.0.0");
        for (capability, _) in plugin["capabilities"].as_object().into_iter().flatten() {
            let argument = &self.capability_arguments[capability];
            if !argument.is_null() {
                call.config["runtimeConfig"][capability] = argument.clone();
            }
        }
        if !previous.is_null() {
            call.config["prevResult"] = previous.clone();
        }
        call
    }

    fn add(&self, pod: &Pod) -> Value {
        let step = |result: Value, plugin: &Value| {
            self.call(plugin, "ADD", &pod.path(), &result).succeed()
        };
        self.plugins.iter().fold(Value::Null, step)
    }

    /// CHECK of these plugins. `portmap`'s (as of 1.1.1) looks for the rules of one family in the
    /// tables of both, so it fails wherever there is an ip6tables; `bandwidth`'s panics where
    /// there is no limit.
    fn check(&self, plugins: &[&str], pod: &Pod, result: &Value) {
        let asked = |plugin: &&Value| plugins.contains(&plugin["type"].as_str().unwrap());
        for plugin in self.plugins.iter().filter(asked) {
            self.call(plugin, "CHECK", &pod.path(), result).succeed();
        }
    }

    fn del(&self, pod: &Pod, result: &Value) {
        for plugin in self.plugins.iter().rev() {
            self.call(plugin, "DEL", &pod.path(), result).succeed();
        }
    }
}

#[test]
fn a_chain_without_limits() {
    on_a_node_with_plugins(&PLUGINS, |node, folder| {
        let node = &node.with_subnets(&["10.244.1.0/24", "fd00:10:244:1::/64"]);
        let before = node.leftovers();
        let mappings = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
        let chain = Chain::new(node, folder, json!({"portMappings": mappings}));
        let pod = Pod::new();
        let result = chain.add(&pod);
        assert_eq!(address_of(&result), "10.244.1.2");
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 2);
        let host = host_end_of(&result);
        for (side, program) in [("ingress", "from_pod"), ("egress", "to_pod")] {
            assert_eq!(filters(&host, side)[0]["options"]["bpf_name"], program);
        }
        pod.inside(|| assert_eq!(read("/proc/thread-self/net/dev").matches("eth0").count(), 1));
        chain.check(&["flatnet-cni", "tuning"], &pod, &result);
        chain.del(&pod, &result);
        chain.del(&pod, &result);
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn a_chain_that_limits_bandwidth_in_both_directions() {
    if !has_tcx() {
        eprintln!("skipped: ours goes before the limiter's by tcx (Linux 6.6)");
        return;
    }
    on_a_node_with_plugins(&PLUGINS, |node, folder| {
        let before = node.leftovers();
        let limit = json!({
            "ingressRate": 8_000_000, "ingressBurst": 8_000_000,
            "egressRate": 8_000_000, "egressBurst": 8_000_000,
        });
        let chain = Chain::new(node, folder, json!({"bandwidth": limit}));
        let pod = Pod::new();
        let result = chain.add(&pod);
        assert_eq!(
            result["interfaces"].as_array().unwrap().len(),
            3,
            "the limiter's own interface comes after ours: {result}"
        );
        let host = host_end_of(&result);
        for program in ["from_pod", "to_pod"] {
            assert!(node.pin(&format!("links/{program}-{host}")).exists());
        }
        let theirs = filters(&host, "ingress");
        assert!(
            theirs.iter().all(|filter| filter["kind"] == "u32"),
            "the limiter's alone, with ours before it as a link: {theirs:?}"
        );
        chain.check(&["flatnet-cni", "bandwidth", "tuning"], &pod, &result);
        chain.del(&pod, &result);
        assert_eq!(node.leftovers(), before);
    });
}
