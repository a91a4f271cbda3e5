//! From the programs of one version to those of the next without a packet that neither knows.
//!
//! Hooks change over one after the other, and where maps have other layouts the two versions do
//! not see each other's conversations: an answer would meet a program that knows nothing of the
//! question. So the earlier programs stay at hand (`proxy_abi::earlier`): until every hook has
//! changed over they go on beginning all conversations, which every hook then knows, the changed
//! ones through them; from then on they are given only what was begun before, until that has been
//! taken over.

use aya::maps::{MapData, ProgramArray};
use aya::programs::SchedClassifier;
use proxy_abi::earlier::{self, Given};
use proxy_abi::ownership::map;

use super::grace;
use super::maps::removed;
use super::pins::Pins;
use super::programs::{Loaded, Outdated, ProgramsError};

impl Loaded {
    /// Notes the pinned programs that are about to be replaced, so that their successors hand over
    /// what these alone may know. One that is not pinned is not missed.
    ///
    /// # Errors
    /// [`ProgramsError::Earlier`].
    pub fn keep_earlier(
        &mut self,
        outdated: &[Outdated],
        pins: &Pins,
    ) -> Result<(), ProgramsError> {
        let mut slots = self.earlier()?;
        for (index, name) in (0..).zip(earlier::PROGRAMS) {
            let pin = pins.program(name);
            if !outdated.contains(&Outdated(name)) || !pin.exists() {
                continue;
            }
            let program = SchedClassifier::from_pin(pin).map_err(failed)?;
            let program = program.fd().map_err(failed)?;
            for given in [Given::UnderWay, Given::Beginning] {
                let slot = earlier::slot(index, given);
                slots.set(slot, program, 0).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Hands the earlier programs nothing more of this kind; says whether that had been done. What
    /// they have been given is through when this returns, and so is what came to them at hooks that
    /// have changed over since: nothing of this kind is written to their maps any more.
    ///
    /// # Errors
    /// [`ProgramsError::Earlier`].
    pub fn spare_earlier(&mut self, given: Given) -> Result<bool, ProgramsError> {
        let mut slots = self.earlier()?;
        let mut any = false;
        for (index, _) in (0..).zip(earlier::PROGRAMS) {
            let slot = earlier::slot(index, given);
            any |= removed(slots.clear_index(&slot)).map_err(failed)?;
        }
        if any {
            grace::over();
        }
        Ok(any)
    }

    fn earlier(&mut self) -> Result<ProgramArray<&mut MapData>, ProgramsError> {
        let found = self.ebpf().map_mut(map::EARLIER);
        let found = found.ok_or_else(|| failed("the eBPF object has no such map"))?;
        ProgramArray::try_from(found).map_err(failed)
    }
}

fn failed(error: impl ToString) -> ProgramsError {
    let reason = error.to_string();
    ProgramsError::Earlier { reason }
}
