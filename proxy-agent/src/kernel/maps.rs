//! Reads and writes the maps `frontends` and `endpoints`: the agent's only writer of them.

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use proxy_abi::ownership::map;
use proxy_abi::{Endpoint, Frontend, FrontendKey};

use super::pins::Pins;
use crate::plan::services::{Held, Operation};

/// The two maps that say where Services go.
pub struct ServiceMaps {
    frontends: HashMap<MapData, FrontendKey, Frontend>,
    endpoints: Array<MapData, Endpoint>,
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
        Ok(Self {
            frontends,
            endpoints,
        })
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.endpoints.len()
    }

    /// Everything that the frontends lead to.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn observe(&self) -> Result<BTreeMap<FrontendKey, Held>, MapsError> {
        let failed = |source| MapsError {
            doing: "read the frontends".into(),
            source,
        };
        let mut observed = BTreeMap::new();
        for entry in self.frontends.iter() {
            let (key, frontend) = entry.map_err(failed)?;
            let endpoints = self.list(&frontend)?;
            observed.insert(
                key,
                Held {
                    frontend,
                    endpoints,
                },
            );
        }
        Ok(observed)
    }

    fn list(&self, frontend: &Frontend) -> Result<Vec<Endpoint>, MapsError> {
        let proxy_abi::List { first_slot, count } = frontend.offer.inside;
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
                .zip(endpoints)
                .try_for_each(|(slot, e)| self.endpoints.set(slot, e, 0)),
            Operation::PointFrontend { key, frontend } => self.frontends.insert(key, frontend, 0),
            Operation::RemoveFrontend { key } => match self.frontends.remove(key) {
                Err(MapError::KeyNotFound) => Ok(()),
                other => other,
            },
        };
        done.map_err(|source| MapsError {
            doing: operation.to_string(),
            source,
        })
    }
}
