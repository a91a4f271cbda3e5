//! Hash maps with keys and values of known types.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use proxy_abi::{Endpoint, FrontendKey, HostPort, Ip, Pod, Port};

use super::info::{MapInfo, info};
use super::{Plain, bpf, command, number};

/// `BPF_NOEXIST` (linux/bpf.h): an element is made, none is replaced.
const NOEXIST: u64 = 1;

/// The member for operations on one element of a map.
#[repr(C)]
struct Element {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The member for operations on many elements.
#[repr(C)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

// SAFETY: `proxy_abi::plain_bytes` vouches for it.
unsafe impl Plain for Ip {
    const BLANK: Self = Self::v6([0; 16]);
}

// SAFETY: every bit pattern is a number, and there is no padding.
unsafe impl Plain for u64 {
    const BLANK: Self = 0;
}

// SAFETY: as above.
unsafe impl Plain for u32 {
    const BLANK: Self = 0;
}

// SAFETY: `proxy_abi::plain_bytes` vouches for it.
unsafe impl Plain for Pod {
    const BLANK: Self = Self::new(0, [0; 6]);
}

// SAFETY: `proxy_abi::plain_bytes` vouches for it.
unsafe impl Plain for FrontendKey {
    const BLANK: Self = Self::new(Ip::BLANK, Port::new(0), 0);
}

// SAFETY: `proxy_abi::plain_bytes` vouches for it.
unsafe impl Plain for HostPort {
    const BLANK: Self = Self::new(Endpoint::new(Ip::BLANK, Port::new(0)), 0);
}

/// A hash map with keys and values of known types.
#[derive(Debug)]
pub(crate) struct Map<K, V> {
    fd: OwnedFd,
    /// How many elements it has room for.
    pub(crate) capacity: u32,
    types: PhantomData<(K, V)>,
}

impl<K: Plain, V: Plain> Map<K, V> {
    /// How many elements are read at once.
    const BATCH: usize = 256;

    /// Takes an open map.
    ///
    /// # Errors
    /// When it is no map, or one with keys or values of another size.
    pub(crate) fn of(fd: OwnedFd) -> io::Result<Self> {
        let info: MapInfo = info(fd.as_fd())?;
        let sizes = (info.key_size as usize, info.value_size as usize);
        if sizes == (size_of::<K>(), size_of::<V>()) {
            return Ok(Self {
                fd,
                capacity: info.capacity,
                types: PhantomData,
            });
        }
        Err(io::Error::other(
            "it is no map of keys and values as this version has them",
        ))
    }

    /// The value of a key, if it has one.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn get(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = V::BLANK;
        let mut element = self.element(key, std::ptr::from_mut(&mut value) as u64);
        // SAFETY: `key` and `value` are of the map's sizes, see `of`, and `V` is plain.
        match unsafe { bpf(command::MAP_LOOKUP_ELEM, &mut element) } {
            Ok(_) => Ok(Some(value)),
            Err(error) => absent(error).map(|()| None),
        }
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// As the kernel gives them: E2BIG when the map is full.
    pub(crate) fn set(&self, key: &K, value: &V) -> io::Result<()> {
        self.update(key, value, 0)
    }

    /// Sets the value of a key that has none.
    ///
    /// # Errors
    /// As the kernel gives them: EEXIST when it has one, E2BIG when the map is full.
    pub(crate) fn create(&self, key: &K, value: &V) -> io::Result<()> {
        self.update(key, value, NOEXIST)
    }

    fn update(&self, key: &K, value: &V, flags: u64) -> io::Result<()> {
        let mut element = self.element(key, std::ptr::from_ref(value) as u64);
        element.flags = flags;
        // SAFETY: `key` and `value` are of the map's sizes, see `of`.
        unsafe { bpf(command::MAP_UPDATE_ELEM, &mut element) }.map(drop)
    }

    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn remove(&self, key: &K) -> io::Result<()> {
        // SAFETY: `key` is of the map's size, see `of`; the command follows no other address.
        match unsafe { bpf(command::MAP_DELETE_ELEM, &mut self.element(key, 0)) } {
            Ok(_) => Ok(()),
            Err(error) => absent(error),
        }
    }

    /// All elements.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn elements(&self) -> io::Result<Vec<(K, V)>> {
        let mut keys = vec![K::BLANK; Self::BATCH];
        let mut values = vec![V::BLANK; Self::BATCH];
        // Where the next batch begins: the kernel writes no more than a key's length there.
        let (mut from, mut next) = (K::BLANK, K::BLANK);
        let mut elements = Vec::new();
        loop {
            let mut batch = Batch {
                from: match elements.len() {
                    0 => 0,
                    _ => std::ptr::from_ref(&from) as u64,
                },
                next: std::ptr::from_mut(&mut next) as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: Self::BATCH as u32,
                map: number(self.fd.as_fd()),
                element_flags: 0,
                flags: 0,
            };
            // SAFETY: there is room for `count` plain keys and values of the map's sizes.
            let read = unsafe { bpf(command::MAP_LOOKUP_BATCH, &mut batch) };
            let found = keys.iter().copied().zip(values.iter().copied());
            elements.extend(found.take(batch.count as usize));
            from = next;
            if let Err(error) = read {
                return absent(error).map(|()| elements);
            }
        }
    }

    fn element(&self, key: &K, value: u64) -> Element {
        Element {
            map: number(self.fd.as_fd()),
            zero: 0,
            key: std::ptr::from_ref(key) as u64,
            value,
            flags: 0,
        }
    }
}

/// ENOENT is how the kernel says that there is no such key, or no further one.
fn absent(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(errno) if errno == Errno::ENOENT as i32 => Ok(()),
        _ => Err(error),
    }
}
