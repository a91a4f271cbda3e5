//! The map of this node's pods, see [`proxy_abi::Pod`]: created and pinned by the agent, its
//! entries made and removed here.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use proxy_abi::{Ip, Pod};

use crate::bpf::Map;
use crate::error::Error;
use crate::pin;

/// The open map.
#[derive(Debug)]
pub(crate) struct Pods {
    map: Map<Ip, Pod>,
    pin: PathBuf,
}

impl Pods {
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

    /// The entry of an address.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn get(&self, address: IpAddr) -> Result<Option<Pod>, Error> {
        let found = self.map.get(&address.into());
        found.map_err(self.failed("read an entry of the map"))
    }

    /// Whether there is no room for another entry.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn is_full(&self) -> Result<bool, Error> {
        let elements = self.map.elements();
        let elements = elements.map_err(self.failed("read the map"))?;
        Ok(elements.len() >= self.map.capacity as usize)
    }

    /// Makes the entry of an address, in place of whatever stands there.
    ///
    /// # Errors
    /// As the kernel gives them: the map may be full.
    pub(crate) fn set(&self, address: IpAddr, pod: Pod) -> Result<(), Error> {
        let made = self.map.set(&address.into(), &pod);
        made.map_err(self.failed("make an entry in the map"))
    }

    /// Removes the entries that are to go, as far as they are there.
    ///
    /// # Errors
    /// All that could not be removed.
    pub(crate) fn remove(&self, to_go: impl Fn(IpAddr, &Pod) -> bool) -> Result<(), Error> {
        let elements = self.map.elements();
        let elements = elements.map_err(self.failed("read the map"))?;
        let gone: BTreeSet<IpAddr> = elements
            .into_iter()
            .map(|(address, pod)| (IpAddr::from(address), pod))
            .filter(|(address, pod)| to_go(*address, pod))
            .map(|(address, _)| address)
            .collect();
        let failures = gone.into_iter().filter_map(|address| {
            let removed = self.map.remove(&address.into());
            removed
                .map_err(self.failed("remove an entry of the map"))
                .err()
        });
        Error::all(failures.collect())
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        Error::pinned(doing, &self.pin)
    }
}
