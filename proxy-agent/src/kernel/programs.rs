//! Loads the kernel half and keeps the pinned programs current.
//!
//! A program is replaced only if it differs: the kernel's tag (a digest of the instructions) of
//! the one just loaded against that of the pinned one. So an agent that starts again with the
//! same object changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::MapInfo;
use aya::programs::{Program, ProgramError, ProgramInfo};
use aya::{Ebpf, EbpfLoader};
use proxy_abi::ownership::{map, program};

use super::bpf;
use super::load;
use super::pins::Pins;

/// Every program of the kernel half.
pub const ALL: [&str; 12] = [
    program::FROM_POD,
    program::TO_POD,
    program::FROM_NETWORK,
    program::TO_NETWORK,
    program::CONNECT4,
    program::CONNECT6,
    program::SENDMSG4,
    program::SENDMSG6,
    program::RECVMSG4,
    program::RECVMSG6,
    program::GETPEERNAME4,
    program::GETPEERNAME6,
];

/// Every map of the kernel half.
pub const MAPS: [&str; 17] = [
    map::FRONTENDS,
    map::ENDPOINTS,
    map::FLOWS,
    map::OPENINGS,
    map::WAYS,
    map::SOCKET_PEERS,
    map::PODS,
    map::PACKET_PODS,
    map::HOST_PORTS,
    map::NODE_ADDRESSES,
    map::INSIDE,
    map::SOURCE_RANGES,
    map::UPLINKS,
    map::THIS_NODE,
    map::FRAGMENTS,
    map::AFFINITY,
    map::COUNTERS,
];

/// Sizes that the agent may choose when it creates a map; `None` is the object's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Entries of `flows`: two for each flow.
    pub flows: Option<u32>,
    /// Entries of `endpoints`.
    pub endpoints: Option<u32>,
    /// Entries of `frontends`.
    pub frontends: Option<u32>,
}

/// The kernel half cannot be loaded or pinned.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// The object file.
    #[error("cannot read the eBPF object {path} (built by `cargo xtask build`): {source}")]
    Object {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its maps.
    #[error("cannot create or reuse the maps in {pins}: {source}")]
    Maps {
        /// The folder of the pins.
        pins: PathBuf,
        /// Why not.
        source: Box<aya::EbpfError>,
    },
    /// A program that the object lacks.
    #[error("the eBPF object has no program {name}; it was built from another version")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A program that the kernel refuses.
    #[error("the kernel refuses program {name}: {source}")]
    Load {
        /// Its name.
        name: &'static str,
        /// The verifier's words.
        source: Box<ProgramError>,
    },
    /// A pin that cannot be made.
    #[error("cannot use the pin of program {name}: {reason}")]
    Pin {
        /// Its name.
        name: &'static str,
        /// Why not.
        reason: String,
    },
    /// The map that leads to programs of another version.
    #[error("cannot hand packets to the programs that were here before: {reason}")]
    Earlier {
        /// Why not.
        reason: String,
    },
}

/// A loaded kernel half, not attached anywhere.
pub struct Loaded {
    ebpf: Ebpf,
    loaded: BTreeMap<&'static str, Identity>,
}

/// What tells a program from others of its name.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    /// The kernel's digest of its instructions, which says nothing of its maps.
    tag: u64,
    /// The kernel's ids of its maps.
    maps: BTreeSet<u32>,
}

impl Identity {
    fn of(program: BorrowedFd<'_>, info: &ProgramInfo) -> io::Result<Self> {
        Ok(Self {
            tag: info.tag(),
            maps: bpf::maps_of(program)?,
        })
    }

    /// Whether another program does the same with those of `maps` that they use.
    fn equals(&self, other: &Self, maps: &BTreeSet<u32>) -> bool {
        let used = |one: &Self| one.maps.intersection(maps).copied().collect::<Vec<_>>();
        self.tag == other.tag && used(self) == used(other)
    }
}

/// A program whose pin is missing or holds something else than what was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outdated(pub &'static str);

/// Whether the maps are there, so that loading reuses them and changes nothing.
#[must_use]
pub fn maps_exist(pins: &Pins) -> bool {
    MAPS.iter().all(|name| pins.map(name).exists())
}

/// Loads every program; maps are reused where they are pinned and created and pinned otherwise.
///
/// # Errors
/// [`ProgramsError`].
pub fn load(object: &Path, pins: &Pins, sizes: Sizes) -> Result<Loaded, ProgramsError> {
    let bytes = fs::read(object).map_err(|source| ProgramsError::Object {
        path: object.to_path_buf(),
        source,
    })?;
    let mut loader = EbpfLoader::new();
    for name in MAPS {
        loader.map_pin_path(name, pins.map(name));
    }
    for (name, size) in [
        (map::FLOWS, sizes.flows),
        (map::ENDPOINTS, sizes.endpoints),
        (map::FRONTENDS, sizes.frontends),
    ] {
        if let Some(size) = size {
            loader.map_max_entries(name, size);
        }
    }
    let mut ebpf = loader.load(&bytes).map_err(|source| ProgramsError::Maps {
        pins: pins.maps(),
        source: Box::new(source),
    })?;
    let mut loaded = BTreeMap::new();
    for name in ALL {
        let program = ebpf
            .program_mut(name)
            .ok_or(ProgramsError::Missing { name })?;
        let identity = load_one(program).map_err(|source| ProgramsError::Load {
            name,
            source: Box::new(source),
        })?;
        loaded.insert(name, identity);
    }
    Ok(Loaded { ebpf, loaded })
}

fn load_one(program: &mut Program) -> Result<Identity, ProgramError> {
    load::load(program)?;
    let info = program.info()?;
    Ok(Identity::of(program.fd()?.as_fd(), &info)?)
}

impl Loaded {
    /// The programs whose pins are missing, differ, or use other maps than those that are pinned
    /// (whose pins somebody removed, say).
    #[must_use]
    pub fn outdated(&self, pins: &Pins) -> Vec<Outdated> {
        let maps: BTreeSet<u32> = MAPS.iter().filter_map(|name| map_id(pins, name)).collect();
        let current = |name: &str| {
            let loaded = self.loaded.get(name)?;
            let pinned = bpf::open_pin(&pins.program(name)).ok()?;
            let info = pinned_info(pins, name)?;
            let pinned = Identity::of(pinned.as_fd(), &info).ok()?;
            pinned.equals(loaded, &maps).then_some(())
        };
        ALL.into_iter()
            .filter(|name| current(name).is_none())
            .map(Outdated)
            .collect()
    }

    /// Pins a loaded program in the place of what is pinned under its name, in one step, so that
    /// a CNI ADD at any moment finds one or the other.
    ///
    /// # Errors
    /// [`ProgramsError::Pin`].
    pub fn pin(&mut self, outdated: Outdated, pins: &Pins) -> Result<(), ProgramsError> {
        let Outdated(name) = outdated;
        let failed = |reason: String| ProgramsError::Pin { name, reason };
        let program = self
            .ebpf
            .program_mut(name)
            .ok_or(ProgramsError::Missing { name })?;
        // (No dot in the name: bpffs reserves those and answers EPERM.)
        let fresh = pins.program(&format!("{name}-new"));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(error.to_string()));
            }
            _ => {}
        }
        program
            .pin(&fresh)
            .map_err(|error| failed(error.to_string()))?;
        fs::rename(&fresh, pins.program(name)).map_err(|error| failed(error.to_string()))?;
        Ok(())
    }

    /// The loaded object.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

/// Opens the program pinned under a name.
///
/// # Errors
/// [`ProgramsError::Pin`].
pub fn open(pins: &Pins, name: &'static str) -> Result<OwnedFd, ProgramsError> {
    let failed = |error: io::Error| ProgramsError::Pin {
        name,
        reason: error.to_string(),
    };
    bpf::open_pin(&pins.program(name)).map_err(failed)
}

/// The kernel's id of the program pinned under a name.
#[must_use]
pub fn current_id(pins: &Pins, name: &str) -> Option<u32> {
    pinned_info(pins, name).map(|info| info.id())
}

fn map_id(pins: &Pins, name: &str) -> Option<u32> {
    MapInfo::from_pin(pins.map(name)).ok().map(|info| info.id())
}

fn pinned_info(pins: &Pins, name: &str) -> Option<ProgramInfo> {
    ProgramInfo::from_pin(pins.program(name)).ok()
}
