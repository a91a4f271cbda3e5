//! The address files on a real file system: order, exclusion, and what a crash leaves.

use std::collections::BTreeSet;
use std::thread;

use super::*;
use crate::attachment::tests::mk_attachment;
use crate::range::tests::mk_set;

struct Fixture {
    _temporary: tempfile::TempDir,
    folder: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("networks/flatnet");
        Self {
            _temporary: temporary,
            folder,
        }
    }

    fn leases(&self) -> Leases<'_> {
        Leases::of(&self.folder)
    }

    fn take(&self, ranges: &RangeSet, container: &str) -> Result<String, Error> {
        self.leases()
            .acquire(0, ranges, &mk_attachment(container, "eth0"))
            .map(|ip| ip.to_string())
    }

    fn release(&self, container: &str) -> usize {
        self.leases()
            .release(&mk_attachment(container, "eth0"))
            .unwrap()
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn put(&self, name: &str, content: &str) {
        fs::create_dir_all(&self.folder).unwrap();
        fs::write(self.folder.join(name), content).unwrap();
    }
}

#[test]
fn files_are_as_host_local_writes_them() {
    let fixture = Fixture::new();
    let address = fixture.take(&mk_set(&["10.0.0.0/24"]), "c1").unwrap();
    assert_eq!(
        address, "10.0.0.2",
        "what others keep for a gateway comes last"
    );
    let expected = ["10.0.0.2", "last_reserved_ip.0", "lock"].map(String::from);
    assert_eq!(fixture.names(), expected.into());
    assert_eq!(
        fs::read_to_string(fixture.folder.join("10.0.0.2")).unwrap(),
        "c1\r\neth0"
    );
    assert_eq!(
        fs::read_to_string(fixture.folder.join("last_reserved_ip.0")).unwrap(),
        "10.0.0.2"
    );
}

#[test]
fn a_freed_address_rests() {
    let fixture = Fixture::new();
    let ranges = mk_set(&["10.0.0.0/29"]);
    for (step, expected) in [
        "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2",
    ]
    .iter()
    .enumerate()
    {
        let container = format!("c{step}");
        assert_eq!(fixture.take(&ranges, &container).unwrap(), *expected);
        assert_eq!(fixture.release(&container), 1);
    }
}

#[test]
fn the_cursor_is_the_whole_address_also_when_it_gets_shorter() {
    let fixture = Fixture::new();
    fixture.put("last_reserved_ip.0", "10.0.0.254");
    assert_eq!(
        fixture.take(&mk_set(&["10.0.0.0/24"]), "c1").unwrap(),
        "10.0.0.2"
    );
    assert_eq!(
        fs::read_to_string(fixture.folder.join("last_reserved_ip.0")).unwrap(),
        "10.0.0.2"
    );
}

#[test]
fn a_full_range_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    let ranges = mk_set(&["10.0.0.0/30"]);
    assert_eq!(fixture.take(&ranges, "c0").unwrap(), "10.0.0.2");
    assert_eq!(fixture.take(&ranges, "c1").unwrap(), "10.0.0.1");
    let refused = fixture.take(&ranges, "c2").unwrap_err();
    assert!(matches!(refused, Error::Exhausted { .. }));
    assert!(
        refused.to_string().contains("10.0.0.1-10.0.0.2"),
        "{refused}"
    );
    assert!(!fixture.names().contains(DRAFT));
    fixture.release("c0");
    assert_eq!(fixture.take(&ranges, "c2").unwrap(), "10.0.0.2");
}

#[test]
fn parallel_callers_never_share_an_address() {
    let fixture = Fixture::new();
    let ranges = mk_set(&["10.0.0.0/25"]);
    let taken: Vec<String> = thread::scope(|scope| {
        let (fixture, ranges) = (&fixture, &ranges);
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let take = move |n| fixture.take(ranges, &format!("w{worker}-{n}")).unwrap();
                scope.spawn(move || (0..15).map(take).collect::<Vec<_>>())
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 120);
    thread::scope(|scope| {
        for worker in 0..8 {
            let fixture = &fixture;
            scope.spawn(move || {
                (0..15).for_each(|n| assert_eq!(fixture.release(&format!("w{worker}-{n}")), 1))
            });
        }
    });
    assert_eq!(
        fixture.names(),
        ["last_reserved_ip.0", "lock"].map(String::from).into()
    );
}

#[test]
fn release_takes_what_is_the_owners_and_nothing_else() {
    let fixture = Fixture::new();
    fixture.put("10.0.0.2", "c1\r\neth0");
    fixture.put("10.0.0.3", "c1\r\neth1");
    fixture.put("10.0.0.4", "c10\r\neth0");
    fixture.put("10.0.0.5", "c1\r\neth0\n");
    fixture.put("fd00::5", "c1\r\neth0");
    fixture.put("notes.txt", "c1\r\neth0");
    assert_eq!(
        fixture.release("c1"),
        3,
        "both families, trailing white space as host-local trims it"
    );
    assert_eq!(fixture.release("c1"), 0);
    let rest = ["10.0.0.3", "10.0.0.4", "lock", "notes.txt"].map(String::from);
    assert_eq!(fixture.names(), rest.into());
}

#[test]
fn leases_of_an_old_host_local_are_released_only_when_there_are_no_new_ones() {
    let fixture = Fixture::new();
    fixture.put("10.0.0.2", "c1\r\neth0");
    fixture.put("10.0.0.3", "c1");
    assert_eq!(fixture.release("c1"), 1);
    assert!(fixture.names().contains("10.0.0.3"));
    assert_eq!(fixture.release("c1"), 1);
}

#[test]
fn release_without_a_folder_makes_none() {
    let fixture = Fixture::new();
    assert_eq!(fixture.release("c1"), 0);
    assert!(!fixture.folder.exists());
}

#[test]
fn what_a_crash_leaves_does_no_harm() {
    let fixture = Fixture::new();
    let ranges = mk_set(&["10.0.0.0/29"]);
    // host-local died between creating and writing; the cursor was cut off.
    fixture.put("10.0.0.2", "");
    fixture.put("last_reserved_ip.0", "10.0.");
    assert_eq!(fixture.take(&ranges, "c1").unwrap(), "10.0.0.2");
    // We died between link and remove: the draft is a second name of c1's lease.
    fs::hard_link(fixture.folder.join("10.0.0.2"), fixture.folder.join(DRAFT)).unwrap();
    assert_eq!(fixture.take(&ranges, "c2").unwrap(), "10.0.0.3");
    assert_eq!(
        fs::read_to_string(fixture.folder.join("10.0.0.2")).unwrap(),
        "c1\r\neth0"
    );
    // We died before link, or before the cursor moved on.
    fixture.put(DRAFT, "c9\r\neth0");
    fixture.put("last_reserved_ip.0", "10.0.0.1");
    assert_eq!(fixture.release("c9"), 0);
    assert!(!fixture.names().contains(DRAFT));
    assert_eq!(fixture.take(&ranges, "c3").unwrap(), "10.0.0.4");
}

#[test]
fn giving_back_checks_the_owner() {
    let fixture = Fixture::new();
    fixture.put("10.0.0.2", "c1\r\neth0");
    let address = "10.0.0.2".parse().unwrap();
    let foreign = fixture
        .leases()
        .give_back(address, &mk_attachment("c2", "eth0"));
    assert!(matches!(foreign, Err(Error::ForeignLease(_))));
    fixture
        .leases()
        .give_back(address, &mk_attachment("c1", "eth0"))
        .unwrap();
    assert!(!fixture.names().contains("10.0.0.2"));
}

#[test]
fn an_unwritable_folder_is_named() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.folder.parent().unwrap()).unwrap();
    fs::write(&fixture.folder, "a file where the folder should be").unwrap();
    let refused = fixture.take(&mk_set(&["10.0.0.0/24"]), "c1").unwrap_err();
    assert!(
        refused.to_string().contains("networks/flatnet"),
        "{refused}"
    );
}
