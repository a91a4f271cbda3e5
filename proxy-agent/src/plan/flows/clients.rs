//! Which Service ports still keep clients on their endpoints: what the map `affinity` holds under
//! other numbers has no meaning any more, and would have a wrong one if the number came back.

use std::collections::BTreeSet;

/// What changes say of ports with affinity, by their numbers ([`proxy_abi::Offer::service`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    keeping: BTreeSet<u32>,
    gone: BTreeSet<u32>,
    /// Whether `keeping` is all that there are.
    whole: bool,
}

impl Clients {
    /// Some port of this number has affinity.
    pub fn keep(&mut self, number: u32) {
        self.keeping.insert(number);
        self.gone.remove(&number);
    }

    /// A frontend of this number was removed or has no affinity any more. Where the port is still
    /// there with another frontend, [`Self::keep`] says so later.
    pub fn lose(&mut self, number: u32) {
        if !self.keeping.contains(&number) {
            self.gone.insert(number);
        }
    }

    /// Everything has been told.
    pub fn complete(&mut self) {
        self.whole = true;
    }

    /// Takes newer changes in.
    pub fn note(&mut self, newer: Self) {
        if newer.whole {
            *self = newer;
            return;
        }
        for number in newer.gone {
            self.keeping.remove(&number);
            self.gone.insert(number);
        }
        for number in newer.keeping {
            self.keep(number);
        }
    }

    /// Whether it is known that clients of this number are kept no more.
    #[must_use]
    pub fn are_gone(&self, number: u32) -> bool {
        match self.whole {
            true => !self.keeping.contains(&number),
            false => self.gone.contains(&number),
        }
    }

    /// Whether some number has just gone.
    #[must_use]
    pub fn has_loss(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Whether the map is worth a look.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.whole || self.has_loss()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(keeping: &[u32], gone: &[u32], whole: bool) -> Clients {
        let mut clients = Clients::default();
        gone.iter().for_each(|number| clients.lose(*number));
        keeping.iter().for_each(|number| clients.keep(*number));
        if whole {
            clients.complete();
        }
        clients
    }

    #[test]
    fn what_goes_and_comes_back_was_never_away() {
        let gone = |changes: &[Clients]| {
            let mut all = Clients::default();
            changes.iter().cloned().for_each(|newer| all.note(newer));
            let numbers: Vec<u32> = (0..6).filter(|number| all.are_gone(*number)).collect();
            (numbers, all.has_loss())
        };
        let lost = || clients(&[], &[2], false);
        let back = || clients(&[2], &[], false);
        let whole = || clients(&[1, 2], &[], true);
        for (changes, numbers, has_loss) in [
            (vec![], vec![], false),
            (vec![lost()], vec![2], true),
            (vec![lost(), back()], vec![], false),
            (vec![back(), lost()], vec![2], true),
            // One frontend of two went.
            (vec![clients(&[2], &[2], false)], vec![], false),
            (vec![whole()], vec![0, 3, 4, 5], false),
            (vec![whole(), lost()], vec![0, 2, 3, 4, 5], true),
            (vec![lost(), whole()], vec![0, 3, 4, 5], false),
            (
                vec![whole(), clients(&[4], &[], false)],
                vec![0, 3, 5],
                false,
            ),
        ] {
            assert_eq!(gone(&changes), (numbers, has_loss), "{changes:?}");
        }
    }
}
