//! Tables: what becomes a notice, who tells it, and how often.

use proxy_abi::{FrontendKey, Ip, Port, protocol};

use super::*;

fn name(text: &str) -> ServiceName {
    ServiceName::new("shop", text)
}

fn facts() -> Facts<'static> {
    Facts {
        node: "n1",
        nodes: BTreeSet::from(["n1", "n2", "n3"]),
        ..Facts::default()
    }
}

fn contest(loser: &str) -> Contest {
    Contest {
        key: FrontendKey::new(Ip::v4([192, 0, 2, 1]), Port::new(80), protocol::TCP),
        winner: name("a"),
        loser: name(loser),
    }
}

#[test]
fn each_thing_that_matters_is_a_notice_and_nothing_else_is() {
    let table = |used| Facts {
        tables: BTreeMap::from([("flows".to_owned(), (used, 100))]),
        ..facts()
    };
    let moved = |counter, services: usize| Facts {
        moved: BTreeSet::from([counter]),
        without_local: (0..services).map(|n| name(&format!("s{n}"))).collect(),
        ..facts()
    };
    let checks = Facts {
        checks: vec![(name("web"), 32_000, "Address already in use".to_owned())],
        ..facts()
    };
    let servers = Facts {
        servers: vec![("0.0.0.0:10256".to_owned(), "Address in use".to_owned())],
        ..facts()
    };
    let policies = Facts {
        without_local: vec![name("web")],
        ..facts()
    };
    let rows: [(&str, Facts<'_>, &[&str]); 9] = [
        ("nothing", facts(), &[]),
        ("room enough", table(90), &[]),
        ("a policy that nobody meets", policies, &[]),
        ("a drop that is meant", moved(Counter::SourceRange, 0), &[]),
        (
            "a table that fills",
            table(91),
            &["Node n1", "TableNearlyFull", "FLATNET_FLOW_TABLE_SIZE"],
        ),
        (
            "ports",
            moved(Counter::PortsExhausted, 0),
            &["Node n1", "PortsExhausted", "FLATNET_MASQUERADE_PORTS"],
        ),
        (
            "a policy",
            moved(Counter::NoLocalEndpoint, 5),
            &["NoLocalEndpoint", "shop/s0, shop/s1, shop/s2, 2 more."],
        ),
        (
            "a health check",
            checks,
            &[
                "Service shop/web",
                "FailedToStartServiceHealthcheck",
                "32000",
            ],
        ),
        (
            "the agent's own server",
            servers,
            &[
                "Node n1",
                "FailedToStartProxierHealthcheck",
                "0.0.0.0:10256",
            ],
        ),
    ];
    for (what, facts, words) in rows {
        let found: Vec<_> = standing(&facts).into_iter().collect();
        assert_eq!(found.len(), usize::from(!words.is_empty()), "{what}");
        for notice in found {
            let text = format!("{} {} {}", notice.about, notice.reason, notice.note);
            for word in words {
                assert!(text.contains(word), "{what}: no {word} in {text}");
            }
            assert!(notice.note.len() < 1024, "{what}");
        }
    }
}

#[test]
fn of_what_all_nodes_see_one_tells() {
    let names: Vec<_> = (0..50).map(|n| format!("b{n}")).collect();
    let contested: Vec<_> = names.iter().map(|loser| contest(loser)).collect();
    let told_by = |node| {
        let facts = Facts {
            node,
            contested: &contested,
            ..facts()
        };
        standing(&facts)
    };
    let [one, two, three] = ["n1", "n2", "n3"].map(told_by);
    assert_eq!(one.len() + two.len() + three.len(), contested.len());
    let all: BTreeSet<_> = one.iter().chain(&two).chain(&three).collect();
    assert_eq!(all.len(), contested.len(), "nothing is told twice");
    assert!(one.len() > 5 && two.len() > 5 && three.len() > 5, "evenly");
    let notice = one.first().expect("one");
    assert!(notice.note.contains("192.0.2.1:80/tcp"), "{}", notice.note);
}

#[test]
fn what_goes_on_is_told_twice_an_hour_and_a_flood_a_little_at_a_time() {
    let notice = |n: usize| Notice {
        about: About::Service(name(&format!("s{n}"))),
        reason: "R",
        action: "A",
        note: String::new(),
    };
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let only = |n| BTreeSet::from([notice(n)]);
    let mut told = Told::new(start);
    assert_eq!(told.due(only(1), at(0)), [notice(1)]);
    assert_eq!(told.due(only(1), at(1)), [], "it is known");
    assert_eq!(told.due(BTreeSet::new(), at(2)), []);
    assert_eq!(told.due(only(1), at(1799)), [], "and comes and goes");
    assert_eq!(told.due(only(1), at(1800)), [notice(1)]);

    let many = || (0..30).map(notice).collect::<BTreeSet<_>>();
    let first = told.due(many(), at(9000)).len();
    assert_eq!(first, 10);
    assert_eq!(told.due(many(), at(9001)).len(), 0, "enough for now");
    assert_eq!(told.due(many(), at(9060)).len(), 1);
    assert_eq!(told.due(many(), at(9300)).len(), 4);
    let rest: usize = (0..15)
        .map(|n| told.due(many(), at(9360 + n * 60)).len())
        .sum();
    assert_eq!(first + 1 + 4 + rest, 30, "in the end all");
}

#[test]
fn a_full_table_names_the_option_that_makes_it_larger() {
    for (table, option) in [
        ("flows", "FLATNET_FLOW_TABLE_SIZE"),
        ("frontends", "FLATNET_FRONTEND_TABLE_SIZE"),
        ("endpoints", "FLATNET_ENDPOINT_SLOTS"),
    ] {
        let facts = Facts {
            tables: BTreeMap::from([(table.to_owned(), (99, 100))]),
            ..facts()
        };
        let told = standing(&facts);
        assert!(
            told.iter().all(|notice| notice.note.contains(option)),
            "{told:?}"
        );
        assert_eq!(told.len(), 1);
    }
}
