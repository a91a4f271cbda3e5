//! Reads the maps `flows` and `openings` and forgets what is over. The programs write them at the
//! same time, so nothing read here stays true: what goes is read once more first.

use aya::maps::{HashMap, Map, MapData, MapError};
use proxy_abi::ownership::map;
use proxy_abi::{Flow, FlowKey};

use super::clock;
use super::maps::{MapsError, removed};
use super::pins::Pins;
use super::walk::{Use, read, walk};
use crate::plan::flows::{Conversation, Doomed, Half, Keys, Reason, Table, Timeouts};

/// `flows` counts as full when less than this part of it is free: the programs may have found no
/// room a moment ago.
const LITTLE: u64 = 32;

/// The time as flows note it.
#[must_use]
pub fn now() -> u32 {
    Flow::time(clock::monotonic())
}

/// One of the two maps.
struct Door {
    name: &'static str,
    map: HashMap<MapData, FlowKey, Flow>,
    /// The same map, for what the one above does not offer.
    data: MapData,
    size: u64,
}

impl Door {
    fn open(pins: &Pins, name: &'static str) -> Result<Self, MapsError> {
        let failed = |source| MapsError::new(format!("open map {name}"), source);
        let open = || MapData::from_pin(pins.map(name)).map_err(failed);
        let map = match name {
            map::OPENINGS => Map::LruHashMap(open()?),
            _ => Map::HashMap(open()?),
        };
        let map = map.try_into().map_err(failed)?;
        let data = open()?;
        let size = data.info().map_err(failed)?.max_entries().into();
        Ok(Self {
            name,
            map,
            data,
            size,
        })
    }

    fn walk(&self, mut each: impl FnMut(&FlowKey, &Flow)) -> Result<Use, MapsError> {
        let used = walk(&self.data, |key, value| {
            if let (Some(key), Some(flow)) = (read(key), read(value)) {
                each(&key, &flow);
            }
        });
        let used = used.map_err(|source| self.failed("read", source))?;
        let size = self.size;
        Ok(Use { used, size })
    }

    fn get(&self, key: &FlowKey) -> Result<Option<Flow>, MapsError> {
        match self.map.get(key, 0) {
            Ok(flow) => Ok(Some(flow)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    fn remove(&mut self, key: &FlowKey) -> Result<(), MapsError> {
        let done = removed(self.map.remove(key));
        done.map(drop)
            .map_err(|source| self.failed("remove from", source))
    }

    fn failed(&self, doing: &str, source: MapError) -> MapsError {
        MapsError::new(format!("{doing} map {}", self.name), source)
    }
}

/// Both maps, open.
pub struct FlowMaps {
    flows: Door,
    openings: Door,
    overflow: bool,
}

impl FlowMaps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// [`MapsError`]; also if a map of that name has another shape.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self {
            flows: Door::open(pins, map::FLOWS)?,
            openings: Door::open(pins, map::OPENINGS)?,
            overflow: false,
        })
    }

    /// Shows every entry, and returns how full `flows` and `openings` are.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn walk(
        &mut self,
        mut each: impl FnMut(&FlowKey, &Flow, Table),
    ) -> Result<(Use, Use), MapsError> {
        let flows = self.flows.walk(|key, flow| each(key, flow, Table::Flows))?;
        self.overflow = flows.used + flows.size / LITTLE >= flows.size;
        let table = self.table();
        let openings = self.openings.walk(|key, flow| each(key, flow, table))?;
        Ok((flows, openings))
    }

    /// The conversation of an entry of its client, as both halves tell.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn conversation(
        &self,
        key: &FlowKey,
        flow: &Flow,
        table: Table,
    ) -> Result<Conversation, MapsError> {
        let keys = Keys::of(key, flow);
        let other = self.half(&keys.answers, &keys)?;
        Ok(Conversation::of(&keys, Half::of(flow, table), other))
    }

    fn table(&self) -> Table {
        match self.overflow {
            true => Table::Overflow,
            false => Table::Openings,
        }
    }

    /// Forgets a conversation if that is still due at `now`; whether it did.
    ///
    /// The client's entry goes first: a client that speaks in that moment begins anew, with the
    /// entry of the answers, which then stays. What is left of the race is a packet between the
    /// last look and the removal, a microsecond, of a conversation silent for its whole time-out:
    /// its answer may come untranslated, and the client's next packet makes all anew.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn forget(
        &mut self,
        doomed: &Doomed,
        timeouts: &Timeouts,
        now: u32,
    ) -> Result<bool, MapsError> {
        let Doomed { keys, reason } = doomed;
        let client = self.half(&keys.client, keys)?;
        let answers = self.half(&keys.answers, keys)?;
        let (one, other) = match (client, answers) {
            (Some(one), other) | (None, other @ Some(one)) => {
                (one, other.filter(|_| client.is_some()))
            }
            (None, None) => return Ok(false),
        };
        let over = Conversation::of(keys, one, other).is_over(timeouts, now);
        if !over && matches!(reason, Reason::Idle(_)) {
            return Ok(false);
        }
        if client.is_some() {
            self.remove(&keys.client)?;
        }
        if answers.is_some() && self.half(&keys.client, keys)?.is_none() {
            self.remove(&keys.answers)?;
        }
        Ok(true)
    }

    /// What the entry under `key` says, if it is of this conversation: another may have taken the
    /// place.
    fn half(&self, key: &FlowKey, keys: &Keys) -> Result<Option<Half>, MapsError> {
        let (flow, table) = match self.flows.get(key)? {
            Some(flow) => (Some(flow), Table::Flows),
            None => (self.openings.get(key)?, self.table()),
        };
        let ours = flow.filter(|flow| Keys::of(key, flow) == *keys);
        Ok(ours.map(|flow| Half::of(&flow, table)))
    }

    fn remove(&mut self, key: &FlowKey) -> Result<(), MapsError> {
        self.flows.remove(key)?;
        self.openings.remove(key)
    }
}
