//! What the kernel's state stands on goes away and comes back, or others write into it: the next
//! pass puts it right.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::maps::MapData;
use cluster_model::Protocol;
use cluster_model::testing::mk_service;
use proxy_abi::{Endpoint, FrontendKey, Ip, Port};
use proxy_agent::kernel::maps::ServiceMaps;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::kernel::{bpf, filesystem, walk};
use proxy_agent::pass::{Wish, wishes};
use proxy_agent::plan::services;

use crate::place::{Place, cluster, full, here};

#[tokio::test]
async fn a_bpffs_that_was_mounted_anew_is_filled_again() {
    let Some(place) = Place::new("remounted") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    let links = place.pin("links");
    let count = || fs::read_dir(&links).expect("links").count();
    let before = count();
    // What the CNI plugin entered, which nobody else knows.
    let bpffs = &place.options.bpffs;
    let pods = Pins::below(bpffs).expect("a bpffs").map("pods");
    insert_any(&pods);
    umount(bpffs);
    let missing = agent.full(Wish::of(&index, &here())).await;
    let missing = missing.expect_err("no bpffs").to_string();
    assert!(missing.contains("is no bpffs; mount one with"), "{missing}");
    filesystem::ensure_bpffs(bpffs).expect("mounted");
    let plan = full(&mut agent, &index).await;
    assert_eq!(plan.programs.len(), 12, "{plan}");
    assert_eq!(count(), before, "{plan}");
    let pins = Pins::below(bpffs).expect("a bpffs");
    assert_eq!(walk::count(&pins, "pods").expect("counted").used, 1);
    assert!(full(&mut agent, &index).await.is_empty());
}

/// Enters something into a map.
fn insert_any(pin: &Path) {
    let map = MapData::from_pin(pin).expect("the map");
    let info = map.info().expect("its sizes");
    let bytes = |size: u32| vec![7_u8; size as usize];
    let (key, value) = (bytes(info.key_size()), bytes(info.value_size()));
    bpf::insert_new(map.fd().as_fd(), &key, &value).expect("an entry");
}

fn umount(path: &Path) {
    let path = bpf::c_path(path).expect("no NUL");
    // SAFETY: the string is NUL-terminated and alive for the call.
    let result = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[tokio::test]
async fn a_cgroup_that_was_made_anew_runs_the_socket_programs_again() {
    let Some(place) = Place::new("new-cgroup") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    let cgroup = place.options.cgroup_root.clone().expect("one of its own");
    fs::remove_dir(&cgroup).expect("nobody is in it");
    let missing = agent.full(Wish::of(&index, &here())).await;
    let missing = missing.expect_err("no cgroup").to_string();
    assert!(missing.contains("cannot use cgroup"), "{missing}");
    assert!(!agent.knows_services(), "a pass over all of them is owed");
    fs::create_dir(&cgroup).expect("made");
    let plan = full(&mut agent, &index).await;
    let attached = plan.to_string();
    assert_eq!(attached.matches("attach ").count(), 8, "{attached}");
    assert_eq!(plan.repairs()[3], ("link", 16), "each off and on: {plan}");
    assert!(full(&mut agent, &index).await.is_empty());
}

#[tokio::test]
async fn what_others_write_into_maps_is_put_right() {
    let Some(place) = Place::new("changed-maps") else {
        return;
    };
    let index = cluster();
    let mut agent = place.agent();
    full(&mut agent, &index).await;
    let pins = Pins::below(&place.options.bpffs).expect("a bpffs");
    let mut maps = ServiceMaps::open(&pins).expect("the maps");
    let held = maps.observe().expect("read").frontends;
    let (key, one) = held.iter().find(|(key, _)| !key.is_whole()).expect("one");
    let stranger = Endpoint::new(Ip::v4([10, 9, 9, 9]), Port::new(9));
    for operation in [
        services::Operation::WriteList {
            first_slot: one.frontend.offer.inside.first_slot,
            endpoints: [stranger].as_slice().into(),
        },
        services::Operation::RemoveFrontend {
            key: FrontendKey::whole(key.address),
        },
    ] {
        maps.apply(&operation).expect("written");
    }
    let plan = full(&mut agent, &index).await;
    assert!(!plan.services.is_empty(), "{plan}");
    let (what, count) = plan.repairs()[1];
    assert_eq!((what, count), ("service", plan.len()), "{plan}");
    let now = maps.observe().expect("read").frontends;
    assert_eq!(now.len(), held.len());
    assert_eq!(now[key].inside, one.inside);
    assert!(full(&mut agent, &index).await.is_empty());
}

#[tokio::test]
async fn an_audit_beside_the_passes_sees_what_others_write_and_not_what_the_agent_does() {
    let Some(place) = Place::new("audit") else {
        return;
    };
    let mut index = cluster();
    let mut agent = place.agent();
    assert!(agent.begin_audit().is_none(), "nothing is written yet");
    full(&mut agent, &index).await;
    let look = agent.begin_audit().expect("an audit");
    let observed = look.take().expect("read");
    assert!(agent.end_audit(&observed));
    assert!(!agent.end_audit(&observed), "it has ended");

    let look = agent.begin_audit().expect("an audit");
    index.take_dirty();
    let dns = mk_service("default", "dns").cluster_ip("10.96.0.10");
    index.apply_service(dns.port("", Protocol::Udp, 53));
    let dirty = index.take_dirty();
    let wanted = wishes(&index, dirty.services.iter(), &here());
    assert_eq!(agent.changed(wanted).expect("a pass"), 2);
    assert!(agent.end_audit(&observed), "as it was before the change");
    drop(look);
    let look = agent.begin_audit().expect("an audit");
    let observed = look.take().expect("read");
    assert!(agent.end_audit(&observed), "and after it");

    let pins = Pins::below(&place.options.bpffs).expect("a bpffs");
    let mut maps = ServiceMaps::open(&pins).expect("the maps");
    let key = *observed.frontends.keys().next().expect("one");
    let removed = services::Operation::RemoveFrontend { key };
    maps.apply(&removed).expect("removed");
    let look = agent.begin_audit().expect("an audit");
    let observed = look.take().expect("read");
    assert!(!agent.end_audit(&observed));
    assert_eq!(full(&mut agent, &index).await.services.len(), 1);
}
