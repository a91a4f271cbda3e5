//! Names that lead elsewhere: aliases, reverse names, what is not ours.

use super::*;

#[test]
fn external_names() {
    let ext = "ext.default.svc.cluster.local. CNAME db.example.com.";
    let alias = "alias.default.svc.cluster.local. CNAME Web.default.svc.cluster.local.";
    let dangling = "dangling.default.svc.cluster.local. CNAME gone.default.svc.cluster.local.";
    check(
        RecordType::A,
        &[
            ("ext.default.svc.", &["NoError", ext, "to db.example.com."]),
            (
                "alias.default.svc.",
                &[
                    "NoError",
                    alias,
                    "Web.default.svc.cluster.local. A 10.96.0.1",
                ],
            ),
            ("dangling.default.svc.", &["NXDomain", dangling, SOA]),
            ("a-loop.default.svc.", &["-ServFail"]),
        ],
    );
    check(
        RecordType::AAAA,
        &[("alias.default.svc.", &["NoError", alias, SOA])],
    );
    check(
        RecordType::CNAME,
        &[
            ("ext.default.svc.", &["NoError", ext]),
            ("alias.default.svc.", &["NoError", alias]),
            ("web.default.svc.", &["NoError", SOA]),
        ],
    );
    check(RecordType::ANY, &[("ext.default.svc.", &["NoError", ext])]);
}

#[test]
fn reverse_names() {
    let index = index();
    let ask = |name: &str, kind| asked(Some(&index), name, kind);
    let web = "1.0.96.10.in-addr.arpa.";
    let pointer = format!("{web} PTR web.default.svc.cluster.local.");
    assert_eq!(ask(web, RecordType::PTR), ["NoError", &pointer]);
    assert_eq!(ask(web, RecordType::A), ["NoError"]);
    let zeros = "0.".repeat(27);
    let dual = format!("2.0.{zeros}0.d.f.ip6.arpa.");
    let pointer = format!("{dual} PTR dual.default.svc.cluster.local.");
    assert_eq!(ask(&dual, RecordType::PTR), ["NoError", &pointer]);

    let db_0 = "2.1.244.10.in-addr.arpa.";
    let pointer = format!("{db_0} PTR db-0.db.default.svc.cluster.local.");
    assert_eq!(ask(db_0, RecordType::PTR), ["NoError", &pointer]);
    // Without a hostname, not ready, unknown, no single address: not ours to say.
    for address in [
        "2.2.244.10",
        "9.1.244.10",
        "99.0.96.10",
        "0.96.10",
        "9.9.244.10",
    ] {
        let name = format!("{address}.in-addr.arpa.");
        let wanted = if address == "9.1.244.10" {
            let early = "PTR e-0.early.default.svc.cluster.local.";
            vec!["NoError".to_owned(), format!("{name} {early}")]
        } else {
            vec!["elsewhere".to_owned()]
        };
        assert_eq!(ask(&name, RecordType::PTR), wanted, "{name}");
    }
}

#[test]
fn other_names_are_elsewhere_and_transfers_refused() {
    let index = index();
    for name in [
        "example.com.",
        ".",
        "local.",
        "arpa.",
        "web.default.svc.",
        "web.",
    ] {
        assert_eq!(
            asked(Some(&index), name, RecordType::A),
            ["elsewhere"],
            "{name}"
        );
        assert_eq!(
            asked(None, name, RecordType::A),
            ["elsewhere"],
            "{name} before the sync"
        );
    }
    for kind in [RecordType::AXFR, RecordType::IXFR] {
        assert_eq!(
            asked(Some(&index), "cluster.local.", kind),
            ["-Refused"],
            "{kind}"
        );
    }
}
