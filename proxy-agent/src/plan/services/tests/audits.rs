//! What an audit takes for a difference, and what for something that was just written.

use super::*;
use crate::plan::services::ranges;

/// What the kernel holds after [`limited`]'s writes: two frontends, the second of a port that is
/// limited to a range.
fn kernel() -> Observed {
    let of = |name, key: FrontendKey, first_slot, treatment, generation| {
        let offer = Offer {
            treatment,
            ..offer(name, first_slot, 1)
        };
        Frontend::new(&key, offer, generation)
    };
    let plain = of("a", key(1), 0, Treatment::default(), new(1));
    let limited = of("b", key(2), 1, Treatment::SOURCE_RANGES, new(2));
    let mut kernel = observed([(key(1), holds(plain, &[1])), (key(2), holds(limited, &[2]))]);
    let range = "192.0.2.0/24".parse().expect("a range");
    kernel.ranges = ranges::entries(number("b"), &[range]).into_iter().collect();
    kernel
}

/// A table that has written that.
fn limited(now: Instant) -> Table {
    let mut front = front(&[2], &[2]);
    front.treatment = Treatment::SOURCE_RANGES;
    let mut port = port_of([(key(2), front)]);
    port.source_ranges = vec!["192.0.2.0/24".parse().expect("a range")];
    let wish = [wants("a", [(key(1), &[1])]), (service("b"), vec![port])];
    let mut table = Table::new(Observed::default(), 100, 0);
    all(table.plan_all(BTreeMap::from(wish), now));
    table
}

#[test]
fn whatever_differs_is_seen() {
    let table = limited(Instant::now());
    let nothing = Written::default();
    assert!(table.is_held(&kernel(), &nothing));
    type Spoil = fn(&mut Observed);
    let spoils: [(&str, Spoil); 7] = [
        ("a frontend is gone", |kernel| {
            kernel.frontends.remove(&key(1));
        }),
        ("one is there that nobody wrote", |kernel| {
            let held = kernel.frontends[&key(1)].clone();
            kernel.frontends.insert(key(3), held);
        }),
        ("one in the place of another", |kernel| {
            let held = kernel.frontends.remove(&key(1)).expect("held");
            kernel.frontends.insert(key(3), held);
        }),
        ("another generation", |kernel| {
            let held = kernel.frontends.get_mut(&key(1)).expect("held");
            held.frontend.generation += 1;
        }),
        ("another endpoint inside", |kernel| {
            kernel.frontends.get_mut(&key(1)).expect("held").inside = list(&[9]);
        }),
        ("one less outside", |kernel| {
            kernel.frontends.get_mut(&key(2)).expect("held").outside = list(&[]);
        }),
        ("a range is gone", |kernel| kernel.ranges.clear()),
    ];
    for (what, spoil) in spoils {
        let mut kernel = kernel();
        spoil(&mut kernel);
        assert!(!table.is_held(&kernel, &nothing), "{what}");
    }
}

#[test]
fn what_was_written_meanwhile_may_have_been_read_before_or_after() {
    let now = Instant::now();
    let mut table = limited(now);
    let gone = BTreeMap::from([wants("b", []), wants("c", [(key(3), &[3])])]);
    let operations = all(table.plan_changed(gone, now));
    let mut written = Written::default();
    operations.iter().for_each(|it| written.note(it));
    let before = kernel();
    assert!(!table.is_held(&before, &Written::default()));
    assert!(table.is_held(&before, &written));
    let mut between = kernel();
    between.frontends.remove(&key(2));
    assert!(table.is_held(&between, &written));
    between.frontends.remove(&key(1));
    assert!(!table.is_held(&between, &written), "nobody wrote that");
}
