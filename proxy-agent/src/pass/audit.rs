//! The audit of the maps of Services, beside the passes: a thread of its own reads what they hold,
//! which takes a while where Services are many, and changes are applied meanwhile. What was read is
//! then compared with what was written; a difference is a full pass's business.

use super::Node;
use crate::kernel::maps::{MapsError, ServiceMaps};
use crate::kernel::pins::Pins;
use crate::plan::services::{Observed, Written};

/// A look at the maps, to be had on a thread of its own.
#[derive(Debug)]
pub struct Look {
    pins: Pins,
}

impl Look {
    /// Everything that they hold.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn take(self) -> Result<Observed, MapsError> {
        ServiceMaps::open(&self.pins)?.observe()
    }
}

impl Node {
    /// Begins an audit. None where only a full pass will do: where it is not known what the maps
    /// should hold, or where something waits for room in them.
    pub fn begin_audit(&mut self) -> Option<Look> {
        if !self.knows_services() {
            return None;
        }
        let services = self.services.as_mut()?;
        if services.table.unplaced() > 0 {
            return None;
        }
        services.written = Some(Written::default());
        let pins = self.pins.clone();
        Some(Look { pins })
    }

    /// Ends it: whether that is what was written until it began. (What was written since counts
    /// with the next one.) Not if the maps were observed by a full pass meanwhile.
    pub fn end_audit(&mut self, observed: &Observed) -> bool {
        let services = self.services.as_mut();
        let begun = services.and_then(|s| Some((s.written.take()?, &s.table)));
        begun.is_some_and(|(written, table)| table.is_held(observed, &written))
    }
}
