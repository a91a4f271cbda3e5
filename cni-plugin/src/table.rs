//! The maps whose entries are made and removed here, see [`proxy_abi::Pod`],
//! [`proxy_abi::HostPort`] and [`proxy_abi::socket`]; created and pinned by the agent.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use proxy_abi::{FrontendKey, HostPort, Ip, Pod};

use crate::bpf::{Map, Plain};
use crate::error::Error;
use crate::pin;

/// The map of this node's pods.
pub(crate) type Pods = Table<Ip, Pod>;
/// The map of this node's ports that are pods'.
pub(crate) type HostPorts = Table<FrontendKey, HostPort>;

/// The map of pods whose sockets are left alone: their network namespaces.
pub(crate) type PacketPods = Table<u64, u32>;

/// An open map.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    map: Map<K, V>,
    pin: PathBuf,
}

impl<K: Plain + Ord, V: Plain> Table<K, V> {
    /// Opens the map.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it is not pinned: the agent has still to do it.
    pub(crate) fn open(pin: &Path) -> Result<Self, Error> {
        let map = Map::of(pin::open(pin)?).map_err(Error::pinned("use the map", pin))?;
        Ok(Self {
            map,
            pin: pin.to_owned(),
        })
    }

    /// The map, or `None` where the agent has not pinned it, or no more: then there is nothing in
    /// it to remove.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub(crate) fn open_if_there(pin: &Path) -> Result<Option<Self>, Error> {
        match Self::open(pin) {
            Err(Error::NotReady(_)) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Where it is pinned.
    pub(crate) fn pin(&self) -> &Path {
        &self.pin
    }

    /// The entry of a key.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn get(&self, key: &K) -> Result<Option<V>, Error> {
        let found = self.map.get(key);
        found.map_err(self.failed("read an entry of the map"))
    }

    /// Whether there is no room for another entry.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn is_full(&self) -> Result<bool, Error> {
        Ok(self.elements()?.len() >= self.map.capacity as usize)
    }

    /// Makes the entry of a key, in place of whatever stands there.
    ///
    /// # Errors
    /// As the kernel gives them: the map may be full.
    pub(crate) fn set(&self, key: &K, value: &V) -> Result<(), Error> {
        self.made(self.map.set(key, value))
    }

    /// Makes the entry of a key, unless there is one: then the answer is no.
    ///
    /// # Errors
    /// As the kernel gives them: the map may be full.
    pub(crate) fn create(&self, key: &K, value: &V) -> Result<bool, Error> {
        match self.map.create(key, value) {
            Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => Ok(false),
            created => self.made(created).map(|()| true),
        }
    }

    /// Whether there is an entry of that kind.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn has(&self, sought: impl Fn(&K, &V) -> bool) -> Result<bool, Error> {
        let elements = self.elements()?;
        Ok(elements.iter().any(|(key, value)| sought(key, value)))
    }

    /// Removes the entries that are to go, as far as they are there.
    ///
    /// # Errors
    /// All that could not be removed.
    pub(crate) fn remove(&self, to_go: impl Fn(&K, &V) -> bool) -> Result<(), Error> {
        let elements = self.elements()?.into_iter();
        let gone: BTreeSet<K> = elements
            .filter(|(key, value)| to_go(key, value))
            .map(|(key, _)| key)
            .collect();
        let failures = gone.into_iter().filter_map(|key| {
            let removed = self.map.remove(&key);
            removed
                .map_err(self.failed("remove an entry of the map"))
                .err()
        });
        Error::all(failures.collect())
    }

    fn elements(&self) -> Result<Vec<(K, V)>, Error> {
        let elements = self.map.elements();
        elements.map_err(self.failed("read the map"))
    }

    fn made(&self, made: io::Result<()>) -> Result<(), Error> {
        made.map_err(|error| match error.raw_os_error() {
            Some(errno) if errno == Errno::E2BIG as i32 => Error::Full(self.pin.clone()),
            _ => self.failed("make an entry in the map")(error),
        })
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        Error::pinned(doing, &self.pin)
    }
}
