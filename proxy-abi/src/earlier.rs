//! Where programs find those of another version that they have just replaced, while conversations
//! are taken over from these: slots of the map [`crate::ownership::map::EARLIER`]. Two for each
//! packet program, one for each kind of packet that it knows no conversation of. An empty slot
//! means that there is nobody to ask.

use crate::ownership::program;

/// The packet programs, in the order of their slots.
pub const PROGRAMS: [&str; 4] = [
    program::FROM_POD,
    program::TO_POD,
    program::FROM_NETWORK,
    program::TO_NETWORK,
];

/// Number of slots.
pub const SLOTS: u32 = 2 * PROGRAMS.len() as u32;

/// What the earlier program of a slot is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// What belongs to a conversation that has begun, perhaps before its eyes.
    UnderWay,
    /// What begins one. Only until every hook runs its new program: a conversation is to begin
    /// where all hooks know it.
    Beginning,
}

/// The slot of the packet program that stands at `index` in [`PROGRAMS`].
#[must_use]
pub const fn slot(index: u32, given: Given) -> u32 {
    match given {
        Given::UnderWay => index,
        Given::Beginning => PROGRAMS.len() as u32 + index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_has_two_slots_of_its_own() {
        let mut slots: Vec<_> = (0..PROGRAMS.len() as u32)
            .flat_map(|index| [Given::UnderWay, Given::Beginning].map(|given| slot(index, given)))
            .collect();
        slots.sort_unstable();
        assert_eq!(slots, (0..SLOTS).collect::<Vec<_>>());
    }
}
