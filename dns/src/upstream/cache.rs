//! What upstreams answered, kept within a bound of memory.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hickory_proto::rr::{Name, RecordType};
use quick_cache::Weighter;
use quick_cache::sync::Cache as Inner;

use super::exchange::Wishes;
use crate::wire::stored::Stored;

/// What an entry takes beside its key and its answer: the places in the cache's tables.
const OVERHEAD: u64 = 128;
/// Bytes of a common entry, by which the tables are sized at first.
const COMMON: u64 = 512;

/// A question, as what an answer is kept under: the lower-case name's bytes, the type, the
/// client's wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(Box<[u8]>);

impl Key {
    pub(crate) fn new(name: &[u8], kind: RecordType, wishes: Wishes) -> Self {
        let mut key = Vec::with_capacity(name.len() + 3);
        Self::write(name, kind, wishes, &mut key);
        Self(key.into())
    }

    /// The same of a name that does not stand in a message.
    pub(crate) fn of(name: &Name, kind: RecordType, wishes: Wishes) -> Self {
        let mut bytes = Vec::with_capacity(name.len() + 1);
        for label in name {
            // A label is at most 63 bytes.
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        Self::new(&bytes, kind, wishes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes into the empty `key`, for a look that needs no key of its own.
    pub(crate) fn write(name: &[u8], kind: RecordType, wishes: Wishes, key: &mut Vec<u8>) {
        let Wishes {
            dnssec_ok,
            checking_disabled,
        } = wishes;
        key.extend_from_slice(name);
        // The bytes that say how long a label is are below 64, and no letters.
        key.make_ascii_lowercase();
        key.extend_from_slice(&u16::from(kind).to_be_bytes());
        key.push(u8::from(dnssec_ok) | u8::from(checking_disabled) << 1);
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Keeps the more useful answers (S3-FIFO): a flood of names that are asked for once passes
/// through without taking those away that are asked for often.
#[derive(Debug)]
pub(crate) struct Cache {
    inner: Inner<Key, Arc<Stored>, Size>,
}

#[derive(Debug, Clone)]
struct Size;

impl Weighter<Key, Arc<Stored>> for Size {
    fn weight(&self, key: &Key, answer: &Arc<Stored>) -> u64 {
        (key.0.len() + answer.size()) as u64 + OVERHEAD
    }
}

impl Cache {
    /// A cache that takes at most `bytes` of memory. A third of that is for what the allocator
    /// loses between answers of all sizes that come and go: measured on a flood of names, 8 MiB of
    /// entries took 12 MiB.
    pub(crate) fn new(bytes: u64) -> Self {
        let bytes = bytes - bytes / 3;
        let items = usize::try_from(bytes / COMMON).unwrap_or(usize::MAX);
        Self {
            inner: Inner::with_weighter(items, bytes, Size),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<Stored>> {
        self.inner.get(key)
    }

    pub(crate) fn insert(&self, key: Key, answer: Arc<Stored>) {
        self.inner.insert(key, answer);
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.len()
    }

    /// Bytes in use, as they are counted against the bound.
    pub(crate) fn bytes(&self) -> u64 {
        self.inner.weight()
    }
}
