//! The maps of Services between passes: the change of a few Services, and how full the maps are.

use std::collections::BTreeSet;
use std::mem;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cluster_model::ServiceName;

use super::{Node, PassError};
use crate::kernel::maps::{MapsError, ServiceMaps};
use crate::kernel::programs;
use crate::plan::services::{Contest, Observed, Operation, Planned, Table, Wishes, Written};
use crate::serve::Fill;

/// Frontends without room that are named one by one.
const SHOWN: usize = 5;

/// The open maps and what they hold.
pub(super) struct Services {
    pub(super) maps: ServiceMaps,
    pub(super) table: Table,
    /// What was written since an audit began, while there is one.
    pub(super) written: Option<Written>,
}

impl Services {
    /// Carries one operation out.
    pub(super) fn write(&mut self, operation: &Operation) -> Result<(), MapsError> {
        tracing::debug!("{operation}");
        self.maps.apply(operation)?;
        if let Some(written) = &mut self.written {
            written.note(operation);
        }
        Ok(())
    }
}

impl Node {
    /// A pass for the Services that changed, with what they want now. Returns the number of
    /// operations.
    ///
    /// # Errors
    /// [`PassError`]; the next pass should then be a full one.
    pub fn changed(&mut self, wanted: Wishes) -> Result<usize, PassError> {
        let Some(mut services) = self.services.take() else {
            return Ok(0);
        };
        let mut planned = services.table.plan_changed(wanted, Instant::now());
        self.changes.push(mem::take(&mut planned.changes));
        self.report(&planned);
        for operation in &planned.operations {
            services.write(operation)?;
        }
        // Only now, after every write succeeded, is the table again what the kernel holds.
        self.services = Some(services);
        Ok(planned.operations.len())
    }

    /// How full the maps are, as far as it is known.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let Some(Services { maps, table, .. }) = &self.services else {
            return Fill::default();
        };
        let (frontends, endpoints) = table.fill();
        Fill {
            frontends,
            room: maps.room(),
            endpoints,
            slots: maps.slots(),
            contested: self.contested.len(),
            unplaced: table.unplaced(),
        }
    }

    /// These Services and those whose wishes depend on theirs.
    #[must_use]
    pub fn with_rivals(&self, services: BTreeSet<ServiceName>) -> BTreeSet<ServiceName> {
        let table = self.services.as_ref().map(|services| &services.table);
        let rivals = table.into_iter().flat_map(|t| t.rivals(services.iter()));
        let rivals: Vec<_> = rivals.cloned().collect();
        services.into_iter().chain(rivals).collect()
    }

    /// Whether it is known what the maps of Services hold, and they are there.
    #[must_use]
    pub fn knows_services(&self) -> bool {
        self.services.is_some() && programs::maps_exist(&self.pins)
    }

    /// Plans every Service over what the maps hold.
    pub(super) fn plan_services(&mut self, wanted: Wishes) -> Result<Vec<Operation>, PassError> {
        // The maps themselves are read, not the agent's memory of them (invariant 4).
        let seed = generation_seed();
        let mut services = if programs::maps_exist(&self.pins) {
            let maps = ServiceMaps::open(&self.pins)?;
            let table = Table::new(maps.observe()?, maps.slots(), seed);
            let table = table.with_room_for(maps.room());
            Some(Services {
                maps,
                table,
                written: None,
            })
        } else {
            None
        };
        let mut empty = Table::new(Observed::default(), u32::MAX, seed);
        let table = services
            .as_mut()
            .map_or(&mut empty, |services| &mut services.table);
        let mut planned = table.plan_all(wanted, Instant::now());
        self.changes.push(mem::take(&mut planned.changes));
        self.report(&planned);
        self.services = services;
        Ok(planned.operations)
    }

    pub(super) fn report(&mut self, planned: &Planned) {
        for unplaced in planned.unplaced.iter().take(SHOWN) {
            tracing::error!("no room for {unplaced}");
        }
        if let Some(more) = planned.unplaced.len().checked_sub(SHOWN + 1) {
            tracing::error!("no room for {} frontends more", more + 1);
        }
        let known = |contest: &&Contest| !self.contested.contains(contest);
        for contest in planned.contested.iter().filter(known) {
            tracing::warn!("{contest}");
        }
        self.contested.clone_from(&planned.contested);
    }
}

/// The clock in seconds: what an agent an hour or a year ago began with was another value.
fn generation_seed() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_secs() as u32
}
