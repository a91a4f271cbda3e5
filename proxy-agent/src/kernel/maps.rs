//! Reads and writes the maps `frontends`, `endpoints` and `source_ranges`: the agent's only writer
//! of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use proxy_abi::ownership::map;
use proxy_abi::{Endpoint, Frontend, FrontendKey, List, Offer, Source, SourceRange};

use super::pins::Pins;
use super::walk::{self, walk, walk_while};
use crate::plan::services::{Held, Observed, Operation};

/// The maps that say where Services go.
pub struct ServiceMaps {
    frontends: HashMap<MapData, FrontendKey, Frontend>,
    /// How many fit into `frontends`.
    room: u32,
    endpoints: Array<MapData, Endpoint>,
    whole: Whole,
    ranges: LpmTrie<MapData, Source, u32>,
}

/// Two of them again, to be read from one end to the other.
struct Whole {
    frontends: MapData,
    endpoints: MapData,
}

/// A map could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {source}")]
pub struct MapsError {
    doing: String,
    source: MapError,
}

impl MapsError {
    pub(super) fn new(doing: impl Into<String>, source: MapError) -> Self {
        let doing = doing.into();
        Self { doing, source }
    }
}

impl ServiceMaps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// [`MapsError`]; also if a map of that name has another shape.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        let open = |name: &str| {
            MapData::from_pin(pins.map(name)).map_err(|source| MapsError {
                doing: format!("open map {name}"),
                source,
            })
        };
        let shape = |name: &str| {
            let doing = format!("use map {name}");
            move |source| MapsError { doing, source }
        };
        let frontends = open(map::FRONTENDS)?;
        let room = frontends
            .info()
            .map_err(shape(map::FRONTENDS))?
            .max_entries();
        let frontends = Map::HashMap(frontends)
            .try_into()
            .map_err(shape(map::FRONTENDS))?;
        let endpoints = Map::Array(open(map::ENDPOINTS)?)
            .try_into()
            .map_err(shape(map::ENDPOINTS))?;
        let ranges = Map::LpmTrie(open(map::SOURCE_RANGES)?)
            .try_into()
            .map_err(shape(map::SOURCE_RANGES))?;
        Ok(Self {
            frontends,
            room,
            endpoints,
            whole: Whole {
                frontends: open(map::FRONTENDS)?,
                endpoints: open(map::ENDPOINTS)?,
            },
            ranges,
        })
    }

    /// How many frontends fit.
    #[must_use]
    pub const fn room(&self) -> u32 {
        self.room
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.endpoints.len()
    }

    /// Everything that the maps hold.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn observe(&self) -> Result<Observed, MapsError> {
        let entries = self.entries()?;
        let offers = entries.iter().map(|(_, frontend)| &frontend.offer);
        let lists = offers.flat_map(|offer| [offer.inside, offer.outside]);
        let used = lists.map(|list| list.first_slot.saturating_add(list.count));
        let slots = self.first_slots(used.max().unwrap_or_default())?;
        // Frontends share lists.
        let mut lists = BTreeMap::new();
        let mut list = |list: List| {
            let known = lists.entry((list.first_slot, list.count));
            Arc::clone(known.or_insert_with(|| run(&slots, list).into()))
        };
        let held = |(key, frontend): (FrontendKey, Frontend)| {
            let Offer {
                inside, outside, ..
            } = frontend.offer;
            let (inside, outside) = (list(inside), list(outside));
            let held = Held {
                frontend,
                inside,
                outside,
            };
            (key, held)
        };
        Ok(Observed {
            frontends: entries.into_iter().map(held).collect(),
            ranges: self.source_ranges()?,
        })
    }

    fn entries(&self) -> Result<Vec<(FrontendKey, Frontend)>, MapsError> {
        let mut entries = Vec::new();
        let read = walk(&self.whole.frontends, |key, frontend| {
            entries.extend(walk::read(key).zip(walk::read(frontend)));
        });
        read.map_err(|source| MapsError::new("read the frontends", source))?;
        Ok(entries)
    }

    /// The slots up to `end`, or all.
    fn first_slots(&self, end: u32) -> Result<Vec<Endpoint>, MapsError> {
        let end = end.min(self.slots()) as usize;
        let mut slots: Vec<Endpoint> = Vec::with_capacity(end);
        let read = walk_while(&self.whole.endpoints, |_, endpoint| {
            let wanted = slots.len() < end;
            slots.extend(walk::read::<Endpoint>(endpoint).filter(|_| wanted));
            wanted
        });
        read.map_err(|source| MapsError::new("read the slots", source))?;
        Ok(slots)
    }

    fn source_ranges(&self) -> Result<Vec<SourceRange>, MapsError> {
        let range = |entry: Result<(Key<Source>, u32), MapError>| {
            let (key, _) = entry?;
            Ok(SourceRange {
                bits: key.prefix_len(),
                source: key.data(),
            })
        };
        let ranges: Result<_, _> = self.ranges.iter().map(range).collect();
        ranges.map_err(|source| MapsError::new("read the source ranges", source))
    }

    /// What the maps hold for one frontend.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn held(&self, key: &FrontendKey) -> Result<Option<Held>, MapsError> {
        let frontend = match self.frontends.get(key, 0) {
            Ok(frontend) => frontend,
            Err(MapError::KeyNotFound) => return Ok(None),
            Err(source) => return Err(MapsError::new("read a frontend", source)),
        };
        Ok(Some(Held {
            frontend,
            inside: self.list(frontend.offer.inside)?.into(),
            outside: self.list(frontend.offer.outside)?.into(),
        }))
    }

    fn list(&self, list: List) -> Result<Vec<Endpoint>, MapsError> {
        let List { first_slot, count } = list;
        let slots = (0..count).map(|index| first_slot.wrapping_add(index));
        let read = |slot| {
            self.endpoints.get(&slot, 0).map_err(|source| MapsError {
                doing: format!("read slot {slot}"),
                source,
            })
        };
        // As `run` has it.
        slots
            .take_while(|slot| *slot < self.slots())
            .map(read)
            .collect()
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// [`MapsError`], naming the operation.
    pub fn apply(&mut self, operation: &Operation) -> Result<(), MapsError> {
        let done = match operation {
            Operation::WriteList {
                first_slot,
                endpoints,
            } => (*first_slot..)
                .zip(endpoints.iter())
                .try_for_each(|(slot, e)| self.endpoints.set(slot, e, 0)),
            Operation::PointFrontend { key, frontend } => self.frontends.insert(key, frontend, 0),
            Operation::RemoveFrontend { key } => removed(self.frontends.remove(key)).map(drop),
            Operation::PutRange { range } => self.ranges.insert(&trie_key(range), 0, 0),
            Operation::RemoveRange { range } => {
                removed(self.ranges.remove(&trie_key(range))).map(drop)
            }
        };
        done.map_err(|source| MapsError {
            doing: operation.to_string(),
            source,
        })
    }
}

/// The slots of a list. One that points beyond the map (another version's mistake) is shorter, so it
/// differs from what is wanted and is replaced.
fn run(slots: &[Endpoint], list: List) -> &[Endpoint] {
    let first = slots.len().min(list.first_slot as usize);
    let end = slots.len().min(first + list.count as usize);
    &slots[first..end]
}

/// Whether there was something to remove; gone already is as good as removed.
pub(super) fn removed(done: Result<(), MapError>) -> Result<bool, MapError> {
    match done {
        Ok(()) => Ok(true),
        Err(MapError::KeyNotFound) => Ok(false),
        // What aya 0.14 makes of the same.
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn trie_key(range: &SourceRange) -> Key<Source> {
    Key::new(range.bits, range.source)
}
