//! Which links are made, kept, moved and removed.

use super::*;

fn ingress(name: &str) -> Hook {
    Hook::Ingress(name.into())
}

fn egress(name: &str) -> Hook {
    Hook::Egress(name.into())
}

fn link(program_id: u32, hook: Hook) -> Observed {
    Observed { program_id, hook }
}

/// The current id of every program is 10.
fn lines(observed: &[(&str, Observed)], wanted: &BTreeMap<String, Wanted>) -> Vec<String> {
    let observed = observed
        .iter()
        .map(|(pin, link)| ((*pin).into(), link.clone()))
        .collect();
    diff(&observed, wanted, |_| Some(10))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_fresh_node_attaches_all() {
    let lines = lines(
        &[],
        &wanted(["eth0"].into_iter(), ["tunnel"].into_iter(), Some(77)),
    );
    assert_eq!(
        lines,
        [
            "attach connect4 to cgroup 77 as link connect4",
            "attach connect6 to cgroup 77 as link connect6",
            "attach from_network to tcx ingress of eth0 as link from_network-eth0",
            "attach from_network to tcx ingress of tunnel as link from_network-tunnel",
            "attach getpeername4 to cgroup 77 as link getpeername4",
            "attach getpeername6 to cgroup 77 as link getpeername6",
            "attach recvmsg4 to cgroup 77 as link recvmsg4",
            "attach recvmsg6 to cgroup 77 as link recvmsg6",
            "attach sendmsg4 to cgroup 77 as link sendmsg4",
            "attach sendmsg6 to cgroup 77 as link sendmsg6",
            "attach to_network to tcx egress of eth0 as link to_network-eth0",
        ]
    );
}

#[test]
fn what_is_right_stays_and_what_is_old_is_swapped() {
    let rows = [
        ("from_network-eth0", link(10, ingress("eth0"))),
        ("to_network-eth0", link(9, egress("eth0"))),
        ("from_pod-fn01", link(10, ingress("fn01"))),
        ("from_pod-fn02", link(9, ingress("fn02"))),
    ];
    assert_eq!(
        lines(&rows, &wanted(["eth0"].into_iter(), [].into_iter(), None)),
        [
            "put the current from_pod into link from_pod-fn02",
            "put the current to_network into link to_network-eth0",
        ]
    );
}

#[test]
fn what_hangs_on_the_wrong_thing_is_moved_and_what_hangs_nowhere_goes() {
    let rows = [
        ("connect4", link(10, Hook::Cgroup(5))),
        ("from_network-eth0", link(10, Hook::Gone)),
        ("from_network-eth1", link(10, ingress("eth1"))),
        ("from_pod-fn01", link(10, Hook::Gone)),
        ("to_network-eth0", link(10, egress("eth0"))),
    ];
    assert_eq!(
        lines(&rows, &wanted(["eth0"].into_iter(), [].into_iter(), None)),
        [
            "remove link connect4",
            "remove link from_network-eth0",
            "attach from_network to tcx ingress of eth0 as link from_network-eth0",
            "remove link from_network-eth1",
            "remove link from_pod-fn01",
        ]
    );
}

#[test]
fn a_pods_second_link_is_made_kept_current_and_put_back() {
    let rows = [
        ("from_pod-fn01", link(10, ingress("fn01"))),
        ("from_pod-fn02", link(10, ingress("fn02"))),
        ("from_pod-fn03", link(10, ingress("fn03"))),
        ("from_pod-fn04", link(10, Hook::Gone)),
        ("to_pod-fn02", link(9, egress("fn02"))),
        ("to_pod-fn03", link(10, Hook::Gone)),
        ("to_pod-fn04", link(10, Hook::Gone)),
        ("to_pod-fn05", link(9, egress("fn05"))),
    ];
    let observed = rows.clone().map(|(pin, link)| (pin.into(), link)).into();
    let wanted = of_pods(&observed, ["fn01", "fn02", "fn03", "fn06"].into_iter());
    assert_eq!(
        lines(&rows, &wanted),
        [
            "remove link from_pod-fn04",
            "put the current to_pod into link to_pod-fn02",
            "remove link to_pod-fn03",
            "attach to_pod to tcx egress of fn03 as link to_pod-fn03",
            "remove link to_pod-fn04",
            "put the current to_pod into link to_pod-fn05",
            "attach to_pod to tcx egress of fn01 as link to_pod-fn01",
        ]
    );
    for (program, interface, expected) in [
        ("from_pod", "fn01", true),
        ("to_pod", "fn01", true),
        ("from_pod", "fn04", false),
        ("from_pod", "fn05", false),
        ("to_pod", "fn05", true),
        ("to_pod", "fn06", false),
    ] {
        assert_eq!(
            has_link(&observed, program, interface),
            expected,
            "{program} {interface}"
        );
    }
}
