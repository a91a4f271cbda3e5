//! A node that starts anew, without starting one anew: boots are values.

use super::*;
use crate::attachment::tests::mk_attachment;
use crate::lease::Pool;
use crate::range::tests::mk_set;

/// Well before and well after now, in seconds: files are made at the time of the test.
const AGO: i64 = -60;
const AHEAD: i64 = 60;

fn mk_boot(id: &str, began: i64) -> Boot {
    let distance = Duration::from_secs(began.unsigned_abs());
    Boot {
        id: id.to_owned(),
        began: if began < 0 {
            SystemTime::now() - distance
        } else {
            SystemTime::now() + distance
        },
    }
}

fn take(folder: &std::path::Path, container: &str, boot: &Boot) -> String {
    let pool = Pool {
        ranges: mk_set(&["10.0.0.0/29"]),
        wish: None,
    };
    let owner = mk_attachment(container, "eth0");
    let taken = Leases::of(folder).acquire(&[pool], &owner, Some(boot));
    taken.unwrap()[0].to_string()
}

/// Owners of what is leased.
fn owners(folder: &std::path::Path) -> Vec<String> {
    let leases = Leases::of(folder).list().unwrap();
    let mut owners: Vec<_> = leases.into_iter().map(|lease| lease.owner).collect();
    owners.sort();
    owners
}

#[test]
fn leases_of_an_earlier_boot_go_with_the_first_add() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    take(folder, "c1", &mk_boot("first", AGO));
    take(folder, "c2", &mk_boot("first", AGO));
    assert_eq!(owners(folder), ["c1\r\neth0", "c2\r\neth0"]);
    let second = mk_boot("second", AHEAD);
    assert_eq!(take(folder, "c3", &second), "10.0.0.4", "the round goes on");
    take(folder, "c4", &second);
    assert_eq!(owners(folder), ["c3\r\neth0", "c4\r\neth0"]);
}

#[test]
fn a_lease_that_host_local_made_since_the_boot_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    take(folder, "ours", &mk_boot("first", AGO));
    fs::write(folder.join("10.0.0.6"), "theirs\r\neth0").unwrap();
    take(folder, "late", &mk_boot("second", AGO));
    assert_eq!(
        owners(folder),
        ["late\r\neth0", "ours\r\neth0", "theirs\r\neth0"],
        "none is older than the boot"
    );
}

#[test]
fn a_node_that_comes_from_host_local_keeps_all_leases() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("10.0.0.6"), "theirs\r\neth0").unwrap();
    take(folder, "ours", &mk_boot("first", AHEAD));
    assert_eq!(owners(folder), ["ours\r\neth0", "theirs\r\neth0"]);
    // A note cut off by a crash is no note.
    fs::write(folder.join(BOOT_ID), "").unwrap();
    take(folder, "more", &mk_boot("second", AHEAD));
    assert_eq!(owners(folder).len(), 3);
    assert_eq!(fs::read_to_string(folder.join(BOOT_ID)).unwrap(), "second");
}

#[test]
fn this_boot_began_before_now() {
    let boot = Boot::current().unwrap();
    assert!(boot.began < SystemTime::now());
    assert_eq!(boot.id.len(), 36, "{}", boot.id);
}
