//! `uninstall`: after it the node is what it was before, and what only looks like ours is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use proxy_agent::args::UninstallOptions;
use proxy_agent::uninstall::uninstall;

use crate::kernel::ip;
use crate::place::{Place, full};

/// Whatever of a node flatnet could have changed, as text.
fn snapshot(place: &Place) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for words in [
        "ip -d link",
        "ip -4 address",
        "ip -4 route show table all",
        "ip -6 route show table all",
        "ip rule",
        "ip -6 rule",
        "tc qdisc",
        "tc filter show dev eth0 ingress",
        "tc filter show dev eth0 egress",
        "tc filter show dev fnord0 ingress",
    ] {
        let mut split = words.split(' ');
        let output = Command::new(split.next().expect("a program"))
            .args(split)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // What the kernel adds by itself comes when it pleases (duplicate address detection).
        let lines = text.lines().filter(|line| !line.contains("proto kernel"));
        seen.insert(words.to_owned(), lines.collect::<Vec<_>>().join("\n"));
    }
    for name in [
        "net/ipv4/ip_forward",
        "net/ipv4/conf/all/rp_filter",
        "net/ipv6/conf/all/forwarding",
        "net/ipv4/ip_forward_use_pmtu",
    ] {
        let value = fs::read_to_string(Path::new("/proc/sys").join(name)).expect("a sysctl");
        seen.insert(name.to_owned(), value);
    }
    let options = removal(place);
    for folder in [
        &options.bpffs,
        &options.cni_conf_dir,
        &options.cni_bin_dir,
        &options.cni_data_dir,
    ] {
        files(folder, &mut seen);
    }
    let state = options.state_dir.exists().to_string();
    seen.insert("state".to_owned(), state);
    seen
}

fn files(folder: &Path, seen: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let text = match path.is_dir() {
            true => "folder".to_owned(),
            false => fs::read_to_string(&path).unwrap_or_else(|_pin| "pin".to_owned()),
        };
        seen.insert(path.display().to_string(), text);
        if path.is_dir() {
            files(&path, seen);
        }
    }
}

fn removal(place: &Place) -> UninstallOptions {
    let conf = &place.options.cni_conf_dir;
    UninstallOptions {
        bpffs: place.options.bpffs.clone(),
        proc_sys: place.options.proc_sys.clone(),
        state_dir: place.options.state_dir.clone(),
        cni_conf_dir: conf.clone(),
        cni_bin_dir: conf.join("bin"),
        cni_data_dir: conf.join("networks"),
        stay: false,
    }
}

/// Things of others, as like ours as they can be.
fn foreign(place: &Place) {
    ip("link add fnord0 type veth peer name fnord1");
    ip("link set fnord0 up");
    ip("link add fn0123456789ab type veth peer name there0");
    ip("link add flannel.1 type vxlan id 1 dstport 8472 dev eth0 nolearning");
    ip("route add 10.99.0.0/16 via 172.30.0.99");
    ip("route add 10.98.0.0/16 via 172.30.0.99 proto 171");
    ip("rule add from 10.97.0.0/16 lookup 100 priority 17001");
    crate::kernel::tc("qdisc add dev fnord0 clsact");
    let options = removal(place);
    for (path, text) in [
        (options.cni_conf_dir.join("20-other.conflist"), "{}"),
        (options.cni_bin_dir.join("bridge"), "a plugin"),
        (options.cni_data_dir.join("other/10.1.0.2"), "a lease"),
    ] {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    fs::create_dir(place.options.bpffs.join("other")).expect("a folder of pins");
}

#[tokio::test]
async fn after_uninstall_the_node_is_what_it_was() {
    let Some(place) = Place::new("uninstall") else {
        return;
    };
    fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").expect("written");
    foreign(&place);
    let before = snapshot(&place);

    let mut agent = place.agent();
    // One peer on the link and one behind a tunnel.
    let mut index = crate::place::cluster();
    let far = cluster_model::testing::mk_node("node-3").address("192.0.2.13");
    index.apply_node(far.pod_cidr("10.244.3.0/24"));
    ip("route add default via 172.30.0.1");
    let installed = full(&mut agent, &index).await;
    assert!(!installed.tunnels.is_empty(), "{installed}");
    ip("route del default via 172.30.0.1");
    let options = removal(&place);
    fs::write(options.cni_bin_dir.join("flatnet-cni"), "ours").expect("written");
    let lease = options.cni_data_dir.join("flatnet/10.244.1.2");
    fs::create_dir_all(lease.parent().expect("a folder")).expect("made");
    fs::write(lease, "a lease").expect("written");
    assert_ne!(snapshot(&place), before);
    drop(agent);

    let (lines, failures) = uninstall(&options).await.expect("looked at");
    assert!(failures.is_empty(), "{failures:?}");
    assert!(lines.len() > 10, "{lines:?}");
    let after = snapshot(&place);
    for (what, text) in &before {
        assert_eq!(after.get(what), Some(text), "{what}");
    }
    let more: Vec<_> = after
        .keys()
        .filter(|key| !before.contains_key(*key))
        .collect();
    assert!(more.is_empty(), "{more:?}");
    let (lines, failures) = uninstall(&options).await.expect("looked at");
    assert!(failures.is_empty() && lines.is_empty(), "{lines:?}");
}
