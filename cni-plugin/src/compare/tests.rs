//! One field changed at a time, and the difference it makes.

use super::*;
use crate::mappings::Mappings;
use crate::observe::Link;
use crate::plan::tests::mk_shape;
use crate::plan::{Neighbour, Route};
use crate::request::Shape;
use serde_json::json;

const OWNER: &str = "cnitest-7\r\neth0";

fn mk_end(end: &End, index: u32) -> SeenEnd {
    SeenEnd {
        link: Link {
            index,
            name: end.name.clone(),
            alias: end.alias.clone(),
            kind: Some("veth".into()),
            mac: Some(end.mac),
            mtu: Some(1450),
            up: true,
        },
        addresses: end.addresses.clone(),
        neighbours: end.neighbours.clone(),
        routes: end.routes.iter().map(|it| (*it, ROUTE_PROTOCOL)).collect(),
    }
}

/// All as ADD leaves it.
fn mk_seen(plan: &Plan) -> Seen {
    let addresses: Vec<_> = plan.pod.addresses.iter().map(|net| net.addr()).collect();
    let entry = Pod::new(5, plan.pod.mac.0);
    Seen {
        host: Some(mk_end(&plan.host, 5)),
        pod: Some(mk_end(&plan.pod, 2)),
        programs: ["from_pod", "to_pod"].map(|name| Some(name.into())),
        settings: vec![(("net/x".into(), "1"), Some("1".into()))],
        leases: addresses
            .iter()
            .map(|it| (*it, Some(OWNER.into())))
            .collect(),
        entries: addresses.iter().map(|it| (*it, Some(entry))).collect(),
        host_ports: plan
            .host_ports
            .iter()
            .map(|(key, endpoint)| (*key, Some(HostPort::new(*endpoint, 5))))
            .collect(),
        packet_pod: plan.packet_pods_pin.as_ref().map(|_| 5),
    }
}

fn told(change: impl FnOnce(&mut Seen)) -> Vec<String> {
    let mappings = json!([{"hostPort": 8080, "containerPort": 80, "hostIP": "127.0.0.1"}]);
    let shape = Shape {
        mappings: Mappings::read(&mappings).unwrap(),
        packets_only: true,
        ..mk_shape()
    };
    let addresses = ["10.244.1.7", "fd00:1::7"].map(|it| it.parse().unwrap());
    let plan = Plan::new(&shape, &addresses, true);
    let mut seen = mk_seen(&plan);
    change(&mut seen);
    let differences = compare(&plan, OWNER, &seen);
    differences.iter().map(Difference::to_string).collect()
}

fn host(seen: &mut Seen) -> &mut SeenEnd {
    seen.host.as_mut().unwrap()
}

fn pod(seen: &mut Seen) -> &mut SeenEnd {
    seen.pod.as_mut().unwrap()
}

#[test]
fn what_add_left_has_no_difference_and_what_others_added_makes_none() {
    assert_eq!(told(|_| {}), [""; 0]);
    let added = told(|seen| {
        pod(seen).addresses.push("192.168.0.1/24".parse().unwrap());
        pod(seen).neighbours.push(Neighbour {
            address: "192.168.0.2".parse().unwrap(),
            mac: Mac([2; 6]),
        });
        let route = Route {
            to: "192.168.9.0/24".parse().unwrap(),
            via: None,
        };
        host(seen).routes.push((route, 4));
    });
    assert_eq!(added, [""; 0]);
}

#[test]
fn every_field_of_an_interface_is_told_by_its_name() {
    type Change = fn(&mut Seen);
    let rows: [(Change, &str); 8] = [
        (
            |seen| seen.pod = None,
            "interface eth0 in the pod: expected one, found none",
        ),
        (
            |seen| pod(seen).link.kind = None,
            "kind of interface eth0 in the pod: expected veth, found none",
        ),
        (
            |seen| pod(seen).link.mac = Some(Mac([2; 6])),
            "MAC address of interface eth0 in the pod: expected",
        ),
        (
            |seen| host(seen).link.mtu = Some(1500),
            "expected 1450, found 1500",
        ),
        (
            |seen| host(seen).link.up = false,
            "on the node: expected up, found down",
        ),
        (
            |seen| pod(seen).addresses.truncate(1),
            "address of interface eth0 in the pod: expected fd00:1::7/128, found none",
        ),
        (
            |seen| pod(seen).addresses[1] = "fd00:1::7/64".parse().unwrap(),
            "expected fd00:1::7/128, found fd00:1::7/64",
        ),
        (
            |seen| pod(seen).neighbours[1].mac = Mac([2; 6]),
            "permanent neighbour fe80::1 of",
        ),
    ];
    for (change, expected) in rows {
        let differences = told(change);
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert!(
            differences[0].contains(expected),
            "{differences:?} lacks {expected:?}"
        );
    }
}

#[test]
fn so_is_every_route_and_all_that_no_result_tells_of() {
    type Change = fn(&mut Seen);
    let rows: [(Change, &str); 14] = [
        (
            |seen| pod(seen).routes.truncate(2),
            "expected ::/0 via fe80::1, found none",
        ),
        (
            |seen| pod(seen).routes[2].0.via = Some("fe80::2".parse().unwrap()),
            "expected ::/0 via fe80::1, found ::/0 via fe80::2",
        ),
        (
            |seen| host(seen).routes.truncate(1),
            "expected fd00:1::7/128 on-link, found none",
        ),
        (
            |seen| host(seen).routes[1].1 = 4,
            "protocol of the route to fd00:1::7/128",
        ),
        (
            |seen| host(seen).neighbours.truncate(1),
            "permanent neighbour fd00:1::7 of",
        ),
        (
            |seen| seen.programs[0] = None,
            "expected from_pod, found none",
        ),
        (
            |seen| seen.programs[1] = Some("another".into()),
            "expected to_pod, found another",
        ),
        (
            |seen| seen.settings[0].1 = Some("0".into()),
            "setting net/x: expected 1, found 0",
        ),
        (
            |seen| seen.leases[0].1 = Some("c2\r\neth0".into()),
            "found \"c2 eth0\"",
        ),
        (
            |seen| seen.entries[1].1 = Some(Pod::new(6, [2; 6])),
            "entry of fd00:1::7 in the map pods: expected interface 5",
        ),
        (
            |seen| seen.entries[0].1 = seen.entries[0].1.map(Pod::shaped),
            ", limited",
        ),
        (
            |seen| seen.host_ports[0].1 = None,
            "entry of 127.0.0.1:8080/tcp in the map host_ports: expected 10.244.1.7:80 behind \
             interface 5, found none",
        ),
        (
            |seen| seen.host_ports[0].1.as_mut().unwrap().ifindex = 6,
            "found 10.244.1.7:80 behind interface 6",
        ),
        (
            |seen| seen.packet_pod = None,
            "entry of the namespace in the map packet_pods: expected 5, found none",
        ),
    ];
    for (change, expected) in rows {
        let differences = told(change);
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert!(
            differences[0].contains(expected),
            "{differences:?} lacks {expected:?}"
        );
    }
}

#[test]
fn all_differences_are_told() {
    let gone = told(|seen| *seen = Seen::default());
    assert_eq!(
        gone.len(),
        3,
        "both interfaces and the entry of its sockets: {gone:?}"
    );
    let differences = told(|seen| {
        host(seen).link.up = false;
        seen.leases.iter_mut().for_each(|(_, owner)| *owner = None);
        seen.entries.clear();
    });
    assert_eq!(differences.len(), 3, "{differences:?}");
}
