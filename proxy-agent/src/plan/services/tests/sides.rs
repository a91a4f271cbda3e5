//! Frontends with a list for each side, lists that frontends share, source ranges, affinity.

use super::*;

/// What Service `a` wants at one port.
fn a(wish: PortWish) -> Wishes {
    BTreeMap::from([(service("a"), vec![wish])])
}

fn sided<const N: usize>(fronts: [(u8, &[u8], &[u8]); N]) -> PortWish {
    port_of(fronts.map(|(last, inside, outside)| (key(last), front(inside, outside))))
}

fn at_slots(last: u8, inside: (u32, u32), outside: (u32, u32), generation: u32) -> Operation {
    let list = |(first_slot, count)| List { first_slot, count };
    let key = key(last);
    let offer = Offer {
        inside: list(inside),
        outside: list(outside),
        ..offer("a", 0, 0)
    };
    let frontend = Frontend::new(&key, offer, generation);
    Operation::PointFrontend { key, frontend }
}

#[test]
fn equal_lists_of_a_port_stand_in_slots_once() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 100, 0);
    // A cluster IP, a node port and a load balancer's address with external policy Local.
    let wish = || {
        sided([
            (1, &[1, 2], &[1, 2]),
            (2, &[1, 2], &[1]),
            (3, &[1, 2], &[1]),
        ])
    };
    assert_eq!(
        all(table.plan_all(a(wish()), now)),
        [
            write(0, &[1, 2]),
            at_slots(1, (0, 2), (0, 2), new(1)),
            write(2, &[1]),
            at_slots(2, (0, 2), (2, 1), new(2)),
            at_slots(3, (0, 2), (2, 1), new(3)),
        ]
    );
    assert_eq!(table.fill(), (3, 3));
    assert_eq!(all(table.plan_all(a(wish()), now)), []);
    assert_eq!(all(table.plan_changed(a(wish()), now)), []);
}

#[test]
fn a_new_frontend_of_a_port_takes_the_list_that_is_there() {
    let now = Instant::now();
    let mut table = table(now);
    let both = sided([(1, &[1, 2], &[1, 2]), (2, &[1, 2], &[])]);
    assert_eq!(
        all(table.plan_changed(a(both), now)),
        [at_slots(2, (0, 2), (0, 0), new(2))]
    );
}

#[test]
fn slots_are_free_after_the_last_frontend_that_leads_there() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 4, 0);
    all(table.plan_all(
        a(sided([(1, &[1, 2], &[1, 2]), (2, &[1, 2], &[1, 2])])),
        now,
    ));
    // One of the two goes: its list stays.
    all(table.plan_changed(a(sided([(1, &[1, 2], &[1, 2])])), now));
    assert_eq!(table.fill(), (1, 2));
    let others = sided([(1, &[3, 4], &[3, 4])]);
    let operations = all(table.plan_changed(a(others), now + REST));
    assert_eq!(operations[0], write(2, &[3, 4]));
    assert_eq!(table.fill(), (1, 2));
    let again = sided([(1, &[5, 6], &[5, 6])]);
    let operations = all(table.plan_changed(a(again), now + REST * 2));
    assert_eq!(operations[0], write(0, &[5, 6]));
}

#[test]
fn lists_that_change_sides_are_not_written_again() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 4, 0);
    all(table.plan_all(a(sided([(1, &[1], &[2])])), now));
    assert_eq!(
        all(table.plan_changed(a(sided([(1, &[2], &[1])])), now)),
        [at_slots(1, (1, 1), (0, 1), new(1) + 1)]
    );
    // And between frontends, where the first to move lets go of what the second needs.
    all(table.plan_changed(a(sided([(1, &[1], &[]), (2, &[2], &[])])), now));
    let operations = all(table.plan_changed(a(sided([(1, &[2], &[]), (2, &[1], &[])])), now));
    assert_eq!(operations.len(), 2, "{operations:?}");
}

#[test]
fn half_a_frontend_without_room_is_none() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 4, 0);
    let planned = table.plan_all(a(sided([(1, &[1, 2, 3], &[4, 5])])), now);
    assert_eq!(planned.unplaced.len(), 1);
    assert_eq!(
        planned.operations,
        [write(0, &[1, 2, 3])],
        "which nobody points at"
    );
    assert_eq!(table.fill(), (0, 0));
    // Its slots rest as any other's, and are taken again.
    let operations = all(table.plan_changed(a(sided([(1, &[1, 2], &[1, 2])])), now + REST));
    assert_eq!(operations[0], write(0, &[1, 2]));
}

#[test]
fn a_changed_treatment_is_one_write() {
    let now = Instant::now();
    let mut table = table(now);
    let mut wish = sided([(1, &[1, 2], &[1, 2])]);
    wish.affinity_seconds = 60;
    for front in wish.frontends.values_mut() {
        front.treatment = Treatment::MASQUERADE;
    }
    let operations = all(table.plan_changed(a(wish), now));
    let text: Vec<_> = operations.iter().map(ToString::to_string).collect();
    let generation = new(1) + 1;
    assert_eq!(
        text,
        [format!(
            "point frontend 10.96.0.1:80/tcp at 2 endpoints from slot 0, generation {generation}, \
             masquerade, affinity 60 s"
        )]
    );
}

fn limited(ranges: &[&str]) -> PortWish {
    let mut wish = sided([(1, &[1], &[1])]);
    wish.source_ranges = ranges.iter().map(|r| r.parse().expect("a range")).collect();
    if !ranges.is_empty() {
        for front in wish.frontends.values_mut() {
            front.treatment = Treatment::SOURCE_RANGES;
        }
    }
    wish
}

#[test]
fn ranges_come_before_the_frontend_that_asks_and_go_after() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 4, 0);
    let mut kinds = |wish| {
        let operations = all(table.plan_changed(a(wish), now));
        let kind = |operation: &Operation| match operation {
            Operation::PutRange { .. } => "put",
            Operation::RemoveRange { .. } => "remove",
            Operation::WriteList { .. } => "write",
            Operation::PointFrontend { .. } => "point",
            Operation::RemoveFrontend { .. } => "gone",
        };
        operations.iter().map(kind).collect::<Vec<_>>()
    };
    let (one, other) = ("10.0.0.0/8", "192.0.2.0/24");
    assert_eq!(kinds(limited(&[one])), ["put", "write", "point"]);
    assert_eq!(kinds(limited(&[one])), [""; 0]);
    assert_eq!(kinds(limited(&[one, other])), ["put"]);
    assert_eq!(kinds(limited(&[other])), ["remove"]);
    assert_eq!(kinds(limited(&[])), ["point", "remove"]);
    assert_eq!(kinds(limited(&[one])), ["put", "point"]);
    let operations = all(table.plan_changed(BTreeMap::from([wants("a", [])]), now));
    let text: Vec<_> = operations.iter().map(ToString::to_string).collect();
    let number = number("a");
    let gone = format!("let in no more 10.0.0.0/8 at Service port {number}");
    assert_eq!(text, ["remove frontend 10.96.0.1:80/tcp", &gone]);
}

#[test]
fn ranges_of_nobody_go_with_the_next_full_plan() {
    let now = Instant::now();
    let address = Ip::v4([10, 0, 0, 0]);
    let own = SourceRange::new(number("a"), 104, address);
    let stale = SourceRange::new(number("a") ^ 1, 104, address);
    let observed = Observed {
        frontends: BTreeMap::new(),
        ranges: vec![own, stale],
    };
    let mut table = Table::new(observed, 4, 0);
    let operations = all(table.plan_all(a(limited(&["10.0.0.0/8"])), now));
    assert_eq!(operations.len(), 3, "{operations:?}");
    assert_eq!(operations[2], Operation::RemoveRange { range: stale });
}
