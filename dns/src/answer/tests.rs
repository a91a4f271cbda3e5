//! Answers: name and type in, the answer out. The specification itself is a table in `specification`.

mod headless;
mod names;
mod specification;

use cluster_model::Protocol::{Tcp, Udp};
use cluster_model::testing::{mk_endpoint, mk_index, mk_pod, mk_service, mk_slice};
use cluster_model::{ClusterIndex, EndpointSlice, Service, ServiceName};
use hickory_proto::rr::{Name, Record, RecordType};

use super::{Answer, Verdict, answer};
use crate::zone::{PodNames, Zone};

const SOA: &str = "authority cluster.local. SOA";

fn zone() -> Zone {
    let apex = Name::from_ascii("cluster.local.").expect("a name");
    Zone::new(apex, 5, 1, ServiceName::new("kube-system", "kube-dns"))
}

fn services() -> Vec<Service> {
    let external = |name: &str, target: &str| mk_service("default", name).external_name(target);
    vec![
        mk_service("kube-system", "kube-dns")
            .cluster_ip("10.96.0.10")
            .port("dns", Udp, 53)
            .port("dns-tcp", Tcp, 53),
        mk_service("default", "web")
            .cluster_ip("10.96.0.1")
            .port("http", Tcp, 80),
        mk_service("default", "dual")
            .cluster_ip("10.96.0.2")
            .cluster_ip("fd00::2")
            .port("", Tcp, 1),
        mk_service("default", "v6").cluster_ip("fd00::3"),
        mk_service("default", "other")
            .cluster_ip("10.96.0.4")
            .other_proxy(),
        mk_service("default", "db")
            .headless()
            .port("sql", Tcp, 5432),
        mk_service("default", "down")
            .headless()
            .port("sql", Tcp, 5432),
        mk_service("default", "early")
            .headless()
            .publish_not_ready(),
        external("ext", "db.example.com"),
        external("alias", "Web.default.svc.cluster.local."),
        external("dangling", "gone.default.svc.cluster.local"),
        external("a-loop", "b-loop.default.svc.cluster.local"),
        external("b-loop", "a-loop.default.svc.cluster.local"),
    ]
}

fn slices() -> Vec<EndpointSlice> {
    let unready = || mk_endpoint("10.244.1.9").unready();
    vec![
        mk_slice("default", "web", "web-1")
            .port("http", Tcp, 8080)
            .ready("10.244.9.9"),
        mk_slice("default", "db", "db-1")
            .port("sql", Tcp, 15432)
            .endpoint(mk_endpoint("10.244.1.2").hostname("db-0"))
            .ready("10.244.2.2")
            .endpoint(unready().hostname("db-9"))
            .endpoint(mk_endpoint("10.244.1.8").draining()),
        // The same endpoint again, while it moves from one slice to another.
        mk_slice("default", "db", "db-2")
            .port("sql", Tcp, 15432)
            .ready("10.244.2.2"),
        mk_slice("default", "db", "db-6")
            .v6()
            .port("sql", Tcp, 15432)
            .endpoint(mk_endpoint("fd00:1::2").hostname("db-0"))
            .ready("fd00:1::3"),
        mk_slice("default", "down", "down-1")
            .port("sql", Tcp, 1)
            .endpoint(unready()),
        mk_slice("default", "early", "early-1").endpoint(unready().hostname("e-0")),
    ]
}

fn index() -> ClusterIndex {
    mk_index(services(), slices())
}

/// The answer as lines: the code (`-` in front if not authoritative), then the records.
fn asked(index: Option<&ClusterIndex>, name: &str, kind: RecordType) -> Vec<String> {
    asked_in(&zone(), index, name, kind)
}

fn asked_in(
    zone: &Zone,
    index: Option<&ClusterIndex>,
    name: &str,
    kind: RecordType,
) -> Vec<String> {
    let name = Name::from_ascii(name).expect(name);
    let Verdict::Ours(answer) = answer(zone, index, &name, kind, 0) else {
        return vec!["elsewhere".to_owned()];
    };
    let Answer {
        code,
        authoritative,
        answers,
        authority,
        additional,
        leads_to,
    } = answer;
    let line = |section: &str, record: &Record| {
        assert_eq!(record.ttl, 5, "{record}");
        let start = format!("{section}{} {}", record.name, record.record_type());
        match record.record_type() {
            RecordType::SOA if section == "authority " => start,
            _ => format!("{start} {}", record.data),
        }
    };
    let refused = if authoritative { "" } else { "-" };
    [format!("{refused}{code:?}")]
        .into_iter()
        .chain(answers.iter().map(|record| line("", record)))
        .chain(authority.iter().map(|record| line("authority ", record)))
        .chain(additional.iter().map(|record| line("additional ", record)))
        .chain(leads_to.map(|target| format!("to {target}")))
        .collect()
}

/// Asks for `kind` at each name within the zone, given without it, and compares.
fn check(kind: RecordType, rows: &[(&str, &[&str])]) {
    let index = index();
    for (name, wanted) in rows {
        let name = format!("{name}cluster.local.");
        assert_eq!(asked(Some(&index), &name, kind), *wanted, "{name} {kind}");
    }
}

#[test]
fn services_with_a_cluster_ip() {
    check(
        RecordType::A,
        &[
            (
                "web.default.svc.",
                &["NoError", "web.default.svc.cluster.local. A 10.96.0.1"],
            ),
            (
                "dual.default.svc.",
                &["NoError", "dual.default.svc.cluster.local. A 10.96.0.2"],
            ),
            ("v6.default.svc.", &["NoError", SOA]),
            (
                "other.default.svc.",
                &["NoError", "other.default.svc.cluster.local. A 10.96.0.4"],
            ),
            ("gone.default.svc.", &["NXDomain", SOA]),
            ("web.kube-system.svc.", &["NXDomain", SOA]),
            ("web.gone.svc.", &["NXDomain", SOA]),
            ("web-0.web.default.svc.", &["NXDomain", SOA]),
            ("10-244-9-9.web.default.svc.", &["NXDomain", SOA]),
        ],
    );
    check(
        RecordType::AAAA,
        &[
            ("web.default.svc.", &["NoError", SOA]),
            (
                "dual.default.svc.",
                &["NoError", "dual.default.svc.cluster.local. AAAA fd00::2"],
            ),
            (
                "v6.default.svc.",
                &["NoError", "v6.default.svc.cluster.local. AAAA fd00::3"],
            ),
            ("gone.default.svc.", &["NXDomain", SOA]),
        ],
    );
    check(RecordType::TXT, &[("web.default.svc.", &["NoError", SOA])]);
    check(
        RecordType::HTTPS,
        &[("web.default.svc.", &["NoError", SOA])],
    );
    check(
        RecordType::ANY,
        &[(
            "dual.default.svc.",
            &[
                "NoError",
                "dual.default.svc.cluster.local. A 10.96.0.2",
                "dual.default.svc.cluster.local. AAAA fd00::2",
            ],
        )],
    );
}

#[test]
fn the_zone_itself() {
    let server = "additional ns.dns.cluster.local. A 10.96.0.10";
    let soa = "cluster.local. SOA ns.dns.cluster.local. hostmaster.cluster.local. \
               1 7200 1800 86400 5";
    check(
        RecordType::SOA,
        &[
            ("", &["NoError", soa]),
            ("web.default.svc.", &["NoError", SOA]),
        ],
    );
    check(
        RecordType::NS,
        &[(
            "",
            &["NoError", "cluster.local. NS ns.dns.cluster.local.", server],
        )],
    );
    check(
        RecordType::TXT,
        &[(
            "dns-version.",
            &["NoError", "dns-version.cluster.local. TXT 1.1.0"],
        )],
    );
    check(
        RecordType::A,
        &[
            ("", &["NoError", SOA]),
            ("dns-version.", &["NoError", SOA]),
            (
                "ns.dns.",
                &["NoError", "ns.dns.cluster.local. A 10.96.0.10"],
            ),
            ("www.", &["NXDomain", SOA]),
            ("hostmaster.", &["NXDomain", SOA]),
            ("a.ns.dns.", &["NXDomain", SOA]),
            // What search lists make of other names.
            ("api.example.com.default.svc.", &["NXDomain", SOA]),
            ("api.example.com.svc.", &["NXDomain", SOA]),
            ("api.example.com.", &["NXDomain", SOA]),
        ],
    );
    check(RecordType::AAAA, &[("ns.dns.", &["NoError", SOA])]);
}

#[test]
fn levels_of_the_tree_exist_without_records() {
    check(
        RecordType::A,
        &[
            ("svc.", &["NoError", SOA]),
            ("default.svc.", &["NoError", SOA]),
            ("dns.", &["NoError", SOA]),
            ("_tcp.web.default.svc.", &["NoError", SOA]),
            ("_tcp.db.default.svc.", &["NoError", SOA]),
            ("gone.svc.", &["NXDomain", SOA]),
            ("_udp.web.default.svc.", &["NXDomain", SOA]),
            ("_tcp.dual.default.svc.", &["NXDomain", SOA]),
            ("_tcp.down.default.svc.", &["NXDomain", SOA]),
            ("_tcp.gone.default.svc.", &["NXDomain", SOA]),
            ("pod.", &["NoError", SOA]),
            ("default.pod.", &["NoError", SOA]),
        ],
    );
}

#[test]
fn nothing_is_denied_before_the_sync() {
    for name in [
        "web.default.svc.cluster.local.",
        "gone.default.svc.cluster.local.",
        "www.cluster.local.",
        "cluster.local.",
        "1.0.96.10.in-addr.arpa.",
    ] {
        for kind in [RecordType::A, RecordType::SOA, RecordType::PTR] {
            assert_eq!(asked(None, name, kind), ["-ServFail"], "{name} {kind}");
        }
    }
}

#[test]
fn case_is_ignored_and_repeated() {
    let index = index();
    let ask = |name: &str, kind| asked(Some(&index), name, kind);
    let name = "WeB.Default.SVC.Cluster.LOCAL.";
    assert_eq!(
        ask(name, RecordType::A),
        ["NoError".to_owned(), format!("{name} A 10.96.0.1")]
    );
    let denied = ["NoError", "authority Cluster.LOCAL. SOA"];
    assert_eq!(ask(name, RecordType::AAAA), denied);
    let pointer = "1.0.96.10.IN-ADDR.arpa. PTR web.default.svc.cluster.local.";
    assert_eq!(
        ask("1.0.96.10.IN-ADDR.arpa.", RecordType::PTR),
        ["NoError", pointer]
    );
}

#[test]
fn several_addresses_take_turns_to_be_first() {
    let index = index();
    let name = Name::from_ascii("db.default.svc.cluster.local.").expect("a name");
    let first = |turn| {
        let verdict = answer(&zone(), Some(&index), &name, RecordType::A, turn);
        let Verdict::Ours(answer) = verdict else {
            panic!("{name} is ours")
        };
        assert_eq!(answer.answers.len(), 2);
        answer.answers[0].data.ip_addr()
    };
    assert_ne!(first(0), first(1));
    assert_eq!(first(0), first(2));
    assert_eq!(first(1), first(usize::MAX));
}

#[test]
fn a_service_without_an_address_yet_exists() {
    let index = mk_index([mk_service("default", "new")], []);
    let wanted = ["NoError", SOA];
    assert_eq!(
        asked(
            Some(&index),
            "new.default.svc.cluster.local.",
            RecordType::A
        ),
        wanted
    );
}

#[test]
fn pods_in_three_modes() {
    use PodNames::{Disabled, Insecure, Verified};
    let mut index = index();
    index.apply_pod(mk_pod("default", "web-1", "10.244.9.9").address("fd00:1::9"));
    let a = |name: &str, data: &str| vec!["NoError".to_owned(), format!("{name} {data}")];
    let denied = || vec!["NXDomain".to_owned(), SOA.to_owned()];
    let empty = || vec!["NoError".to_owned(), SOA.to_owned()];
    let check = |mode, kind, name: &str, wanted: &dyn Fn(&str) -> Vec<String>| {
        let zone = zone().with_pod_names(mode);
        let name = format!("{name}pod.cluster.local.");
        let answer = asked_in(&zone, Some(&index), &name, kind);
        assert_eq!(answer, wanted(&name), "{mode:?} {name} {kind}");
    };
    let (v4, v6) = (RecordType::A, RecordType::AAAA);
    for name in ["", "default.", "10-244-9-9.default."] {
        check(Disabled, v4, name, &|_| denied());
    }
    for mode in [Insecure, Verified] {
        check(mode, v4, "", &|_| empty());
        check(mode, v4, "default.", &|_| empty());
        check(mode, v4, "10-244-9-9.default.", &|name| {
            a(name, "A 10.244.9.9")
        });
        check(mode, v6, "10-244-9-9.default.", &|_| empty());
        for long in ["fd00-1--9", "fd00-0001-0000-0000-0000-0000-0000-0009"] {
            let name = format!("{long}.default.");
            check(mode, v6, &name, &|name| a(name, "AAAA fd00:1::9"));
        }
        for wrong in [
            "10-244-9.default.",
            "web-1.default.",
            "10-244-9-256.default.",
            "a.b.c.",
        ] {
            check(mode, v4, wrong, &|_| denied());
        }
    }
    check(Insecure, v4, "1-2-3-4.gone.", &|name| a(name, "A 1.2.3.4"));
    check(Insecure, v4, "gone.", &|_| empty());
    for gone in [
        "1-2-3-4.default.",
        "10-244-9-9.kube-system.",
        "kube-system.",
        "gone.",
    ] {
        check(Verified, v4, gone, &|_| denied());
    }
}
