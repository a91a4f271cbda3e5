//! Packets that a kernel threw away: why, in words, and what to look at. Pure.

use std::net::IpAddr;

use proxy_abi::Counter;
use proxy_agent::local::api::{Event, What};

use super::observed::Freed;
use super::walk::Names;
use crate::drops;

/// What the kernel's words mean (include/net/dropreason-core.h), and whom they are about.
const REASONS: [(&str, About, &str); 33] = [
    ("NO_SOCKET", About::Owner, "nobody has a socket there"),
    (
        "SOCKET_FILTER",
        About::Owner,
        "the process's own filter refuses it",
    ),
    (
        "SOCKET_RCVBUFF",
        About::Owner,
        "its receive buffer is full: the process does not read",
    ),
    (
        "SOCKET_BACKLOG",
        About::Owner,
        "its backlog is full: the process does not read",
    ),
    (
        "TCP_LISTEN_OVERFLOW",
        About::Owner,
        "the process does not accept connections",
    ),
    (
        "PROTO_MEM",
        About::Owner,
        "the kernel has no more memory for this protocol",
    ),
    (
        "TCP_FLAGS",
        About::Owner,
        "it is not what a connection in this state gets",
    ),
    (
        "NETFILTER_DROP",
        About::Firewall,
        "a firewall rule (iptables, nftables) drops it",
    ),
    (
        "BPF_CGROUP_EGRESS",
        About::Owner,
        "an eBPF program of its cgroup drops it",
    ),
    ("SECURITY_HOOK", About::Owner, "a security module drops it"),
    (
        "IP_RPFILTER",
        About::Routes,
        "its source is to come by another interface (rp_filter)",
    ),
    ("IP_OUTNOROUTES", About::Routes, "there is no route to it"),
    ("IP_INNOROUTES", About::Routes, "there is no route to it"),
    (
        "IP_INADDRERRORS",
        About::Routes,
        "its destination is not valid here",
    ),
    (
        "IP_INVALID_SOURCE",
        About::Routes,
        "its source is not valid here",
    ),
    (
        "IP_LOCAL_SOURCE",
        About::Routes,
        "its source is an address of this node",
    ),
    (
        "IP_LOCALNET",
        About::Routes,
        "a loopback address came from outside",
    ),
    (
        "IP_INVALID_DEST",
        About::Routes,
        "its destination is not valid here",
    ),
    (
        "NEIGH_FAILED",
        About::Neighbours,
        "the next hop does not answer (ARP or neighbour discovery)",
    ),
    (
        "NEIGH_CREATEFAIL",
        About::Neighbours,
        "there is no neighbour entry for the next hop",
    ),
    (
        "NEIGH_QUEUEFULL",
        About::Neighbours,
        "the next hop has not answered yet (ARP or neighbour discovery)",
    ),
    (
        "NEIGH_DEAD",
        About::Neighbours,
        "the next hop's entry is gone",
    ),
    (
        "PKT_TOO_BIG",
        About::Link,
        "it is larger than the next link carries (MTU)",
    ),
    ("QDISC_DROP", About::Queue, "the interface's queue drops it"),
    (
        "QDISC_OVERLIMIT",
        About::Queue,
        "the interface's queue is full",
    ),
    ("FULL_RING", About::Link, "the interface's ring is full"),
    (
        "CPU_BACKLOG",
        About::Place,
        "the processor's backlog is full (net.core.netdev_max_backlog)",
    ),
    ("DEV_READY", About::Link, "the interface is down"),
    (
        "OTHERHOST",
        About::Neighbours,
        "it is for another Ethernet address",
    ),
    (
        "TC_INGRESS",
        About::Programs,
        "a tc program that is not flatnet's drops it",
    ),
    (
        "TC_EGRESS",
        About::Programs,
        "a tc program that is not flatnet's drops it",
    ),
    (
        "UNHANDLED_PROTO",
        About::Place,
        "nobody handles its protocol",
    ),
    ("NOMEM", About::Place, "the kernel has no memory"),
];

/// Whom to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The pod or node.
    Owner,
    /// Firewall rules there.
    Firewall,
    /// Routes there.
    Routes,
    /// Neighbour entries.
    Neighbours,
    /// The interface.
    Link,
    /// Its queue.
    Queue,
    /// Programs at it.
    Programs,
    /// Where it was.
    Place,
}

/// An event in these words, if it is a packet's end. `sender` knows whose an interface is.
pub(super) fn freed(
    node: &str,
    event: &Event,
    names: &Names,
    sender: impl Fn(&str) -> Option<IpAddr>,
) -> Option<Freed> {
    let What::Freed {
        reason,
        function,
        ours,
    } = &event.what
    else {
        return None;
    };
    let called = |pod: IpAddr| {
        let name = names.get(&pod).cloned();
        name.unwrap_or_else(|| format!("pod {pod}"))
    };
    let owner = event.pod.map_or_else(|| format!("node {node}"), called);
    let place = match (event.interface.as_str(), event.pod) {
        ("", _) => owner.clone(),
        (interface, None) => interface.to_owned(),
        (interface, Some(_)) => format!("{interface} of {owner}"),
    };
    let sent_by = sender(&event.interface).map(called);
    let (reason, words, object) = match ours.first() {
        Some(name) => our_own(name, node, sent_by),
        None => kernels(reason, node, &owner, &event.interface),
    };
    Some(Freed {
        node: node.to_owned(),
        place,
        reason,
        words,
        object,
        function: function.clone(),
        packet: format!("{} > {}", event.from, event.to),
    })
}

fn our_own(name: &str, node: &str, sent_by: Option<String>) -> (String, String, String) {
    let counter = Counter::ALL.into_iter().find(|one| one.name() == name);
    let words = counter.and_then(drops::words).unwrap_or(name);
    let object = match (counter, sent_by) {
        (Some(Counter::ForgedSource | Counter::Malformed), Some(pod)) => pod,
        _ => format!("flatnet drops on {node}"),
    };
    (name.to_owned(), words.to_owned(), object)
}

fn kernels(reason: &str, node: &str, owner: &str, interface: &str) -> (String, String, String) {
    let row = REASONS.iter().find(|(name, ..)| *name == reason);
    let (about, words) = match row {
        Some((_, about, words)) => (*about, (*words).to_owned()),
        None => (
            About::Place,
            format!("the kernel's word for it is {reason}"),
        ),
    };
    let object = match about {
        About::Owner => owner.to_owned(),
        About::Firewall => format!("nft list ruleset in {owner}"),
        About::Routes => format!("ip route in {owner}"),
        About::Neighbours => format!("ip neigh in {owner}"),
        About::Link => format!("ip -s link show {interface} in {owner}"),
        About::Queue => format!("tc -s qdisc show dev {interface} in {owner}"),
        About::Programs => format!("bpftool net show dev {interface} in {owner}"),
        About::Place => format!("the kernel of node {node}"),
    };
    (reason.to_lowercase().replace('_', "-"), words, object)
}

/// Ends of packets of conversations that go well: what was read, or came twice.
const USUAL: [&str; 9] = [
    "not-specified",
    "consumed",
    "queue-purge",
    "tcp-old-data",
    "tcp-old-ack",
    "tcp-ofomerge",
    "tcp-reset",
    "tcp-close",
    "socket-close",
];

/// Whether a packet ended as packets do.
pub(super) fn is_usual(end: &Freed) -> bool {
    USUAL.contains(&end.reason.as_str())
}

/// The one that tells most: what one of our programs dropped, else the first for which there is a
/// reason that is known.
pub(super) fn cause(all: &[Freed]) -> Option<&Freed> {
    let ours = |one: &&Freed| {
        Counter::ALL
            .iter()
            .any(|counter| counter.name() == one.reason)
    };
    let known = |one: &&Freed| {
        let mut rows = REASONS.iter();
        rows.any(|(name, ..)| name.to_lowercase().replace('_', "-") == one.reason)
    };
    all.iter().find(ours).or_else(|| all.iter().find(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str, ours: &[&str], pod: Option<&str>, interface: &str) -> Event {
        let address = |text: &str| text.parse().expect("an address");
        Event {
            nanoseconds: 1,
            what: What::Freed {
                reason: reason.to_owned(),
                function: None,
                ours: ours.iter().map(|name| (*name).to_owned()).collect(),
            },
            pod: pod.map(|text| text.parse().expect("an address")),
            interface: interface.to_owned(),
            protocol: 6,
            from: address("10.0.0.1:4000"),
            to: address("10.0.0.2:80"),
            length: 60,
            tcp: "SYN".to_owned(),
        }
    }

    fn told(event: &Event) -> Freed {
        let web: IpAddr = "10.0.0.2".parse().expect("an address");
        let names = Names::from([(web, "pod default/web".to_owned())]);
        let sender = |name: &str| (name == "fn1").then_some(web);
        freed("n1", event, &names, sender).expect("an end")
    }

    #[test]
    fn an_end_has_a_reason_words_and_an_object() {
        let web = Some("10.0.0.2");
        for (event, reason, place, object) in [
            (
                event("NO_SOCKET", &[], web, "eth0"),
                "no-socket",
                "eth0 of pod default/web",
                "pod default/web",
            ),
            (
                event("NETFILTER_DROP", &[], None, "eth0"),
                "netfilter-drop",
                "eth0",
                "nft list ruleset in node n1",
            ),
            (
                event("NEIGH_FAILED", &[], None, ""),
                "neigh-failed",
                "node n1",
                "ip neigh in node n1",
            ),
            (
                event("TC_INGRESS", &["forged-source"], None, "fn1"),
                "forged-source",
                "fn1",
                "pod default/web",
            ),
            (
                event("TC_INGRESS", &["no-route"], None, "fn1"),
                "no-route",
                "fn1",
                "flatnet drops on n1",
            ),
            (
                event("TC_INGRESS", &[], None, "eth0"),
                "tc-ingress",
                "eth0",
                "bpftool net show dev eth0 in node n1",
            ),
            (
                event("SOMETHING_NEW", &[], None, "eth0"),
                "something-new",
                "eth0",
                "the kernel of node n1",
            ),
        ] {
            let end = told(&event);
            assert_eq!(
                (&*end.reason, &*end.place, &*end.object),
                (reason, place, object)
            );
            assert!(!end.words.is_empty());
        }
    }

    #[test]
    fn what_is_ours_or_known_is_the_cause() {
        let unknown = told(&event("NOT_SPECIFIED", &[], None, "eth0"));
        let kernels = told(&event("NO_SOCKET", &[], None, "eth0"));
        let ours = told(&event("TC_EGRESS", &["no-route"], None, "eth0"));
        assert_eq!(cause(std::slice::from_ref(&unknown)), None);
        assert_eq!(cause(&[unknown.clone(), kernels.clone()]), Some(&kernels));
        assert_eq!(cause(&[kernels, unknown, ours.clone()]), Some(&ours));
    }
}
