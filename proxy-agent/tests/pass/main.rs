//! Full passes against a real kernel: a fresh node comes to work, one more pass changes nothing,
//! a new agent finds all as planned, and what others break is repaired.

mod drift;
#[path = "../kernel/mod.rs"]
mod kernel;
mod place;
mod removal;
mod versions;

use std::fs;
use std::path::Path;

use aya::programs::links::FdLink;
use aya::programs::tc::{SchedClassifier, TcAttachOptions};
use aya::programs::{LinkOrder, TcAttachType};
use cluster_model::testing::{mk_node, mk_service};
use cluster_model::{ClusterIndex, Protocol};
use kernel::{ip, tc};
use place::{Place, cluster, full, full_at_last, here};
use proxy_agent::kernel::links::has_tcx;
use proxy_agent::kernel::routes::Netlink;
use proxy_agent::pass::{Node, Wish, wishes};

#[tokio::test]
async fn a_fresh_node_comes_to_work_and_a_second_pass_changes_nothing() {
    let Some(place) = Place::new("fresh") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    assert!(!place.config().exists());
    let first = full(&mut agent, &index).await;
    assert_eq!(first.programs.len(), 12, "{first}");
    let attached = first.links.len() + first.filters.len();
    assert_eq!(attached, 10, "{first}");
    assert_eq!(first.routes.len(), 2, "{first}");
    assert_eq!(first.services.len(), 3, "{first}");
    let config = fs::read_to_string(place.config()).expect("the CNI configuration");
    assert!(config.contains("10.244.1.0/24"), "{config}");
    let second = full(&mut agent, &index).await;
    assert!(second.is_empty(), "{second}");
}

#[tokio::test]
async fn the_programs_are_told_of_node_and_cluster() {
    let Some(place) = Place::new("told") else {
        return;
    };
    let mut index = cluster();
    let mut agent = place.agent();
    let first = full(&mut agent, &index).await.to_string();
    for line in [
        "enter 127.0.0.1 as an address of this node\n",
        "enter 172.30.0.11 as an address of this node, with NodePorts\n",
        "10.244.3.0/24 is inside the cluster\n",
        "172.30.0.13/32 is inside the cluster\n",
        "masquerades with 172.30.0.11, ports ",
    ] {
        assert!(first.contains(line), "{line} is not in:\n{first}");
    }
    ip("addr add 192.0.2.7/24 dev eth0");
    index.delete_node("node-3");
    let plan = full(&mut agent, &index).await;
    let expected = [
        "enter 192.0.2.7 as an address of this node",
        "10.244.3.0/24 is no more inside the cluster",
        "172.30.0.13/32 is no more inside the cluster",
        "delete route 10.244.3.0/24 via 172.30.0.13",
    ];
    let plan = plan.to_string();
    assert_eq!(plan.lines().collect::<Vec<_>>(), expected);
    assert!(full(&mut agent, &index).await.is_empty());
}

#[tokio::test]
async fn a_new_agent_finds_everything_as_planned() {
    let Some(place) = Place::new("restart") else {
        return;
    };
    let index = cluster();
    full(&mut place.agent(), &index).await;
    let mut again = place.agent();
    let (diff, _) = again.diff(Wish::of(&index, &here())).await.expect("a diff");
    assert!(diff.is_empty(), "{diff}");
    let plan = full(&mut again, &index).await;
    assert!(plan.is_empty(), "{plan}");
}

#[tokio::test]
async fn what_others_break_is_repaired_and_what_is_not_ours_stays() {
    let Some(place) = Place::new("drift") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    // A peer's route, and a pod's as the CNI plugin writes it.
    ip("route add 10.99.0.0/16 via 172.30.0.99");
    ip("route add 10.244.1.77/32 dev eth0 scope link proto 170");
    ip("route del 10.244.2.0/24");
    ip("route replace 10.244.3.0/24 via 172.30.0.77 proto 170");
    fs::remove_file(place.pin("programs/from_pod")).expect("unpinned");
    fs::write(place.config(), "{}").expect("overwritten");
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("written");
    let plan = full(&mut agent, &index).await;
    let text = plan.to_string();
    for line in [
        "set sysctl net/ipv4/ip_forward to 1",
        "pin program from_pod",
        "route 10.244.2.0/24 via 172.30.0.12",
        "route 10.244.3.0/24 via 172.30.0.13",
        "write the CNI configuration",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    assert_eq!(plan.len(), 5, "{text}");
    let again = full(&mut agent, &index).await;
    assert!(again.is_empty(), "{again}");
    ip("route del 10.99.0.0/16 via 172.30.0.99");
    ip("route del 10.244.1.77/32 dev eth0");
}

#[tokio::test]
async fn a_detached_program_is_attached_again() {
    let Some(place) = Place::new("detached") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    let links = ["connect4", "to_network-eth0"].map(|link| place.pin("links").join(link));
    // Without tcx the second is a filter, which another test removes.
    let links = &links[..if has_tcx() { 2 } else { 1 }];
    for link in links {
        fs::remove_file(link).expect("detached");
    }
    full_at_last(&mut agent, &index).await;
    assert!(links.iter().all(|link| link.exists()), "{links:?}");
    let again = full(&mut agent, &index).await;
    assert!(again.is_empty(), "{again}");
}

#[tokio::test]
async fn a_map_whose_pin_is_lost_is_made_anew_and_used() {
    let Some(place) = Place::new("lost-map") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    fs::remove_file(place.map("endpoints")).expect("a pin");
    let plan = full(&mut agent, &index).await;
    assert_eq!(plan.programs.len(), 7, "all that read the map: {plan}");
    assert!(full(&mut agent, &index).await.is_empty());
    // The same, found by an agent that starts.
    fs::remove_file(place.map("frontends")).expect("a pin");
    let mut again = place.agent();
    assert_eq!(full(&mut again, &index).await.services.len(), 3);
    assert!(full(&mut again, &index).await.is_empty());
}

#[tokio::test]
async fn somebody_elses_route_is_reported_and_stays() {
    let Some(place) = Place::new("foreign-route") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    ip("route add 10.244.2.0/24 via 172.30.0.99");
    let error = agent
        .full(Wish::of(&index, &here()))
        .await
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("route 10.244.2.0/24 via 172.30.0.12"),
        "{error}"
    );
    assert!(place.config().exists(), "the node works without this peer");
    ip("route del 10.244.2.0/24 via 172.30.0.99");
    assert_eq!(full(&mut agent, &index).await.len(), 1, "the route");
}

/// A cluster with one peer, of both families, at these addresses.
fn with_peer(v4: &str, v6: &str) -> ClusterIndex {
    let mut index = ClusterIndex::default();
    let own = mk_node("node-1").address("172.30.0.11").address("fd00::11");
    let own = own.pod_cidr("10.244.1.0/24").pod_cidr("fd00:244:1::/64");
    index.apply_node(own);
    let peer = mk_node("node-2").address(v4).address(v6);
    let peer = peer.pod_cidr("10.244.2.0/24").pod_cidr("fd00:244:2::/64");
    index.apply_node(peer);
    index
}

#[tokio::test]
async fn a_peer_gets_a_tunnel_keeps_it_and_gives_it_back() {
    let Some(place) = Place::new("tunnel") else {
        return;
    };
    ip("addr add fd00::11/64 dev eth0 nodad");
    let mut agent = place.agent();
    let (near, far) = (
        with_peer("172.30.0.12", "fd00::12"),
        with_peer("192.168.9.12", "fd09::12"),
    );
    for _ in 0..2 {
        full(&mut agent, &near).await;
        assert!(!place.has("flatnet-vxlan4"));
        let plan = full(&mut agent, &far).await.to_string();
        for line in [
            "make tunnel flatnet-vxlan4 of 1450 bytes",
            "route 10.244.2.0/24 via 10.244.2.0 on flatnet-vxlan4, from 172.30.0.11",
            "route 192.168.9.12/32 for pods via",
            "write the CNI configuration",
        ] {
            assert!(plan.contains(line), "{line} is not in:\n{plan}");
        }
        assert!(full(&mut agent, &far).await.is_empty());
    }
    // What others break is repaired: entries, and the device itself.
    ip("neigh del 10.244.2.0 dev flatnet-vxlan4");
    ip("rule del pref 17000");
    ip("link set flatnet-vxlan4 mtu 1400");
    assert_eq!(full(&mut agent, &far).await.len(), 3);
    ip("link del flatnet-vxlan4");
    full(&mut agent, &far).await;
    assert!(full(&mut agent, &far).await.is_empty());
    // Another address of the peer is one entry, and what pods reach.
    let moved = with_peer("192.168.9.77", "fd09::12");
    let plan = full(&mut agent, &moved).await.to_string();
    assert!(plan.contains("is at 192.168.9.77"), "{plan}");
    assert_eq!(plan.lines().count(), 5, "{plan}");
    assert!(full(&mut agent, &moved).await.is_empty());
}

#[tokio::test]
async fn a_kernel_without_tcx_gets_filters_and_one_with_it_links_again() {
    let Some(mut place) = Place::new("clsact") else {
        return;
    };
    let index = with_peer("192.168.9.12", "fd09::12");
    place.options.tcx = Some(false);
    let mut agent = place.agent();
    let plan = full(&mut agent, &index).await.to_string();
    for (program, interface) in [
        ("from_network", "eth0"),
        ("to_network", "eth0"),
        ("from_network", "flatnet-vxlan4"),
    ] {
        let line = format!("attach {program} to {interface} by a filter");
        assert!(plan.contains(&line), "{line} is not in:\n{plan}");
        assert!(
            !place
                .pin("links")
                .join(format!("{program}-{interface}"))
                .exists()
        );
    }
    assert!(full(&mut agent, &index).await.is_empty());
    let to_egress = "filter replace dev eth0 egress protocol all pref 1 handle 1 bpf da";
    let (old, name) = (place.pin("programs/from_pod"), "to_network");
    tc(&format!("{to_egress} object-pinned {}", old.display()));
    // (Its name is that of a pin: none of ours is in the place.)
    let error = agent.full(Wish::of(&index, &here())).await;
    let error = error.expect_err("somebody else's filter").to_string();
    assert!(error.contains(name), "{error}");
    tc("filter del dev eth0 egress");
    assert_eq!(full(&mut agent, &index).await.len(), 1);
    if !has_tcx() {
        println!("no links on this kernel: tcx came with Linux 6.6");
        return;
    }
    place.options.tcx = Some(true);
    let mut agent = place.agent();
    let plan = full_at_last(&mut agent, &index).await;
    assert!(plan.len() >= 3, "{plan}");
    assert!(full(&mut agent, &index).await.is_empty());
    assert!(place.pin("links/to_network-eth0").exists());
}

#[tokio::test]
async fn a_pods_filter_is_put_back_and_kept_current() {
    let Some(place) = Place::new("filters") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    // A pod's veth as the CNI plugin leaves it, less the filter; and one still in the making.
    ip("link add fn0123456789ab type veth peer name pod0");
    ip("link set fn0123456789ab up");
    ip("link add fn000000000000 type veth peer name pod1");
    tc("qdisc add dev fn0123456789ab clsact");
    let plan = full(&mut agent, &index).await;
    let both = ["from_pod", "to_pod"]
        .map(|program| format!("attach {program} to fn0123456789ab by a filter"))
        .join("\n");
    assert_eq!(plan.to_string().trim(), both);
    assert!(full(&mut agent, &index).await.is_empty());
    // Another program in its place, as an upgrade would find it.
    let old = place.pin("programs/from_network");
    tc(&format!(
        "filter replace dev fn0123456789ab ingress protocol all pref 1 handle 1 \
         bpf direct-action object-pinned {}",
        old.display()
    ));
    let plan = full(&mut agent, &index).await;
    let expected = "put the current from_pod into the filter of fn0123456789ab";
    assert_eq!(plan.to_string().trim(), expected);
    // None at one side, as an older plugin left it; then no place for any.
    tc("filter del dev fn0123456789ab egress");
    let plan = full(&mut agent, &index).await;
    let expected = "attach to_pod to fn0123456789ab by a filter";
    assert_eq!(plan.to_string().trim(), expected);
    tc("qdisc del dev fn0123456789ab clsact");
    let plan = full(&mut agent, &index).await;
    assert_eq!(plan.to_string().trim(), both);
    // An agent with another program of that name.
    fs::remove_file(place.pin("programs/to_pod")).expect("unpinned");
    let mut agent = place.agent();
    let plan = full(&mut agent, &index).await;
    let expected = "pin program to_pod\nput the current to_pod into the filter of fn0123456789ab";
    assert_eq!(plan.to_string().trim(), expected);
    assert!(full(&mut agent, &index).await.is_empty());
}

#[tokio::test]
async fn a_pod_that_runs_from_pod_by_a_link_gets_one_of_to_pod() {
    if !has_tcx() {
        // No part of a machine that CI could bring: the kernel is what is being tried.
        eprintln!("skipped: a link to an interface needs tcx (Linux 6.6)");
        return;
    }
    let Some(place) = Place::new("pod-links") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    // A pod's veth as an older CNI plugin leaves it where bandwidth is limited.
    ip("link add fn0123456789ab type veth peer name pod0");
    tc("qdisc add dev fn0123456789ab ingress");
    pin_link(&place, "from_pod", "fn0123456789ab");
    // While it is down it is the plugin's.
    assert!(full(&mut agent, &index).await.is_empty());
    ip("link set fn0123456789ab up");
    let plan = full(&mut agent, &index).await;
    let expected = "attach to_pod to tcx egress of fn0123456789ab as link to_pod-fn0123456789ab";
    assert_eq!(plan.to_string().trim(), expected);
    assert!(full(&mut agent, &index).await.is_empty());
    fs::remove_file(place.pin("links/to_pod-fn0123456789ab")).expect("detached");
    full_at_last(&mut agent, &index).await;
    assert!(full(&mut agent, &index).await.is_empty());
    ip("link del fn0123456789ab");
    let plan = full(&mut agent, &index).await;
    assert_eq!(plan.links.len(), 2, "{plan}");
    assert!(!place.pin("links/to_pod-fn0123456789ab").exists());
    assert!(full(&mut agent, &index).await.is_empty());
}

/// Attaches a pinned program to what comes in on a pod's interface, as the CNI plugin does.
fn pin_link(place: &Place, program: &str, interface: &str) {
    let pin = place.pin("programs").join(program);
    let mut attached = SchedClassifier::from_pin(pin).expect("pinned");
    let order = TcAttachOptions::TcxOrder(LinkOrder::default());
    let link = attached.attach_with_options(interface, TcAttachType::Ingress, order);
    let link = attached.take_link(link.expect("attached")).expect("a link");
    let link: FdLink = link.try_into().expect("of tcx");
    let pin = place.pin("links").join(format!("{program}-{interface}"));
    link.pin(pin).expect("pinned");
}

#[tokio::test]
async fn a_change_touches_the_changed_service_alone() {
    let Some(place) = Place::new("change") else {
        return;
    };
    let mut index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    index.take_dirty();
    index.apply_service(mk_service("default", "dns").cluster_ip("10.96.0.10").port(
        "",
        Protocol::Udp,
        53,
    ));
    let dirty = index.take_dirty();
    assert_eq!(
        agent
            .changed(wishes(&index, dirty.services.iter(), &here()))
            .expect("a pass"),
        2,
        "an empty list is one write, and what refuses its other ports one"
    );
    assert_eq!(
        agent
            .changed(wishes(&index, dirty.services.iter(), &here()))
            .expect("a pass"),
        0
    );
    let plan = full(&mut agent, &index).await;
    assert!(plan.is_empty(), "{plan}");
}

#[tokio::test]
async fn a_fresh_nodes_diff_creates_nothing() {
    let Some(place) = Place::new("diff") else {
        return;
    };
    let netlink = Netlink::open().expect("netlink");
    let mut node = Node::new(place.options.clone(), netlink).expect("a bpffs");
    let (plan, _) = node
        .diff(Wish::of(&cluster(), &here()))
        .await
        .expect("a diff");
    assert_eq!(plan.programs.len(), 12, "{plan}");
    assert!(!Path::new(&place.pin("")).exists(), "nothing is pinned");
    assert!(!place.config().exists());
}

#[tokio::test]
async fn a_node_that_is_not_known_yet_waits_and_says_for_what() {
    let Some(place) = Place::new("waits") else {
        return;
    };
    let mut agent = place.agent();
    let rows = [
        (
            mk_node("other").address("172.30.0.12"),
            "there is no Node named node-1",
        ),
        (
            mk_node("node-1").address("192.0.2.1"),
            "no interface of this machine holds",
        ),
        (
            mk_node("node-1").address("172.30.0.11"),
            "Node node-1 has no pod CIDR yet",
        ),
    ];
    for (node, expected) in rows {
        let mut index = ClusterIndex::default();
        index.apply_node(node);
        let (_, waiting) = agent.full(Wish::of(&index, &here())).await.expect("a pass");
        let text: Vec<String> = waiting.iter().map(ToString::to_string).collect();
        assert!(text.iter().any(|line| line.contains(expected)), "{text:?}");
        assert!(
            !place.config().exists(),
            "no CNI configuration before the node works"
        );
    }
}
