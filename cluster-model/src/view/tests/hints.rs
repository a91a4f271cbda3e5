//! One row a case of the topology hints: when they hold, and for whom.

use super::*;

/// The endpoints behind the cluster IP on node `node-1` in zone `a`, or in none.
fn chosen<const N: usize>(zone: Option<&str>, endpoints: [Endpoint; N]) -> String {
    let slice = endpoints
        .into_iter()
        .fold(slice("s"), EndpointSlice::endpoint);
    let mut index = mk_index([web()], [slice]);
    let node = mk_node("node-1");
    index.apply_node(match zone {
        Some(zone) => node.in_zone(zone),
        None => node,
    });
    let ports = ports_of(&index, &web().name, &Here::new("node-1"));
    let answer = ports[0].frontends.values().next().expect("a frontend");
    let last = |e: &EndpointAddress| e.address.to_string().replace("10.244.0.", " ");
    answer.inside.endpoints.iter().map(last).collect()
}

fn at(last: u8) -> Endpoint {
    mk_endpoint(&format!("10.244.0.{last}"))
}

#[test]
fn zone_hints() {
    let (a, b) = (|last| at(last).for_zone("a"), |last| at(last).for_zone("b"));
    let zone = Some("a");
    assert_eq!(
        chosen(zone, [a(1), b(2), a(3)]),
        " 1 3",
        "only those for the zone"
    );
    assert_eq!(
        chosen(zone, [a(1), at(2)]),
        " 1 2",
        "one without a hint: all"
    );
    assert_eq!(
        chosen(zone, [b(1), b(2)]),
        " 1 2",
        "none for this zone: all"
    );
    assert_eq!(
        chosen(None, [a(1), b(2)]),
        " 1 2",
        "a node without a zone: all"
    );
    assert_eq!(
        chosen(Some("b"), [a(1).for_zone("b"), a(2)]),
        " 1",
        "one for two zones"
    );
    assert_eq!(
        chosen(zone, [a(1), at(2).unready()]),
        " 1",
        "only ready ones are asked for hints"
    );
    assert_eq!(
        chosen(zone, [a(1).draining(), b(2)]),
        " 2",
        "a draining one's hint does not keep the zone"
    );
    assert_eq!(
        chosen(zone, [a(1).draining(), b(2).draining()]),
        " 1 2",
        "with none ready the zone does not matter"
    );
}

#[test]
fn node_hints_come_before_zone_hints() {
    let here = |last| at(last).for_node("node-1").for_zone("a");
    let near = |last| at(last).for_node("node-2").for_zone("a");
    let far = |last| at(last).for_node("node-3").for_zone("b");
    let zone = Some("a");
    assert_eq!(
        chosen(zone, [here(1), near(2), far(3)]),
        " 1",
        "this node's"
    );
    assert_eq!(chosen(zone, [near(2), far(3)]), " 2", "none: the zone's");
    assert_eq!(
        chosen(zone, [far(2), far(3)]),
        " 2 3",
        "none there either: all"
    );
    assert_eq!(
        chosen(zone, [here(1), near(2), at(3).for_zone("b")]),
        " 1 2",
        "one has no node hint: the zone's"
    );
    assert_eq!(chosen(None, [here(1), far(3)]), " 1", "without a zone");
}

#[test]
fn hints_do_not_touch_the_local_policy() {
    let elsewhere = |last| at(last).on("node-1").for_zone("b");
    let slice = [elsewhere(1), at(2).for_zone("a")]
        .into_iter()
        .fold(slice("s"), EndpointSlice::endpoint);
    let mut index = mk_index([web().internal_local()], [slice]);
    index.apply_node(mk_node("node-1").in_zone("a"));
    let ports = ports_of(&index, &web().name, &Here::new("node-1"));
    let answer = ports[0].frontends.values().next().expect("a frontend");
    assert_eq!(side(&answer.inside), " 10.244.0.1:8080");
}
