//! What goes into a plan of the maps and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use proxy_abi::{Endpoint, Frontend, FrontendKey, SourceRange};

use super::claims::Contest;
use crate::plan::flows::Changes;
use crate::plan::slots::OutOfSlots;

/// One write to the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Lets the clients of a range in, before a frontend asks for ranges.
    PutRange {
        /// The range.
        range: SourceRange,
    },
    /// Writes a list into slots that no frontend points at.
    WriteList {
        /// Where the list begins.
        first_slot: u32,
        /// The list, in slot order.
        endpoints: Arc<[Endpoint]>,
    },
    /// Points a frontend at its lists: the commit.
    PointFrontend {
        /// The frontend.
        key: FrontendKey,
        /// Its new value.
        frontend: Frontend,
    },
    /// Removes a frontend.
    RemoveFrontend {
        /// The frontend.
        key: FrontendKey,
    },
    /// Removes a range, after the last frontend that asked for it.
    RemoveRange {
        /// The range.
        range: SourceRange,
    },
}

/// What the kernel's maps hold.
#[derive(Debug, Default)]
pub struct Observed {
    /// Every frontend.
    pub frontends: BTreeMap<FrontendKey, Held>,
    /// Every source range.
    pub ranges: Vec<SourceRange>,
}

/// What the kernel holds for one frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The entry.
    pub frontend: Frontend,
    /// What stands in the slots of its inside list.
    pub inside: Arc<[Endpoint]>,
    /// What stands in the slots of its outside list.
    pub outside: Arc<[Endpoint]>,
}

/// A frontend, or a list of it, for which there was no room. The frontend keeps what it had, or stays
/// away.
#[derive(Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The frontend.
    pub key: FrontendKey,
    /// Why.
    pub reason: NoRoom,
}

/// A map is full.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// Of endpoints.
    #[error(transparent)]
    Slots(#[from] OutOfSlots),
    /// Of frontends.
    #[error(
        "the map `frontends` is full ({room} fit); a larger map needs a node without pins, started \
         with a larger --frontend-table-size"
    )]
    Frontends {
        /// How many fit.
        room: u32,
    },
}

/// What a plan came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// What to write, in this order.
    pub operations: Vec<Operation>,
    /// What has no place; tried again with the next full plan.
    pub unplaced: Vec<Unplaced>,
    /// Every frontend that two Services want, of this plan or an earlier one.
    pub contested: Vec<Contest>,
    /// What conversations under way must learn once all is written.
    pub changes: Changes,
}
