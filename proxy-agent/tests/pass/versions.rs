//! An agent of another version: maps in another layout, and back.

use std::fs;
use std::os::fd::AsFd as _;

use aya::maps::MapData;
use proxy_agent::args::Options;
use proxy_agent::kernel::bpf;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::kernel::walk;
use proxy_agent::pass::Wish;

use crate::place::{Place, cluster, full, full_at_last, here};

/// A layout that no map has yet.
const OTHER: u32 = 99;

/// What another version has in another layout: a map that the plan fills, and one that only
/// programs write.
fn other_layouts(options: &mut Options) {
    let layouts = ["frontends", "flows"].map(|name| (name.to_owned(), OTHER));
    options.map_layouts = layouts.to_vec();
}

fn names(place: &Place, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(place.pin(folder)).expect("pins");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("a pin")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_new_layout_takes_over_what_the_old_one_held_and_a_downgrade_takes_it_back() {
    let Some(place) = Place::new("layout") else {
        return;
    };
    let index = cluster();
    full(&mut place.agent(), &index).await;
    let before = (names(&place, "maps"), names(&place, "links"));
    let pins = Pins::below(&place.options.bpffs).expect("a bpffs");
    let flows = MapData::from_pin(pins.map("flows")).expect("the map");
    let (key, value) = {
        let info = flows.info().expect("its sizes");
        let bytes = |size: u32| vec![7_u8; size as usize];
        (bytes(info.key_size()), bytes(info.value_size()))
    };
    bpf::insert_new(flows.fd().as_fd(), &key, &value).expect("a conversation");

    let mut newer = place.agent_with(other_layouts);
    let newer_pins = pins.clone().with_layouts([("flows".to_owned(), OTHER)]);
    let count = |pins: &Pins| walk::count(pins, "flows").expect("counted").used;
    assert_eq!(count(&newer_pins), 1, "there before a program uses it");
    // What comes until the programs change over comes along, too.
    let mut later = key.clone();
    later[0] = 8;
    bpf::insert_new(flows.fd().as_fd(), &later, &value).expect("another");
    drop(flows);
    let plan = full_at_last(&mut newer, &index).await;
    assert_eq!(plan.services.len(), 3, "frontends are written anew: {plan}");
    assert_eq!(
        plan.programs.len(),
        8,
        "all that use one of the two: {plan}"
    );
    assert_eq!(plan.earlier.len(), 3, "slots with their frontends: {plan}");
    assert_eq!(count(&newer_pins), 2);
    let maps = names(&place, "maps");
    assert!(maps.contains(&format!("flows-{OTHER}")), "{maps:?}");
    assert!(!maps.contains(&"flows".to_owned()), "{maps:?}");
    assert_eq!(maps.len(), before.0.len());
    assert_eq!(names(&place, "links"), before.1);
    let again = full(&mut newer, &index).await;
    assert!(again.is_empty(), "{again}");

    let mut older = place.agent();
    full_at_last(&mut older, &index).await;
    assert_eq!((names(&place, "maps"), names(&place, "links")), before);
    assert_eq!(count(&pins), 2, "nothing is lost on the way back");
    let (diff, _) = older.diff(Wish::of(&index, &here())).await.expect("a diff");
    assert!(diff.is_empty(), "{diff}");
}
