//! One row a sentence of the DNS-Based Service Discovery specification, in its order, and one a
//! row or rule of what we promise beside it (pods, levels of the tree, the zone itself).

use super::*;

/// Two named ports and one without a name; a hostname with two addresses, one not ready, and an
/// endpoint without a hostname; in both families.
fn cluster() -> ClusterIndex {
    let ports = |slice: EndpointSlice| {
        slice
            .port("sql", Tcp, 15432)
            .port("dns", Udp, 1053)
            .port("", Tcp, 1)
    };
    let mut index = mk_index(
        [
            mk_service("kube-system", "kube-dns")
                .cluster_ip("10.96.0.10")
                .cluster_ip("fd00::a"),
            mk_service("ns", "web")
                .cluster_ip("10.96.0.1")
                .cluster_ip("fd00::1")
                .port("http", Tcp, 80)
                .port("http3", Udp, 443)
                .port("", Tcp, 9),
            mk_service("ns", "four")
                .cluster_ip("10.96.0.4")
                .port("", Tcp, 1),
            mk_service("ns", "pets").headless().port("sql", Tcp, 5432),
            mk_service("ns", "down").headless().port("sql", Tcp, 5432),
            mk_service("ns", "early").headless().publish_not_ready(),
            mk_service("ns", "away").external_name("db.example.com"),
        ],
        [
            ports(mk_slice("ns", "pets", "pets-4"))
                .endpoint(mk_endpoint("10.1.0.1").hostname("cat"))
                .endpoint(mk_endpoint("10.1.0.2").hostname("cat"))
                .endpoint(mk_endpoint("10.1.0.3").hostname("dog").unready())
                .ready("10.1.0.4"),
            ports(mk_slice("ns", "pets", "pets-6"))
                .v6()
                .endpoint(mk_endpoint("fd01::1").hostname("cat")),
            mk_slice("ns", "down", "down-4")
                .port("sql", Tcp, 1)
                .endpoint(mk_endpoint("10.1.1.1").hostname("cat").unready()),
            mk_slice("ns", "early", "early-4")
                .endpoint(mk_endpoint("10.1.2.1").hostname("cat").unready()),
        ],
    );
    index.apply_pod(mk_pod("ns", "pod-1", "10.1.0.4"));
    index
}

/// Short for a record of the zone: the owner before `ns.svc.<zone>`, then type and data.
fn at(owner: &str, data: &str) -> String {
    let data = data.replace('@', "ns.svc.cluster.local.");
    format!("{owner}.ns.svc.cluster.local. {data}")
}

struct Row {
    /// Section, and what is said there.
    says: &'static str,
    name: String,
    kind: RecordType,
    wanted: Vec<String>,
}

fn row(says: &'static str, name: impl Into<String>, kind: RecordType, wanted: &[&str]) -> Row {
    Row {
        says,
        name: name.into(),
        kind,
        wanted: wanted.iter().map(|line| (*line).to_owned()).collect(),
    }
}

/// A row about `<owner>.ns.svc.<zone>`: the records there, and those beside.
fn of(says: &'static str, owner: &str, kind: RecordType, data: &[&str], more: &[&str]) -> Row {
    let name = format!("{owner}.ns.svc.cluster.local.");
    let mut lines = vec!["NoError".to_owned()];
    lines.extend(data.iter().map(|data| at(owner, data)));
    lines.extend(more.iter().map(|line| {
        let (owner, data) = line.split_once(' ').expect("an owner and data");
        format!("additional {}", at(owner, data))
    }));
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    row(says, name, kind, &lines)
}

fn none(says: &'static str, owner: &str, kind: RecordType) -> Row {
    let name = format!("{owner}cluster.local.");
    row(says, name, kind, &["NXDomain", SOA])
}

fn empty(says: &'static str, owner: &str, kind: RecordType) -> Row {
    let name = format!("{owner}cluster.local.");
    row(says, name, kind, &["NoError", SOA])
}

fn nibbles(head: &str) -> String {
    // fd00::/16 and all but the last nibble.
    format!("{head}.{}0.0.d.f.ip6.arpa.", "0.".repeat(27))
}

fn services() -> Vec<Row> {
    use RecordType::{A, AAAA, PTR, SRV, TXT};
    let web4 = "web A 10.96.0.1";
    let web6 = "web AAAA fd00::1";
    vec![
        row(
            "2.1: comparison knows no case",
            "WEB.Ns.sVc.cluster.LOCAL.",
            A,
            &["NoError", "WEB.Ns.sVc.cluster.LOCAL. A 10.96.0.1"],
        ),
        row(
            "2.2: the schema's version",
            "dns-version.cluster.local.",
            TXT,
            &["NoError", "dns-version.cluster.local. TXT 1.1.0"],
        ),
        of(
            "2.3.1: A of an IPv4 address",
            "web",
            A,
            &["A 10.96.0.1"],
            &[],
        ),
        of(
            "2.3.1: AAAA of an IPv6 address",
            "web",
            AAAA,
            &["AAAA fd00::1"],
            &[],
        ),
        empty("2.3.1: no such family", "four.ns.svc.", AAAA),
        of(
            "2.3.2: the Service's own port, under name and protocol",
            "_http._tcp.web",
            SRV,
            &["SRV 0 100 80 web.@"],
            &[web4, web6],
        ),
        of(
            "2.3.2: each protocol by itself",
            "_http3._udp.web",
            SRV,
            &["SRV 0 100 443 web.@"],
            &[web4, web6],
        ),
        none(
            "2.3.2: not of the other protocol",
            "_http._udp.web.ns.svc.",
            SRV,
        ),
        none(
            "2.3.2: a port without a name has none",
            "_._tcp.four.ns.svc.",
            SRV,
        ),
        none(
            "2.3.2: nor is there a level for it",
            "_tcp.four.ns.svc.",
            SRV,
        ),
        row(
            "2.3.3: PTR of an IPv4 address",
            "1.0.96.10.in-addr.arpa.",
            PTR,
            &[
                "NoError",
                "1.0.96.10.in-addr.arpa. PTR web.ns.svc.cluster.local.",
            ],
        ),
        row(
            "2.3.3: PTR of an IPv6 address, nibble by nibble",
            nibbles("1"),
            PTR,
            &[
                "NoError",
                &format!("{} PTR web.ns.svc.cluster.local.", nibbles("1")),
            ],
        ),
    ]
}

fn headless() -> Vec<Row> {
    use RecordType::{A, AAAA, PTR, SRV};
    let beside = [
        "10-1-0-4.pets A 10.1.0.4",
        "cat.pets A 10.1.0.1",
        "cat.pets A 10.1.0.2",
        "cat.pets AAAA fd01::1",
    ];
    vec![
        of(
            "2.4.1: A of each ready endpoint",
            "pets",
            A,
            &["A 10.1.0.1", "A 10.1.0.2", "A 10.1.0.4"],
            &[],
        ),
        of("2.4.1: AAAA likewise", "pets", AAAA, &["AAAA fd01::1"], &[]),
        none("2.4.1: none ready, no name", "down.ns.svc.", A),
        none("2.4.1: of whatever family", "down.ns.svc.", AAAA),
        of(
            "2.1: ready is also who is to be published before",
            "early",
            A,
            &["A 10.1.2.1"],
            &[],
        ),
        of(
            "2.4.1: a hostname's addresses, all of them",
            "cat.pets",
            A,
            &["A 10.1.0.1", "A 10.1.0.2"],
            &[],
        ),
        of("2.4.1: and AAAA", "cat.pets", AAAA, &["AAAA fd01::1"], &[]),
        none("2.4.1: of ready endpoints only", "dog.pets.ns.svc.", A),
        of(
            "2.1: without a hostname, a name of ours",
            "10-1-0-4.pets",
            A,
            &["A 10.1.0.4"],
            &[],
        ),
        none("2.1: the hostname comes first", "10-1-0-1.pets.ns.svc.", A),
        of(
            "2.4.2: N hostnames times M ports; the endpoints' port",
            "_sql._tcp.pets",
            SRV,
            &[
                "SRV 0 100 15432 10-1-0-4.pets.@",
                "SRV 0 100 15432 cat.pets.@",
            ],
            &beside,
        ),
        of(
            "2.4.2: the second of the ports",
            "_dns._udp.pets",
            SRV,
            &[
                "SRV 0 100 1053 10-1-0-4.pets.@",
                "SRV 0 100 1053 cat.pets.@",
            ],
            &beside,
        ),
        none(
            "2.4.2: a port without a name has none",
            "_._tcp.pets.ns.svc.",
            SRV,
        ),
        none("2.4.2: none ready", "_sql._tcp.down.ns.svc.", SRV),
        row(
            "2.4.3: PTR of an endpoint with a hostname",
            "1.0.1.10.in-addr.arpa.",
            PTR,
            &[
                "NoError",
                "1.0.1.10.in-addr.arpa. PTR cat.pets.ns.svc.cluster.local.",
            ],
        ),
        row(
            "2.4.3: of a ready one",
            "3.0.1.10.in-addr.arpa.",
            PTR,
            &["elsewhere"],
        ),
        row(
            "2.4.3: with a hostname",
            "4.0.1.10.in-addr.arpa.",
            PTR,
            &["elsewhere"],
        ),
    ]
}

fn others() -> Vec<Row> {
    use RecordType::{A, AAAA, CNAME, NS};
    let alias = "away.ns.svc.cluster.local. CNAME db.example.com.";
    vec![
        row(
            "2.5: an alias, and where it leads",
            "away.ns.svc.cluster.local.",
            A,
            &["NoError", alias, "to db.example.com."],
        ),
        row(
            "2.5: the alias itself",
            "away.ns.svc.cluster.local.",
            CNAME,
            &["NoError", alias],
        ),
        row(
            "2.6: a pod's address in its name, whoever has it",
            "1-2-3-4.ns.pod.cluster.local.",
            A,
            &["NoError", "1-2-3-4.ns.pod.cluster.local. A 1.2.3.4"],
        ),
        none("2.6: of numbers below 256", "1-2-3-256.ns.pod.", A),
        row(
            "the zone's name server",
            "cluster.local.",
            NS,
            &[
                "NoError",
                "cluster.local. NS ns.dns.cluster.local.",
                "additional ns.dns.cluster.local. A 10.96.0.10",
                "additional ns.dns.cluster.local. AAAA fd00::a",
            ],
        ),
        row(
            "whose address is that of the DNS Service",
            "ns.dns.cluster.local.",
            AAAA,
            &["NoError", "ns.dns.cluster.local. AAAA fd00::a"],
        ),
        empty("a level of the tree", "svc.", A),
        empty("a namespace with Services", "ns.svc.", A),
        none("one without", "gone.svc.", A),
        none("anything else", "a.b.c.", A),
        row("any other name", "example.com.", A, &["elsewhere"]),
    ]
}

#[test]
fn every_sentence() {
    let index = cluster();
    for Row {
        says,
        name,
        kind,
        wanted,
    } in [services(), headless(), others()].into_iter().flatten()
    {
        assert_eq!(
            asked(Some(&index), &name, kind),
            wanted,
            "{says}: {name} {kind}"
        );
    }
}
