//! What an agent of another version left pinned: maps in other layouts, programs that are no more.
//!
//! A map whose layout changed is a new map, beside the old one that the running programs use. The
//! plan fills it with what the agent knows, and what only the kernel knew (conversations) is taken
//! over from the old one as far as its entries have the same size: once before the new programs
//! run, and once after, for what came meanwhile. Then the old pins go.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData, MapError, MapInfo};
use proxy_abi::ownership::map;

use super::maps::MapsError;
use super::pins::Pins;
use super::programs::Loaded;
use super::{bpf, programs, walk};

/// The maps that neither the plan nor a cache's next miss fills, in the order of their
/// dependence: pods are written by the CNI plugin, the rest by programs. A conversation moves from
/// `openings` to `flows`: in this order one that does so meanwhile is found in one of them.
const CARRIED: [&str; 8] = [
    map::PODS,
    map::PACKET_PODS,
    map::HOST_PORTS,
    map::OPENINGS,
    map::FLOWS,
    map::SOCKET_PEERS,
    map::AFFINITY,
    map::FRAGMENTS,
];

/// A pin that this version has no use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned(PathBuf);

impl fmt::Display for Pinned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "remove the pin {} of another version",
            self.0.display()
        )
    }
}

/// The pins of maps and programs that this version has no use for.
///
/// # Errors
/// If the folders cannot be listed. One that is not there holds none.
pub fn observe(pins: &Pins) -> io::Result<Vec<Pinned>> {
    let maps = programs::MAPS.into_iter().map(|name| pins.map(name));
    let programs = programs::ALL.into_iter().map(|name| pins.program(name));
    let ours: BTreeSet<PathBuf> = maps.chain(programs).collect();
    let mut found = Vec::new();
    for folder in [pins.maps(), pins.programs()] {
        match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries? {
                    found.push(entry?.path());
                }
            }
        }
    }
    found.retain(|path| !ours.contains(path));
    found.sort();
    Ok(found.into_iter().map(Pinned).collect())
}

/// Takes entries of maps in other layouts over where the map of this layout lacks them. Returns
/// how many.
///
/// # Errors
/// [`MapsError`], naming the map.
pub fn carry(pins: &Pins, earlier: &[Pinned]) -> Result<u64, MapsError> {
    let mut carried = 0;
    for name in CARRIED {
        let same = |pinned: &&Pinned| map_of(&pinned.0) == Some(name);
        for Pinned(from) in earlier.iter().filter(same) {
            let copied = MapData::from_pin(from)
                .and_then(|from| copy(&from, &MapData::from_pin(pins.map(name))?));
            carried += copied.map_err(failed(name))?;
        }
    }
    Ok(carried)
}

/// Takes entries of maps over whose pins are gone (a bpffs that was mounted anew) and which only
/// the programs and this agent still hold. Returns how many.
///
/// # Errors
/// [`MapsError`], naming the map.
pub fn carry_unpinned(lost: &mut Loaded, pins: &Pins) -> Result<u64, MapsError> {
    let mut carried = 0;
    for name in CARRIED {
        let Some(Map::HashMap(from) | Map::LruHashMap(from)) = lost.ebpf().map(name) else {
            continue;
        };
        let copied = MapData::from_pin(pins.map(name)).and_then(|to| copy(from, &to));
        carried += copied.map_err(failed(name))?;
    }
    Ok(carried)
}

fn failed(name: &str) -> impl FnOnce(MapError) -> MapsError {
    let doing = format!("take over map {name}");
    move |source| MapsError::new(doing, source)
}

/// The map that a pin is of, whatever its layout.
fn map_of(pin: &Path) -> Option<&str> {
    let file = pin.file_name()?.to_str()?;
    Some(file.split_once('-').map_or(file, |(name, _)| name))
}

fn copy(from: &MapData, to: &MapData) -> Result<u64, MapError> {
    let sizes = |info: MapInfo| (info.key_size(), info.value_size());
    if sizes(from.info()?) != sizes(to.info()?) {
        return Ok(0);
    }
    let mut carried = 0;
    let target = to.fd().as_fd();
    walk::walk(from, |key, value| {
        // One that is there is newer; one that finds no room begins anew.
        carried += u64::from(bpf::insert_new(target, key, value).is_ok());
    })?;
    Ok(carried)
}

/// Removes pins. What they held goes when nothing else uses it.
///
/// # Errors
/// The first that could not be removed; the others were tried.
pub fn remove(earlier: &[Pinned]) -> io::Result<()> {
    let remove = |Pinned(path): &Pinned| match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    earlier.iter().map(remove).fold(Ok(()), io::Result::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_of_its_map_in_any_layout() {
        for (pin, expected) in [
            ("/x/maps/flows", Some("flows")),
            ("/x/maps/flows-12", Some("flows")),
            ("/x/maps/host_ports-2", Some("host_ports")),
            ("/", None),
        ] {
            assert_eq!(map_of(Path::new(pin)), expected, "{pin}");
        }
    }

    #[test]
    fn a_conversation_that_moves_meanwhile_is_found() {
        let place = |wanted| CARRIED.iter().position(|name| *name == wanted).unwrap();
        assert!(place(map::OPENINGS) < place(map::FLOWS), "{CARRIED:?}");
    }

    #[test]
    fn every_map_has_a_layout() {
        let known: BTreeSet<_> = map::LAYOUTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, programs::MAPS.map(map::owner).into());
    }

    #[test]
    fn what_this_version_does_not_pin_is_anothers() {
        let folder = tempfile::tempdir().unwrap();
        let pins = Pins::at(folder.path()).with_layouts([("flows".to_owned(), 3)]);
        assert_eq!(observe(&pins).unwrap(), [], "no folders yet");
        pins.create().unwrap();
        for path in [
            pins.map("flows"),
            pins.map("pods"),
            pins.maps().join("flows"),
            pins.programs().join("from_pod"),
            pins.programs().join("no_more"),
        ] {
            fs::write(path, "").unwrap();
        }
        let found = observe(&pins).unwrap();
        let names: Vec<_> = found.iter().map(|one| one.0.file_name().unwrap()).collect();
        assert_eq!(names, ["flows", "no_more"]);
        remove(&found).unwrap();
        remove(&found).unwrap();
        assert_eq!(observe(&pins).unwrap(), []);
    }
}
