//! Which endpoint a client keeps (`sessionAffinity: ClientIP`).
//!
//! Map `affinity`, [`Client`] -> [`Affinity`], written by the programs when a conversation of a
//! Service with affinity begins; the least recently used goes when it is full.

use crate::{Endpoint, Ip};

/// Key of the map `affinity`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// [`crate::Offer::service`]: the same at all frontends of a Service port.
    pub service: u32,
    /// The client's address.
    pub address: Ip,
}

crate::plain_bytes!(Client, 20);

/// Value of the map `affinity`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// The endpoint of the client's last conversation.
    pub endpoint: Endpoint,
    /// When that began, see [`crate::Flow::time`].
    pub used: u32,
}

crate::plain_bytes!(Affinity, 24);

impl Affinity {
    /// Whether it still counts at `now` for a Service whose time-out is `seconds`.
    #[inline(always)]
    #[must_use]
    pub const fn counts(&self, now: u32, seconds: u32) -> bool {
        // Time passes, so the difference is small and positive, also where the number wraps.
        now.wrapping_sub(self.used) as u64 <= (seconds as u64 * 1_000_000_000) >> 30
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flow;

    #[test]
    fn an_affinity_counts_for_its_time_out() {
        let at = |seconds: u64| Flow::time(seconds * 1_000_000_000);
        let affinity = Affinity {
            used: at(1_000),
            ..Affinity::default()
        };
        assert!(affinity.counts(at(1_000), 10));
        assert!(affinity.counts(at(1_009), 10));
        assert!(!affinity.counts(at(1_012), 10));
        assert!(affinity.counts(at(1_000 + 10_799), 10_800));
        assert!(!affinity.counts(at(1_000 + 10_802), 10_800));
    }
}
