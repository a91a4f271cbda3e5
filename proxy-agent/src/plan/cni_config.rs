//! The CNI configuration of this node: the file whose presence tells the kubelet that the
//! network works, so it is written last.

use std::path::Path;

use ipnet::IpNet;
use proxy_abi::ownership::{ANNOTATIONS_CAPABILITY, CNI_NETWORK, CNI_TYPE};
use serde_json::json;

/// What the configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The node's pod CIDRs, at least one; one range set for each.
    pub pod_cidrs: &'a [IpNet],
    /// Bytes of the largest IP packet of a pod.
    pub mtu: u32,
    /// Where bpffs is mounted.
    pub bpffs: &'a Path,
    /// Where leases are kept.
    pub data_dir: &'a Path,
}

/// The conflist (CNI specification, section 1), as the text of the file.
#[must_use]
pub fn text(facts: &Facts<'_>) -> String {
    let ranges: Vec<_> = facts
        .pod_cidrs
        .iter()
        .map(|cidr| json!([{ "subnet": cidr }]))
        .collect();
    let config = json!({
        // A runtime takes the newest version that it knows of the list; from 1.1.0 on it asks for
        // STATUS. An older one (containerd 1.x) knows the first key only, and not 1.1.0.
        "cniVersion": "1.0.0",
        "cniVersions": ["0.4.0", "1.0.0", "1.1.0"],
        "name": CNI_NETWORK,
        "plugins": [{
            "type": CNI_TYPE,
            "mtu": facts.mtu,
            "bpffs": facts.bpffs,
            // The runtime tells only who declares the capability. The plugin shapes nothing
            // itself; it must know when a later one will (see its `Attach`).
            "capabilities": {
                "bandwidth": true, "ips": true, "mac": true, "portMappings": true,
                ANNOTATIONS_CAPABILITY: true,
            },
            "ipam": { "dataDir": facts.data_dir, "ranges": ranges },
        }],
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_set_for_each_pod_cidr() {
        let cidrs = [
            "10.244.1.0/24".parse().unwrap(),
            "fd00:10:244:1::/64".parse().unwrap(),
        ];
        let facts = Facts {
            pod_cidrs: &cidrs,
            mtu: 1450,
            bpffs: Path::new("/sys/fs/bpf"),
            data_dir: Path::new("/var/lib/cni/networks"),
        };
        let config: serde_json::Value = serde_json::from_str(&text(&facts)).unwrap();
        let plugin = &config["plugins"][0];
        assert_eq!(config["name"], "flatnet");
        assert_eq!(
            config["cniVersion"], "1.0.0",
            "what every runtime in use knows"
        );
        assert_eq!(plugin["type"], "flatnet-cni");
        assert_eq!(plugin["mtu"], 1450);
        let annotations = "io.kubernetes.cri.pod-annotations";
        for capability in ["bandwidth", "ips", "mac", "portMappings", annotations] {
            assert_eq!(plugin["capabilities"][capability], true, "{capability}");
        }
        assert_eq!(
            plugin["ipam"]["ranges"],
            json!([[{ "subnet": "10.244.1.0/24" }], [{ "subnet": "fd00:10:244:1::/64" }]])
        );
    }
}
