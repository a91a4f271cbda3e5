//! The address files on a real file system: order, exclusion, and what a crash leaves.

use std::collections::BTreeSet;
use std::thread;

use super::draft::DRAFT;
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
        let pool = Pool {
            ranges: ranges.clone(),
            wish: None,
        };
        self.take_from(&[pool], container)
            .map(|taken| taken[0].clone())
    }

    fn take_from(&self, pools: &[Pool], container: &str) -> Result<Vec<String>, Error> {
        let owner = mk_attachment(container, "eth0");
        let taken = self.leases().acquire(pools, &owner, None)?;
        Ok(taken.iter().map(IpAddr::to_string).collect())
    }

    /// As DEL does; says how many there were.
    fn release(&self, container: &str) -> usize {
        let owner = mk_attachment(container, "eth0");
        let theirs = self.leases().of_owner(&owner).unwrap();
        self.leases().release(&theirs).unwrap();
        theirs.len()
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
fn a_lease_that_changed_hands_is_not_released() {
    let fixture = Fixture::new();
    fixture.put("10.0.0.2", "c1\r\neth0");
    fixture.put("10.0.0.3", "c1\r\neth0");
    let owner = mk_attachment("c1", "eth0");
    let theirs = fixture.leases().of_owner(&owner).unwrap();
    fixture.put("10.0.0.3", "c2\r\neth0");
    fixture.leases().release(&theirs).unwrap();
    assert_eq!(
        fixture.names(),
        ["10.0.0.3", "lock"].map(String::from).into()
    );
}

#[test]
fn a_pod_gets_an_address_from_each_pool_or_none_at_all() {
    let fixture = Fixture::new();
    let pool = |subnet, wish: Option<&str>| Pool {
        ranges: mk_set(&[subnet]),
        wish: wish.map(|address| address.parse().unwrap()),
    };
    let both = [pool("10.0.0.0/29", None), pool("fd00::/125", None)];
    let taken = fixture.take_from(&both, "c1").unwrap();
    assert_eq!(taken, ["10.0.0.2", "fd00::2"]);
    assert_eq!(
        fs::read_to_string(fixture.folder.join("last_reserved_ip.1")).unwrap(),
        "fd00::2"
    );
    let wished = [
        pool("10.0.0.0/29", None),
        pool("fd00::/125", Some("fd00::6")),
    ];
    let taken = fixture.take_from(&wished, "c2").unwrap();
    assert_eq!(taken, ["10.0.0.3", "fd00::6"]);
    let before = fixture.names();
    let refused = fixture.take_from(&wished, "c3").unwrap_err();
    assert!(refused.to_string().contains("fd00::6"), "{refused}");
    assert_eq!(fixture.names(), before, "nothing of the other pool either");
    assert_eq!(fixture.release("c2"), 2);
    assert_eq!(fixture.take_from(&wished, "c3").unwrap()[1], "fd00::6");
    assert_eq!(
        fixture.take_from(&both, "c4").unwrap()[1],
        "fd00::3",
        "a wish leaves the round where it was"
    );
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
