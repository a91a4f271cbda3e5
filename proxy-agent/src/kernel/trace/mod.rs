//! Events of packets, from the kernel's own trace points and from our programs at their work: eBPF
//! programs that are loaded for `flatnet trace` and gone when it ends. While nobody traces there is
//! nothing of this in the kernel, so the data path costs the same.

mod follow;
mod hooks;
pub mod types;
mod wanted;

pub use follow::{Follow, Taken};
pub use wanted::Wanted;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, RingBuf};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader, Pod};
use proxy_abi::ownership::map;
use proxy_abi::trace::{Counts, Event, Setup, names};
use proxy_abi::{Counter, Ip};

use super::load;
use super::pins::Pins;
use super::programs::ProgramsError;
use types::TypesError;

/// The name of the object, beside that of the data path.
const OBJECT: &str = "flatnet-trace.bpf.o";

/// There will be no events.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The object file cannot be read.
    #[error("cannot read the eBPF object {path} (built by `cargo xtask build`): {source}")]
    Read {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what was expected, or the kernel refuses its maps.
    #[error("the trace programs cannot be loaded: {0}")]
    Object(String),
    /// The kernel does not say how it lays out a packet.
    #[error(transparent)]
    Types(#[from] TypesError),
    /// A trace point of the kernel cannot be watched.
    #[error("cannot watch the kernel's trace point {name}: {source}")]
    Point {
        /// Its name.
        name: &'static str,
        /// Why not.
        source: Box<ProgramError>,
    },
    /// A packet program cannot be watched.
    #[error("cannot watch program {target}: {source}")]
    Program {
        /// Its name.
        target: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A packet program is not pinned.
    #[error(transparent)]
    Pin(#[from] ProgramsError),
    /// A map cannot be written.
    #[error("cannot say which packets are wanted: {0}")]
    Map(#[from] MapError),
}

/// The trace programs at work; they are gone with this value.
pub struct Tracer {
    /// Why our own programs are not watched at their work, where the kernel refuses that: there are
    /// events of the kernel alone.
    pub unwatched: Option<TraceError>,
    // Links before maps: nobody writes any more when the maps go.
    _hooks: Vec<OwnedFd>,
    events: RingBuf<MapData>,
    ebpf: Ebpf,
}

impl Tracer {
    /// Loads and attaches them. `programs` is where the data path's object is; theirs is beside
    /// it. Only events of the network namespaces with these inode numbers are told.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn start(
        programs: &Path,
        pins: &Pins,
        wanted: &Wanted,
        spaces: &[u32],
    ) -> Result<Self, TraceError> {
        let path = programs.with_file_name(OBJECT);
        let bytes = fs::read(&path).map_err(|source| TraceError::Read { path, source })?;
        let mut loader = EbpfLoader::new();
        loader.map_pin_path(map::COUNTERS, pins.map(map::COUNTERS));
        let mut ebpf = loader
            .load(&bytes)
            .map_err(|error| TraceError::Object(error.to_string()))?;
        say(&mut ebpf, wanted, spaces)?;
        let (hooks, unwatched) = match hooks::watch(&bytes, &ebpf, pins) {
            Ok(hooks) => (hooks, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let points: &[&'static str] = match wanted.only_drops {
            true => &[names::FREED],
            false => &[names::FREED, names::RECEIVED, names::SENT],
        };
        for name in points {
            point(&mut ebpf, name)?;
        }
        let events = taken(&mut ebpf, names::EVENTS)?;
        Ok(Self {
            unwatched,
            _hooks: hooks,
            events: RingBuf::try_from(events)?,
            ebpf,
        })
    }

    /// Events for which there was no room so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let map = self.ebpf.map(names::LOST);
        let lost = map.and_then(|map| PerCpuArray::<_, u64>::try_from(map).ok());
        let counts = lost.and_then(|lost| lost.get(&0, 0).ok());
        counts.map_or(0, |counts| counts.iter().sum())
    }
}

/// The events that have not been taken yet; there may be more later.
impl Iterator for Tracer {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let item = self.events.next()?;
        // SAFETY: the programs put whole events into the ring, which are plain numbers.
        (item.len() >= size_of::<Event>())
            .then(|| unsafe { item.as_ptr().cast::<Event>().read_unaligned() })
    }
}

/// Tells the programs which packets are wanted.
fn say(ebpf: &mut Ebpf, wanted: &Wanted, spaces: &[u32]) -> Result<(), TraceError> {
    let addresses = wanted.addresses.iter().map(|address| Ip::from(*address));
    fill(ebpf, names::ADDRESSES, addresses)?;
    fill(
        ebpf,
        names::PORTS,
        wanted.ports.iter().copied().map(u32::from),
    )?;
    fill(ebpf, names::SPACES, spaces.iter().copied())?;
    let kernel = types::kernel()?;
    let setup = Setup {
        layout: kernel.layout,
        flags: wanted.flags(),
        protocol: wanted.protocol.unwrap_or(0).into(),
        dropped_by_program: ["TC_INGRESS", "TC_EGRESS"].map(|name| kernel.number(name)),
    };
    let mut map: Array<_, Setup> = Array::try_from(named(ebpf, names::SETUP)?)?;
    map.set(0, setup, 0)?;
    note_counters(ebpf)
}

/// The counters as they are now, so that the first drop is told apart from those before it.
fn note_counters(ebpf: &mut Ebpf) -> Result<(), TraceError> {
    let counters = PerCpuArray::<_, u64>::try_from(named(ebpf, map::COUNTERS)?)?;
    let values: Vec<_> = (0..Counter::COUNT)
        .map(|index| counters.get(&index, 0))
        .collect::<Result<_, _>>()?;
    let mut now = vec![Counts::default(); values.first().map_or(0, |of_cpus| of_cpus.len())];
    for (index, of_cpus) in values.iter().enumerate() {
        for (counts, value) in now.iter_mut().zip(of_cpus.iter()) {
            counts[index] = *value;
        }
    }
    let mut last = PerCpuArray::<_, Counts>::try_from(named(ebpf, names::LAST)?)?;
    let now = PerCpuValues::try_from(now).map_err(MapError::from)?;
    Ok(last.set(0, now, 0)?)
}

fn fill<K: Pod>(
    ebpf: &mut Ebpf,
    name: &str,
    keys: impl Iterator<Item = K>,
) -> Result<(), TraceError> {
    let mut map: HashMap<_, K, u32> = HashMap::try_from(named(ebpf, name)?)?;
    for key in keys {
        map.insert(key, 0, 0)?;
    }
    Ok(())
}

fn named<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Map, TraceError> {
    ebpf.map_mut(name).ok_or_else(|| lacks(name))
}

fn taken(ebpf: &mut Ebpf, name: &str) -> Result<Map, TraceError> {
    ebpf.take_map(name).ok_or_else(|| lacks(name))
}

fn lacks(name: &str) -> TraceError {
    TraceError::Object(format!("there is no {name}: it is another version's"))
}

fn point(ebpf: &mut Ebpf, name: &'static str) -> Result<(), TraceError> {
    let refused = |source| TraceError::Point {
        name,
        source: Box::new(source),
    };
    let program = ebpf.program_mut(name).ok_or_else(|| lacks(name))?;
    load::load(program).map_err(refused)?;
    let Program::RawTracePoint(program) = program else {
        return Err(refused(ProgramError::UnexpectedProgramType));
    };
    program.attach(name).map(drop).map_err(refused)
}
