//! What the plan writes into the real maps, read back: nothing is left to do.

mod kernel;

use std::collections::BTreeMap;
use std::time::Instant;

use cluster_model::Protocol::Tcp;
use cluster_model::testing::{mk_endpoint, mk_index, mk_node, mk_service, mk_slice};
use cluster_model::{Here, ServiceName};
use kernel::{isolated_bpffs, object};
use proxy_agent::kernel::maps::ServiceMaps;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::kernel::programs::{self, Sizes};
use proxy_agent::pass::wishes;
use proxy_agent::plan::services::Table;

#[test]
fn what_is_written_is_what_is_observed() {
    let Some(object) = object("service-maps") else {
        return;
    };
    let folder = isolated_bpffs();
    let pins = Pins::below(folder.path()).expect("a bpffs");
    pins.create().expect("folders");
    let _loaded = programs::load(&object, &pins, Sizes::default()).expect("programs load");
    let mut maps = ServiceMaps::open(&pins).expect("maps open");

    let service = mk_service("shop", "web")
        .cluster_ip("10.96.0.1")
        .port("", Tcp, 80)
        .node_port(30080)
        .load_balancer_ip("192.0.2.7")
        .source_range("10.0.0.0/8")
        .source_range("::/0")
        .external_local();
    let slice = mk_slice("shop", "web", "s")
        .port("", Tcp, 8080)
        .endpoint(mk_endpoint("10.244.1.2").on("node-1"))
        .endpoint(mk_endpoint("10.244.2.2").on("node-2"));
    let mut index = mk_index([service], [slice]);
    index.apply_node(mk_node("node-1").address("172.30.0.11"));
    let name = ServiceName::new("shop", "web");
    let wished = || wishes(&index, [&name].into_iter(), &Here::new("node-1"));

    let mut plan = |wanted| {
        let mut table = Table::new(maps.observe().expect("maps"), maps.slots(), 1);
        let planned = table.plan_all(wanted, Instant::now());
        assert_eq!(planned.unplaced, []);
        for operation in &planned.operations {
            maps.apply(operation).expect("a map write");
        }
        planned.operations.len()
    };
    // 1 + 96 ranges, two lists, three frontends, and the cluster IP's other ports.
    assert_eq!(plan(wished()), 97 + 2 + 4);
    assert_eq!(plan(wished()), 0, "a new agent finds all as it should be");
    assert_eq!(plan(BTreeMap::new()), 97 + 4);
    assert_eq!(plan(BTreeMap::new()), 0);
}
