//! What stands behind a Service by name: endpoints of headless ones, named ports.

use super::*;

#[test]
fn headless_services() {
    check(
        RecordType::A,
        &[
            (
                "db.default.svc.",
                &[
                    "NoError",
                    "db.default.svc.cluster.local. A 10.244.1.2",
                    "db.default.svc.cluster.local. A 10.244.2.2",
                ],
            ),
            ("down.default.svc.", &["NXDomain", SOA]),
            (
                "early.default.svc.",
                &["NoError", "early.default.svc.cluster.local. A 10.244.1.9"],
            ),
            (
                "db-0.db.default.svc.",
                &["NoError", "db-0.db.default.svc.cluster.local. A 10.244.1.2"],
            ),
            (
                "10-244-2-2.db.default.svc.",
                &[
                    "NoError",
                    "10-244-2-2.db.default.svc.cluster.local. A 10.244.2.2",
                ],
            ),
            // It has a hostname, and no other name.
            ("10-244-1-2.db.default.svc.", &["NXDomain", SOA]),
            // Not ready.
            ("db-9.db.default.svc.", &["NXDomain", SOA]),
            ("10-244-1-8.db.default.svc.", &["NXDomain", SOA]),
            (
                "e-0.early.default.svc.",
                &[
                    "NoError",
                    "e-0.early.default.svc.cluster.local. A 10.244.1.9",
                ],
            ),
        ],
    );
    check(
        RecordType::AAAA,
        &[
            (
                "db.default.svc.",
                &[
                    "NoError",
                    "db.default.svc.cluster.local. AAAA fd00:1::2",
                    "db.default.svc.cluster.local. AAAA fd00:1::3",
                ],
            ),
            (
                "db-0.db.default.svc.",
                &[
                    "NoError",
                    "db-0.db.default.svc.cluster.local. AAAA fd00:1::2",
                ],
            ),
            ("10-244-2-2.db.default.svc.", &["NoError", SOA]),
            ("early.default.svc.", &["NoError", SOA]),
        ],
    );
}

#[test]
fn named_ports() {
    let web =
        "_http._tcp.web.default.svc.cluster.local. SRV 0 100 80 web.default.svc.cluster.local.";
    let glue = "additional web.default.svc.cluster.local. A 10.96.0.1";
    let db = |host: &str| {
        format!(
            "_sql._tcp.db.default.svc.cluster.local. SRV 0 100 15432 \
             {host}.db.default.svc.cluster.local."
        )
    };
    let host =
        |host: &str, data: &str| format!("additional {host}.db.default.svc.cluster.local. {data}");
    let long = "fd00-0001-0000-0000-0000-0000-0000-0003";
    let headless = [
        "NoError",
        &db("10-244-2-2"),
        &db("db-0"),
        &db(long),
        &host("10-244-2-2", "A 10.244.2.2"),
        &host("db-0", "A 10.244.1.2"),
        &host("db-0", "AAAA fd00:1::2"),
        &host(long, "AAAA fd00:1::3"),
    ];
    check(
        RecordType::SRV,
        &[
            ("_http._tcp.web.default.svc.", &["NoError", web, glue]),
            ("_sql._tcp.db.default.svc.", &headless),
            ("_http._udp.web.default.svc.", &["NXDomain", SOA]),
            ("_https._tcp.web.default.svc.", &["NXDomain", SOA]),
            ("_http._tcp.gone.default.svc.", &["NXDomain", SOA]),
            // An unnamed port has no name to ask for.
            ("_._tcp.dual.default.svc.", &["NXDomain", SOA]),
            ("_sql._tcp.down.default.svc.", &["NXDomain", SOA]),
            ("_http._tcp.ext.default.svc.", &["NXDomain", SOA]),
            ("web.default.svc.", &["NoError", SOA]),
        ],
    );
    check(
        RecordType::A,
        &[("_http._tcp.web.default.svc.", &["NoError", SOA])],
    );
}
