//! One look at the conversations that the kernel knows: what is over goes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::kernel::affinity;
use crate::kernel::flows::{FlowMaps, now};
use crate::kernel::maps::MapsError;
use crate::kernel::pins::Pins;
use crate::kernel::walk::Use;
use crate::plan::flows::{Join, Looked, Reason, State, Timeouts, Touched};

/// What a look found and did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Conversations by protocol number and state, before.
    pub counts: BTreeMap<(u8, State), u64>,
    /// How full `flows` was.
    pub flows: Use,
    /// How full `openings` was.
    pub openings: Use,
    /// Conversations that were forgotten.
    pub removed: BTreeMap<Reason, u64>,
    /// Clients that were forgotten: their Service port keeps none any more.
    pub clients: u64,
    /// How long it took.
    pub took: Duration,
}

/// Looks at every conversation, and forgets those that are over and those that `touched` ends.
/// Everything is read from the kernel: an agent that has just started goes on where the last one
/// stopped. Blocks for as long as it takes.
///
/// # Errors
/// [`MapsError`]; what was forgotten until then stays so.
pub fn sweep(pins: &Pins, timeouts: &Timeouts, touched: &Touched) -> Result<Swept, MapsError> {
    let begun = Instant::now();
    let mut maps = FlowMaps::open(pins)?;
    let mut join = Join::new(timeouts, touched, now());
    let (flows, openings) = maps.walk(|key, flow, table| join.take(key, flow, table))?;
    if join.has_single() {
        maps.walk(|key, flow, table| join.take_again(key, flow, table))?;
    }
    let Looked { counts, doomed } = join.end();
    let mut removed = BTreeMap::new();
    for doomed in doomed {
        if maps.forget(&doomed, timeouts, now())? {
            *removed.entry(doomed.reason).or_default() += 1;
        }
    }
    let clients = match touched.clients().is_telling() {
        true => affinity::forget(pins, touched.clients())?,
        false => 0,
    };
    Ok(Swept {
        clients,
        counts,
        flows,
        openings,
        removed,
        took: begun.elapsed(),
    })
}
