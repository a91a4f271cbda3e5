//! Reads and writes the maps `frontends`, `endpoints` and `source_ranges`: the agent's only writer
//! of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use proxy_abi::ownership::map;
use proxy_abi::{Endpoint, Frontend, FrontendKey, List, Source, SourceRange};

use super::pins::Pins;
use crate::plan::services::{Held, Observed, Operation};

/// The maps that say where Services go.
pub struct ServiceMaps {
    frontends: HashMap<MapData, FrontendKey, Frontend>,
    endpoints: Array<MapData, Endpoint>,
    ranges: LpmTrie<MapData, Source, u32>,
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
        let frontends = Map::HashMap(open(map::FRONTENDS)?)
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
            endpoints,
            ranges,
        })
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
        let failed = |what: &str| {
            let doing = format!("read the {what}");
            move |source| MapsError { doing, source }
        };
        let mut observed = Observed::default();
        // Frontends share lists; each is read once.
        let mut lists = BTreeMap::new();
        for entry in self.frontends.iter() {
            let (key, frontend) = entry.map_err(failed("frontends"))?;
            let mut list = |list: List| {
                let at = (list.first_slot, list.count);
                if let Some(known) = lists.get(&at) {
                    return Ok(Arc::clone(known));
                }
                let read: Arc<[Endpoint]> = self.list(list)?.into();
                lists.insert(at, read.clone());
                Ok(read)
            };
            let held = Held {
                frontend,
                inside: list(frontend.offer.inside)?,
                outside: list(frontend.offer.outside)?,
            };
            observed.frontends.insert(key, held);
        }
        for entry in self.ranges.iter() {
            let (key, _) = entry.map_err(failed("source ranges"))?;
            observed.ranges.push(SourceRange {
                bits: key.prefix_len(),
                source: key.data(),
            });
        }
        Ok(observed)
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
        // A list that points beyond the map (another version's mistake) reads as shorter, so it
        // differs from what is wanted and is replaced.
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
