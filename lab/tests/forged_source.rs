//! A pod can send only from its own addresses: a forged source is dropped and counted.

mod stage;

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use lab::Lab;
use lab::handle::RunningPod;
use lab::network::Families;
use serde_json::Value;

use stage::capture::Capture;
use stage::output;
use stage::servers::{PORT, ask, cluster, of_family, servers};

/// The value of a counter of the node's programs, over all CPUs. `index` is that of
/// `proxy_abi::Counter`.
fn counter(lab: &Lab, node: &str, index: u8) -> u64 {
    let pin = lab.state_dir().join("bpf").join(node);
    let pin = pin.join("flatnet/maps/counters");
    let mut command = Command::new("bpftool");
    command.args(["-j", "map", "lookup", "pinned"]).arg(pin);
    command.args(["key", &index.to_string(), "0", "0", "0"]);
    let found: Value = serde_json::from_str(&output(command)).expect("JSON");
    let byte = |byte: &Value| {
        let digits = byte.as_str().and_then(|text| text.strip_prefix("0x"));
        u8::from_str_radix(digits.expect("a byte"), 16).expect("a byte")
    };
    let cpus = found["values"].as_array().expect("a value for each CPU");
    let of_cpu = |cpu: &Value| {
        let bytes = cpu["value"].as_array().expect("bytes").iter().map(byte);
        let bytes: Vec<u8> = bytes.collect();
        u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
    };
    cpus.iter().map(of_cpu).sum()
}

/// `proxy_abi::Counter::ForgedSource`.
const FORGED_SOURCE: u8 = 12;

/// Some, so that they are told from the few packets by which a young interface announces itself.
const FORGED: u64 = 5;

/// The sending pod, and who should never see what it forges.
struct Forgery<'a> {
    lab: &'a Lab,
    sender: &'a RunningPod,
    receiver: &'a RunningPod,
    target: IpAddr,
}

impl Forgery<'_> {
    /// The pod's next hop.
    fn next_hop(&self) -> &'static str {
        match self.target {
            IpAddr::V4(_) => "169.254.1.1",
            IpAddr::V6(_) => "fe80::1",
        }
    }

    /// Asks the receiver after `preparation`: nothing that matches `filter` arrives there, and
    /// every packet is counted.
    fn fails(&self, preparation: &str, filter: &str) {
        let Self {
            lab,
            sender,
            receiver,
            ..
        } = self;
        let target = SocketAddr::new(self.target, PORT);
        let before = counter(lab, &sender.node, FORGED_SOURCE);
        let capture = Capture::start(lab, &receiver.name, filter);
        let script = format!(
            "set -e; {preparation}\n\
             flatnet-demo udp {target} --timeout-ms 100 --count {FORGED}"
        );
        let told = lab.in_pod(&sender.name, &["sh", "-c", &script]).output();
        let told = stage::told(&told.expect("it runs"));
        assert!(told.contains("no answer in"), "{told}");
        assert_eq!(capture.finish(), [""; 0], "nothing arrives: {filter}");
        let counted = counter(lab, &sender.node, FORGED_SOURCE) - before;
        assert!(counted >= FORGED, "{counted} counted: {preparation}");
    }
}

/// A forged source is dropped and counted: an address, and an Ethernet address.
fn a_forged_source_is_dropped(families: Families) {
    let Some(lab) = cluster("forged", 2, families, &["bpftool", "tcpdump"]) else {
        return;
    };
    let pods = servers(&lab, 2);
    let [sender, receiver] = &pods[..] else {
        panic!("two pods: {pods:?}");
    };
    let forgeries = receiver.addresses.iter().map(|target| Forgery {
        lab: &lab,
        sender,
        receiver,
        target: *target,
    });
    let forgeries: Vec<_> = forgeries.collect();
    for forgery in &forgeries {
        let Forgery { target, .. } = forgery;
        ask(
            |argv| lab.in_pod(&sender.name, argv),
            SocketAddr::new(*target, PORT),
        );
        let (forged, length, at_once) = match target {
            IpAddr::V4(_) => ("10.244.77.7", 32, ""),
            // Else it is of no use for a moment.
            IpAddr::V6(_) => ("fd00:10:244:77::7", 128, "nodad"),
        };
        let hop = forgery.next_hop();
        let forge = format!(
            "ip address add {forged}/{length} dev lo {at_once}\n\
             ip route add {target}/{length} via {hop} dev eth0 src {forged}"
        );
        forgery.fails(&forge, &format!("src host {forged}"));
        let undo = format!("ip route del {target}/{length} via {hop} dev eth0");
        output(lab.in_pod(&sender.name, &["sh", "-c", &undo]));
    }
    take_another_mac(&forgeries);
    for forgery in &forgeries {
        let own = of_family(&sender.addresses, forgery.target);
        forgery.fails("", &format!("src host {own} and udp"));
    }
}

/// Gives the sender an Ethernet address that is not its own. The kernel forgets permanent
/// neighbours with the old one, so they are made again.
fn take_another_mac(forgeries: &[Forgery<'_>]) {
    let first = &forgeries[0];
    let hop = first.next_hop();
    let mut script = format!(
        "set -e; n=$(ip neigh show {hop} dev eth0 | sed 's/.*lladdr \\([0-9a-f:]*\\).*/\\1/')\n\
         ip link set eth0 address 02:00:00:00:fa:15\n"
    );
    for forgery in forgeries {
        let hop = forgery.next_hop();
        script.push_str(&format!(
            "ip neigh replace {hop} lladdr $n nud permanent dev eth0\n"
        ));
    }
    output(first.lab.in_pod(&first.sender.name, &["sh", "-c", &script]));
}

#[test]
fn a_forged_source_is_dropped_and_counted_over_ipv4() {
    a_forged_source_is_dropped(Families::Ipv4);
}

#[test]
fn a_forged_source_is_dropped_and_counted_over_ipv6() {
    a_forged_source_is_dropped(Families::Ipv6);
}

#[test]
fn a_forged_source_is_dropped_and_counted_over_both() {
    a_forged_source_is_dropped(Families::Dual);
}
