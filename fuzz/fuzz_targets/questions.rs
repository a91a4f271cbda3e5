//! Packets to the DNS server, over UDP and TCP, and what an upstream may answer: no panic, and
//! every answer of ours is a message that another implementation reads.
#![no_main]

use std::cell::RefCell;

use cluster_model::ClusterIndex;
use cluster_model::Protocol::Tcp;
use cluster_model::testing::{mk_endpoint, mk_index, mk_service, mk_slice};
use dns::offline::{Offline, kept};
use hickory_proto::op::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    SERVER.with_borrow_mut(|server| {
        for over_tcp in [false, true] {
            let Some(answer) = server.answer(data, over_tcp) else {
                continue;
            };
            assert!(answer.len() <= if over_tcp { 65535 } else { 4096 });
            assert_eq!(answer[..2], data[..2], "the question's own number");
            let read = Message::from_vec(answer).expect("a message");
            assert!(!over_tcp || !read.metadata.truncation);
        }
    });
    let _ = kept(data);
});

thread_local! {
    static SERVER: RefCell<Offline> =
        RefCell::new(Offline::new(cluster()).expect("the zone is a name"));
}

/// One Service of each kind, with short names that a fuzzer finds.
fn cluster() -> ClusterIndex {
    mk_index(
        [
            mk_service("n", "w")
                .cluster_ip("10.96.0.1")
                .cluster_ip("fd00::1")
                .port("h", Tcp, 80),
            mk_service("n", "d").headless().port("h", Tcp, 80),
            mk_service("n", "e").external_name("w.n.svc.cluster.local"),
        ],
        [(1..200).fold(mk_slice("n", "d", "d-1").port("h", Tcp, 8080), |slice, n| {
            let endpoint = mk_endpoint(&format!("10.244.0.{n}"));
            slice.endpoint(endpoint.hostname(&format!("d-{n}")))
        })],
    )
}
