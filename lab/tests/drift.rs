//! What others break on a node is put right within the audit interval and counted, and Services are
//! answered then as before.

mod stage;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::network::Network;
use serde_json::Value;

use stage::place::Place;
use stage::{PATIENCE, agents_with, output, product_of};

/// Of the agents here.
const AUDIT_SECONDS: u64 = 2;
/// An audit, the time that a full pass takes, and a machine that does something else too.
const REPAIRED: Duration = Duration::from_secs(AUDIT_SECONDS + 15);

/// One break: what it is counted as, and how it is done on a node.
type Row<'a> = (&'a str, &'a dyn Fn());

#[test]
fn what_others_break_is_repaired_within_the_audit_interval_and_counted() {
    let Some(bin_dir) = agents_with(&format!("--audit-seconds {AUDIT_SECONDS}")) else {
        return;
    };
    let tools = ["bpftool", "sysctl"];
    let Some(lab) = product_of(bin_dir.path(), "drift", 2, Network::default(), &tools) else {
        return;
    };
    let manifest = include_str!("../manifests/two-tier.yaml");
    lab.apply(manifest).expect("applied");
    lab.wait_pods("backend", 2, PATIENCE).expect("two backends");
    let frontends = lab.wait_pods("frontend", 2, PATIENCE).expect("two");
    let bpffs = lab.state_dir().join("bpf/node1");
    let pins = bpffs.join("flatnet");
    let node = Place::member(&lab, "node1");
    let counter = |name: &str| -> u64 {
        let text = node.inside(|| metrics().expect("an answer"));
        let name = format!("flatnet_{name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().expect("a count"))
    };
    let repairs = |what: &str| counter(&format!("repairs_total{{what=\"{what}\"}}"));
    let settled = || {
        let diff = lab.agent_diff("node1").expect("a diff");
        let text = String::from_utf8_lossy(&diff.stdout).into_owned();
        text.lines().last() == Some("0 operations")
    };
    lab.wait("a settled node", PATIENCE, || Ok(settled().then_some(())))
        .expect("settled");

    let detach = || fs::remove_file(pins.join("links/to_network-eth0")).expect("detached");
    let unpin = || fs::remove_file(pins.join("programs/from_pod")).expect("unpinned");
    let route = || {
        drop(output(
            lab.on_node("node1", &["ip", "route", "del", "10.244.2.0/24"]),
        ))
    };
    let sysctl = "net.ipv4.ip_forward=0";
    let sysctl = || drop(output(lab.on_node("node1", &["sysctl", "-w", sysctl])));
    let entries = || delete_first(&pin_of(&pins.join("maps"), "frontends"));
    let filter = || {
        let veth = "ip -o link | sed -n 's/^[0-9]*: \\(fn[0-9a-f]*\\)@.*/\\1/p' | head -1";
        let remove = format!("tc filter del dev $({veth}) ingress");
        drop(output(lab.on_node("node1", &["sh", "-c", &remove])));
    };
    let remount = || {
        let run = |words: &[&str]| drop(output(command(words)));
        let at = bpffs.to_str().expect("UTF-8");
        run(&["umount", "--lazy", at]);
        run(&["mount", "-t", "bpf", "bpffs", at]);
    };
    let rows: [Row<'_>; 7] = [
        ("link", &detach),
        ("program", &unpin),
        ("route", &route),
        ("sysctl", &sysctl),
        ("service", &entries),
        ("filter", &filter),
        ("program", &remount),
    ];
    for (number, (what, break_it)) in rows.into_iter().enumerate() {
        let before = repairs(what);
        break_it();
        let counted = || Ok((repairs(what) > before && settled()).then_some(()));
        let waited = lab.wait(&format!("row {number}: {what} repaired"), REPAIRED, counted);
        waited.expect("repaired");
        for pod in &frontends {
            let ask = ["flatnet-demo", "get", "http://backend", "--count", "4"];
            output(lab.in_pod(&pod.name, &ask));
        }
    }
    // A full pass, for which changes wait, only where there is something to repair.
    let audits = |found: &str| counter(&format!("audits_total{{found=\"{found}\"}}"));
    let (held, different) = (audits("as-written"), audits("different"));
    assert!(held > 0 && different > 0, "{held} {different}");
    let another = || Ok((audits("as-written") > held).then_some(()));
    lab.wait("another audit", REPAIRED, another).expect("one");
    assert_eq!(audits("different"), different, "nobody changes anything");
}

/// What the agent of this network namespace measures.
fn metrics() -> io::Result<String> {
    let mut stream = TcpStream::connect("127.0.0.1:10249")?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// The pin of a map, in whichever layout: that is the end of its name.
fn pin_of(maps: &Path, map: &str) -> PathBuf {
    let pins = fs::read_dir(maps).expect("a folder").flatten();
    let mut pins = pins.map(|pin| pin.path());
    let found = pins.find(|pin| {
        let name = pin.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.split('-').next() == Some(map))
    });
    found.expect("pinned")
}

/// Removes some entry of a map.
fn delete_first(pin: &Path) {
    let pin = pin.to_str().expect("UTF-8");
    let next = output(command(&["bpftool", "-j", "map", "getnext", "pinned", pin]));
    let next: Value = serde_json::from_str(&next).expect("JSON");
    let key = next["next_key"].as_array().expect("an entry");
    let key = key.iter().map(|byte| byte.as_str().expect("a byte"));
    let mut delete = command(&["bpftool", "map", "delete", "pinned", pin, "key"]);
    delete.args(key);
    output(delete);
}
