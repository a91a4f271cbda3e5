//! The files a pod sees as its own: /etc/resolv.conf and /etc/hosts.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::env;
use crate::cluster;
use crate::objects::Pod;

/// Writes the files into `dir` and says where they are to be seen. `resolver` is the cluster DNS.
pub(super) fn write(
    dir: &Path,
    pod: &Pod,
    addresses: &[IpAddr],
    resolver: IpAddr,
) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    fs::create_dir_all(dir)?;
    if pod.spec.host_network {
        return Ok(vec![]);
    }
    let mut binds = vec![];
    let mut place = |name: &str, text: String| {
        let file = dir.join(name);
        fs::write(&file, text)?;
        binds.push((file, Path::new("/etc").join(name)));
        io::Result::Ok(())
    };
    place("hosts", hosts(pod, addresses))?;
    if pod.spec.dns_policy != "Default" {
        place(
            "resolv.conf",
            resolv_conf(&pod.metadata.namespace, resolver),
        )?;
    }
    Ok(binds)
}

/// As a kubelet writes it for `dnsPolicy: ClusterFirst`.
fn resolv_conf(namespace: &str, server: IpAddr) -> String {
    let zone = cluster::ZONE;
    format!(
        "search {namespace}.svc.{zone} svc.{zone} {zone}\nnameserver {server}\noptions ndots:5\n"
    )
}

fn hosts(pod: &Pod, addresses: &[IpAddr]) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost\n");
    for address in addresses {
        text.push_str(&format!("{address}\t{}\n", env::hostname(pod)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolver_asks_the_cluster_first() {
        assert_eq!(
            resolv_conf("shop", [10, 96, 0, 10].into()),
            "search shop.svc.cluster.local svc.cluster.local cluster.local\n\
             nameserver 10.96.0.10\noptions ndots:5\n"
        );
    }

    #[test]
    fn a_pod_finds_its_own_name() {
        let mut pod = Pod::default();
        pod.metadata.name = "web-1".into();
        let text = hosts(&pod, &[[10, 244, 1, 2].into()]);
        assert!(text.ends_with("10.244.1.2\tweb-1\n"), "{text}");
    }
}
