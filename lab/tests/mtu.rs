//! How large a packet may be: what pods are told, and what they learn of the way.

mod stage;

use std::net::SocketAddr;
use std::process::Command;

use lab::Lab;
use lab::handle::RunningPod;
use lab::network::{Families, Network, Subnets};

use stage::servers::{PORT, ask, servers};
use stage::{output, product_on};

/// A lab with this MTU on its wires, and a pod on each of two nodes.
fn cluster(
    mtu: Option<u16>,
    subnets: Subnets,
    families: Families,
) -> Option<(Lab, [RunningPod; 2])> {
    let network = Network {
        families,
        subnets,
        mtu,
    };
    let row = format!("mtu-{}-{subnets:?}", mtu.unwrap_or_default()).to_lowercase();
    let lab = product_on(&row, 2, network, &["ip", "nsenter", "perl"])?;
    let pods = servers(&lab, 2);
    let on = |node: &str| {
        let mut on = pods.iter().filter(|pod| pod.node == node);
        on.next().expect("a pod on each node").clone()
    };
    let pods = [on("node1"), on("node2")];
    Some((lab, pods))
}

/// The MTU of a pod follows from the uplinks; packets of that size arrive whole.
fn mtu_in_the_pod(mtu: Option<u16>, subnets: Subnets, families: Families, expected: usize) {
    let Some((lab, [sender, receiver])) = cluster(mtu, subnets, families) else {
        return;
    };
    let links = output(lab.in_pod(&sender.name, &["ip", "-o", "link", "show", "eth0"]));
    assert!(links.contains(&format!("mtu {expected} ")), "{links}");
    for address in &receiver.addresses {
        let place = |argv: &[&str]| lab.in_pod(&sender.name, argv);
        ask(place, SocketAddr::new(*address, PORT));
        let sizes = datagrams(place, SocketAddr::new(*address, PORT));
        assert_eq!(sizes, format!("{expected} ok\n").repeat(3), "to {address}");
    }
}

/// Sends three datagrams with "do not fragment", each as large as the kernel then says that the
/// way carries, and prints each size (with headers) and whether an answer came.
fn datagrams(place: impl Fn(&[&str]) -> Command, to: SocketAddr) -> String {
    let script = r#"
        use Socket qw(:all);
        my ($host, $port, $v6) = @ARGV;
        my ($level, $discover, $mtu, $headers) = $v6 ? (41, 23, 24, 48) : (0, 10, 14, 28);
        socket(my $s, $v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) or die "socket: $!";
        setsockopt($s, $level, $discover, pack("i", 2)) or die "discover: $!";
        my $to = $v6 ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $host))
                     : pack_sockaddr_in($port, inet_aton($host));
        connect($s, $to) or die "connect: $!";
        setsockopt($s, SOL_SOCKET, SO_RCVTIMEO, pack("l!l!", 0, 500_000)) or die "timeout: $!";
        for (1 .. 3) {
            my $size = unpack("i", getsockopt($s, $level, $mtu));
            # The first may be refused by what the kernel learnt of the one before.
            my $sent = send($s, "x" x ($size - $headers), 0);
            my $answered = defined $sent && defined recv($s, my $answer, 9000, 0);
            print "$size ", $answered ? "ok" : "lost", "\n";
        }
    "#;
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let v6 = if to.is_ipv6() { "1" } else { "" };
    output(place(&["perl", "-e", script, &host, &port, v6]))
}

#[test]
fn the_mtu_is_the_uplinks_of_1400_bytes() {
    mtu_in_the_pod(Some(1400), Subnets::Shared, Families::Dual, 1400);
}

#[test]
fn the_mtu_is_the_uplinks_of_9000_bytes() {
    mtu_in_the_pod(Some(9000), Subnets::Shared, Families::Dual, 9000);
}

#[test]
fn a_tunnel_over_ipv4_takes_50_bytes() {
    mtu_in_the_pod(None, Subnets::Separate, Families::Dual, 1450);
}

#[test]
fn a_tunnel_over_ipv6_takes_70_bytes() {
    mtu_in_the_pod(Some(9000), Subnets::Separate, Families::Ipv6, 8930);
}

/// IPv6 stands on links of 1280 bytes, so a tunnel must carry as much, in pieces if need be. A
/// sender over IPv4 learns of it and does better.
#[test]
fn a_tunnel_on_the_smallest_link_carries_both_families() {
    let Some((lab, [sender, receiver])) = cluster(Some(1280), Subnets::Separate, Families::Dual)
    else {
        return;
    };
    for address in &receiver.addresses {
        let place = |argv: &[&str]| lab.in_pod(&sender.name, argv);
        let to = SocketAddr::new(*address, PORT);
        ask(place, to);
        let sizes = datagrams(place, to) + &datagrams(place, to);
        let learnt = if to.is_ipv6() { 1280 } else { 1230 };
        let learnt = format!("{learnt} ok\n").repeat(2);
        assert!(sizes.ends_with(&learnt), "to {address}: {sizes}");
    }
}

/// The router's link to node2 carries 1400 bytes: a sender learns of it and sends smaller packets.
#[test]
fn a_pod_learns_what_the_way_between_two_nodes_carries() {
    let Some((lab, [sender, receiver])) = cluster(None, Subnets::Separate, Families::Dual) else {
        return;
    };
    let netns = format!("--net={}", lab.state_dir().join("netns/fabric").display());
    for change in [
        "ip route change 172.30.2.0/24 dev node2 mtu lock 1400",
        "ip -6 route replace fd00:172:30:2::/64 dev node2 proto kernel metric 256 mtu lock 1400",
    ] {
        let mut command = Command::new("nsenter");
        output({
            command.arg(&netns).args(change.split(' '));
            command
        });
    }
    for address in &receiver.addresses {
        let to = SocketAddr::new(*address, PORT);
        let from_pod = |argv: &[&str]| lab.in_pod(&sender.name, argv);
        // Two to learn: the node of the tunnel's way, then the pod of the node's.
        let sizes = datagrams(from_pod, to) + &datagrams(from_pod, to);
        assert!(
            sizes.ends_with("1350 ok\n1350 ok\n"),
            "to {address}: {sizes}"
        );
        let from_node = |argv: &[&str]| lab.on_node("node1", argv);
        let sizes = datagrams(from_node, to) + &datagrams(from_node, to);
        assert!(
            sizes.ends_with("1350 ok\n1350 ok\n"),
            "to {address}: {sizes}"
        );
    }
}
