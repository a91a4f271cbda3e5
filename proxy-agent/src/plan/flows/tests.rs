//! What is remembered and for how long, by table.

use proxy_abi::{Endpoint, Flow, FlowKey, FrontendKey, Ip, Port, Role, protocol};

use super::*;

const NOW: u32 = 1_000_000;
const SPOKE: u8 = Flow::SPOKE;
const FIN: u8 = Flow::SPOKE | Flow::FINISHED;
const RST: u8 = Flow::SPOKE | Flow::RESET;

fn end(last: u8, port: u16) -> (Ip, Port) {
    (Ip::v4([10, 0, 0, last]), Port::new(port))
}

const FRONTEND: u8 = 100;

/// Both entries of a conversation of client port `port` with the endpoint 10.0.0.`endpoint`, last
/// used `idle` seconds ago, each having done `state`.
fn flow(protocol: u8, port: u16, endpoint: u8, idle: [u64; 2], state: [u8; 2]) -> [Entry; 2] {
    let seen = |idle: u64| NOW - Flow::time(idle * 1_000_000_000);
    let key = FlowKey::new(end(1, port), end(FRONTEND, 80), protocol);
    let to = key.sent_to(end(endpoint, 8080));
    let mut client = Flow::new(Role::Request, to, 1, seen(idle[0]));
    let (answers_key, mut answers) = client.other_half(&key);
    client.state = state[0];
    answers.seen = seen(idle[1]);
    answers.state = state[1];
    [(key, client), (answers_key, answers)]
}

type Entry = (FlowKey, Flow);

fn look(entries: &[(Entry, Table)], touched: &Touched) -> Looked {
    let timeouts = Timeouts::default();
    let mut join = Join::new(&timeouts, touched, NOW);
    for ((key, flow), table) in entries {
        join.take(key, flow, *table);
    }
    if join.has_single() {
        for ((key, flow), table) in entries {
            join.take_again(key, flow, *table);
        }
    }
    assert!(!join.has_single());
    join.end()
}

fn reasons(entries: &[(Entry, Table)], touched: &Touched) -> Vec<Reason> {
    let doomed = look(entries, touched).doomed;
    doomed.into_iter().map(|doomed| doomed.reason).collect()
}

fn within(table: Table, entries: [Entry; 2]) -> Vec<(Entry, Table)> {
    entries.into_iter().map(|entry| (entry, table)).collect()
}

#[test]
fn silence_ends_a_conversation_after_the_time_of_its_state() {
    use State::*;
    use protocol::{ICMP, SCTP, TCP, UDP};
    let both = [SPOKE, SPOKE];
    for (protocol, table, state, expected, seconds) in [
        (TCP, Table::Flows, both, Established, 86_400),
        (TCP, Table::Flows, [FIN, SPOKE], HalfClosed, 3_600),
        (TCP, Table::Flows, [SPOKE, FIN], HalfClosed, 3_600),
        (TCP, Table::Flows, [FIN, FIN], Closed, 60),
        (TCP, Table::Flows, [RST, SPOKE], Closed, 60),
        (TCP, Table::Flows, [SPOKE, RST], Closed, 60),
        (TCP, Table::Openings, [SPOKE, 0], Opening, 120),
        (TCP, Table::Openings, both, Opening, 120),
        (TCP, Table::Openings, [SPOKE, RST], Closed, 60),
        (TCP, Table::Overflow, both, Established, 86_400),
        (TCP, Table::Overflow, [SPOKE, 0], Opening, 120),
        (UDP, Table::Flows, both, Established, 180),
        (UDP, Table::Flows, [FIN, FIN], Established, 180),
        (UDP, Table::Openings, [SPOKE, 0], Opening, 30),
        (UDP, Table::Openings, both, Opening, 30),
        (SCTP, Table::Flows, both, Established, 3_600),
        (SCTP, Table::Openings, both, Opening, 30),
        (ICMP, Table::Flows, both, Established, 30),
    ] {
        let at = |idle| within(table, flow(protocol, 1, 2, [idle; 2], state));
        let what = format!("{protocol} {table:?} {state:?}");
        let young = look(&at(seconds - 1), &Touched::default());
        assert_eq!(young.doomed, [], "{what}");
        assert_eq!(
            young.counts,
            [((protocol, expected), 1)].into_iter().collect(),
            "{what}"
        );
        assert_eq!(
            reasons(&at(seconds + 3), &Touched::default()),
            [Reason::Idle(expected)],
            "{what}"
        );
    }
}

#[test]
fn the_side_that_spoke_last_counts_whichever_comes_first() {
    for idle in [[10, 90_000], [90_000, 10]] {
        let [client, answers] = flow(protocol::TCP, 1, 2, idle, [SPOKE, SPOKE]);
        for entries in [[client, answers], [answers, client]] {
            let entries = within(Table::Flows, entries);
            assert_eq!(reasons(&entries, &Touched::default()), []);
        }
    }
}

#[test]
fn what_was_used_after_the_clock_was_read_stays() {
    let [(key, mut client), answers] = flow(protocol::UDP, 1, 2, [0, 500], [SPOKE, SPOKE]);
    client.seen = NOW + 1;
    let entries = within(Table::Flows, [(key, client), answers]);
    assert_eq!(reasons(&entries, &Touched::default()), []);
}

#[test]
fn an_orphan_goes_after_a_minute() {
    let at = |idle| flow(protocol::TCP, 1, 2, [idle; 2], [SPOKE, SPOKE]);
    for which in [0, 1] {
        let single = |idle, table| vec![(at(idle)[which], table)];
        let none = Touched::default();
        assert_eq!(reasons(&single(59, Table::Flows), &none), []);
        let orphan = [Reason::Idle(State::Orphan)];
        assert_eq!(reasons(&single(63, Table::Flows), &none), orphan);
        // Of `openings` the programs make the other half anew.
        assert_eq!(reasons(&single(63, Table::Openings), &none), []);
        // Established, but for the last step.
        let [client, answers] = at(63);
        let parted = [(client, Table::Openings), (answers, Table::Flows)];
        assert_eq!(reasons(&parted, &none), []);
    }
}

#[test]
fn an_answer_that_needs_no_translation_has_no_other_half() {
    let key = FlowKey::new(end(9, 53), end(1, 999), protocol::UDP);
    for (state, seconds) in [(0, 30), (SPOKE, 180)] {
        let at = |idle: u64| {
            let seen = NOW - Flow::time(idle * 1_000_000_000);
            let mut flow = Flow::new(Role::Reply, key, 0, seen);
            flow.state = state;
            vec![((key, flow), Table::Openings)]
        };
        assert_eq!(reasons(&at(seconds - 1), &Touched::default()), []);
        assert_eq!(reasons(&at(seconds + 3), &Touched::default()).len(), 1);
    }
}

fn frontend(protocol: u8) -> FrontendKey {
    FrontendKey::new(end(FRONTEND, 80).0, Port::new(80), protocol)
}

fn list(ends: &[u8]) -> std::sync::Arc<[Endpoint]> {
    let endpoint = |last: &u8| Endpoint::new(end(*last, 0).0, Port::new(8080));
    ends.iter().map(endpoint).collect()
}

fn serving(inside: &[u8], outside: &[u8]) -> Serving {
    [list(inside), list(outside)]
}

fn note(touched: &mut Touched, frontends: impl IntoIterator<Item = Change>) -> bool {
    touched.note(Changes {
        frontends: frontends.into_iter().collect(),
        clients: Clients::default(),
    })
}

#[test]
fn a_change_ends_what_it_leaves_without_an_endpoint() {
    use protocol::{SCTP, TCP, UDP};
    let removed = |protocol| vec![Change::removed(frontend(protocol))];
    let pointed = |protocol, before: Serving, now: Serving| {
        vec![Change::pointed(frontend(protocol), Some(&before), now)]
    };
    let one_less = |protocol| pointed(protocol, serving(&[2, 3], &[2, 3]), serving(&[3], &[3]));
    let (gone, left) = (Some(Reason::FrontendGone), Some(Reason::EndpointGone));
    let half_open = (Table::Openings, [SPOKE, 0]);
    let closed = (Table::Flows, [FIN, FIN]);
    let half_closed = (Table::Flows, [FIN, SPOKE]);
    let alive = (Table::Flows, [SPOKE, SPOKE]);
    for (what, changes, protocol, (table, state), endpoint, expected) in [
        ("gone", removed(UDP), UDP, alive, 2, gone),
        ("gone", removed(UDP), UDP, half_open, 2, gone),
        ("gone", removed(SCTP), SCTP, alive, 2, gone),
        (
            "gone, of another protocol",
            removed(UDP),
            TCP,
            alive,
            2,
            None,
        ),
        ("gone, drains", removed(TCP), TCP, alive, 2, None),
        ("gone, drains", removed(TCP), TCP, half_closed, 2, None),
        ("gone, not begun", removed(TCP), TCP, half_open, 2, gone),
        ("gone, ended", removed(TCP), TCP, closed, 2, gone),
        ("endpoint gone", one_less(UDP), UDP, alive, 2, left),
        ("endpoint gone", one_less(SCTP), SCTP, alive, 2, left),
        ("another endpoint gone", one_less(UDP), UDP, alive, 3, None),
        ("endpoint gone, drains", one_less(TCP), TCP, alive, 2, None),
        (
            "no endpoint left",
            pointed(UDP, serving(&[2], &[2]), serving(&[], &[])),
            UDP,
            alive,
            2,
            left,
        ),
        (
            "serves one side still",
            pointed(UDP, serving(&[2], &[2]), serving(&[], &[2])),
            UDP,
            alive,
            2,
            None,
        ),
        (
            "one more",
            pointed(UDP, serving(&[3], &[3]), serving(&[3, 4], &[3])),
            UDP,
            alive,
            2,
            None,
        ),
    ] {
        let mut touched = Touched::default();
        note(&mut touched, changes);
        let entries = within(table, flow(protocol, 1, endpoint, [1, 1], state));
        let expected: Vec<Reason> = expected.into_iter().collect();
        assert_eq!(reasons(&entries, &touched), expected, "{what} {protocol}");
    }
}

#[test]
fn changes_that_end_nothing_cost_no_look() {
    let mut touched = Touched::default();
    let key = frontend(protocol::UDP);
    let new = Change::pointed(key, None, serving(&[2], &[2]));
    assert!(!note(&mut touched, [new.clone()]), "a new frontend");
    let more = Change::pointed(key, Some(&serving(&[2], &[2])), serving(&[2, 3], &[2, 3]));
    assert!(!note(&mut touched, [more]), "one endpoint more");
    let tcp = frontend(protocol::TCP);
    let less = Change::pointed(tcp, Some(&serving(&[2], &[2])), serving(&[], &[]));
    assert!(!note(&mut touched, [less]), "TCP drains");
    assert!(note(&mut touched, [Change::removed(key)]));
    // It is back before anybody looked: its flows have lost nothing.
    note(&mut touched, [new]);
    let entries = within(
        Table::Flows,
        flow(protocol::UDP, 1, 2, [1, 1], [SPOKE, SPOKE]),
    );
    assert_eq!(reasons(&entries, &touched), []);
}

#[test]
fn what_could_not_be_looked_for_gives_way_to_what_came_since() {
    let key = frontend(protocol::UDP);
    let mut older = Touched::default();
    note(&mut older, [Change::removed(key)]);
    let mut newer = Touched::default();
    let less = Change::pointed(key, Some(&serving(&[2, 3], &[])), serving(&[2], &[]));
    note(&mut newer, [less]);
    let expected = newer.clone();
    newer.restore(older.clone());
    assert_eq!(newer, expected);
    let mut empty = Touched::default();
    empty.restore(older.clone());
    assert_eq!(empty, older);
}

#[test]
fn masquerade_has_nothing_to_do_with_frontends() {
    let mut touched = Touched::default();
    note(&mut touched, [Change::removed(frontend(protocol::UDP))]);
    let key = FlowKey::new(end(1, 5), end(FRONTEND, 80), protocol::UDP);
    let flow = Flow::new(Role::Masquerade, key.sent_from(end(7, 7)), 0, NOW);
    let (other_key, other) = flow.other_half(&key);
    let entries = within(Table::Flows, [(key, flow), (other_key, other)]);
    assert_eq!(reasons(&entries, &touched), []);
}

#[test]
fn names_are_all_different() {
    let idle = State::ALL.map(Reason::Idle);
    let reasons = idle
        .into_iter()
        .chain([Reason::EndpointGone, Reason::FrontendGone]);
    let names: std::collections::BTreeSet<_> = reasons.map(Reason::name).collect();
    assert_eq!(names.len(), State::ALL.len() + 2);
}
