//! Who has a frontend that two Services want: two external IPs and ports alike, or one Service in
//! the moment in which it takes another's place.
//!
//! The lower kind of address has it, then the first by name; the loser's turn comes when the
//! winner's claim goes.

use std::collections::{BTreeMap, BTreeSet};

use cluster_model::{FrontendKind, ServiceName};
use proxy_abi::FrontendKey;

use crate::plan::desired::PortWish;

/// A frontend that a Service wants and another has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contest {
    /// The frontend.
    pub key: FrontendKey,
    /// Who has it.
    pub winner: ServiceName,
    /// Who goes without.
    pub loser: ServiceName,
}

/// A claim; the lesser wins.
type Claim = (FrontendKind, ServiceName);

/// Every claim of every Service.
#[derive(Debug, Default)]
pub(super) struct Claims {
    winners: BTreeMap<FrontendKey, Claim>,
    won: BTreeMap<ServiceName, Vec<FrontendKey>>,
    losers: BTreeSet<(FrontendKey, ServiceName)>,
    lost: BTreeMap<ServiceName, Vec<FrontendKey>>,
}

impl Claims {
    /// Takes back all claims of a Service, and returns the frontends that it had.
    pub(super) fn withdraw(&mut self, service: &ServiceName) -> Vec<FrontendKey> {
        let won = self.won.remove(service).unwrap_or_default();
        for key in &won {
            self.winners.remove(key);
        }
        for key in self.lost.remove(service).unwrap_or_default() {
            self.losers.remove(&(key, service.clone()));
        }
        won
    }

    /// Claims the frontends of ports for their Services.
    pub(super) fn claim_all<'a>(
        &mut self,
        ports: impl Iterator<Item = (&'a ServiceName, &'a PortWish)>,
    ) {
        for (service, wish) in ports {
            for (key, front) in &wish.frontends {
                self.claim(*key, front.kind, service);
            }
        }
    }

    /// Claims a frontend for a Service.
    pub(super) fn claim(&mut self, key: FrontendKey, kind: FrontendKind, service: &ServiceName) {
        let claim = (kind, service.clone());
        match self.winners.get(&key) {
            Some(winner) if *winner <= claim => self.lose(key, service.clone()),
            _ => {
                self.won.entry(service.clone()).or_default().push(key);
                if let Some((_, beaten)) = self.winners.insert(key, claim) {
                    if let Some(won) = self.won.get_mut(&beaten) {
                        won.retain(|other| *other != key);
                    }
                    self.lose(key, beaten);
                }
            }
        }
    }

    fn lose(&mut self, key: FrontendKey, loser: ServiceName) {
        self.lost.entry(loser.clone()).or_default().push(key);
        self.losers.insert((key, loser));
    }

    /// Whether the frontend is that Service's.
    pub(super) fn has(&self, service: &ServiceName, key: &FrontendKey) -> bool {
        let winner = self.winners.get(key);
        winner.is_some_and(|(_, winner)| winner == service)
    }

    /// Whether the frontend is anybody's.
    pub(super) fn is_wanted(&self, key: &FrontendKey) -> bool {
        self.winners.contains_key(key)
    }

    /// The Services that go without a frontend that one of these has.
    pub(super) fn rivals<'a>(
        &'a self,
        services: impl Iterator<Item = &'a ServiceName>,
    ) -> impl Iterator<Item = &'a ServiceName> {
        let won = services.filter_map(|service| self.won.get(service));
        won.flatten().flat_map(|key| self.losers_of(*key))
    }

    fn losers_of(&self, key: FrontendKey) -> impl Iterator<Item = &ServiceName> {
        // No name sorts before the empty one.
        let first = (key, ServiceName::new("", ""));
        let losers = self.losers.range(first..);
        let of_key = losers.take_while(move |(other, _)| *other == key);
        of_key.map(|(_, loser)| loser)
    }

    /// Every frontend that somebody goes without.
    pub(super) fn contests(&self) -> Vec<Contest> {
        let contest = |(key, loser): &(FrontendKey, ServiceName)| {
            let (_, winner) = self.winners.get(key)?;
            // A Service that claims a frontend for two of its ports is its own affair.
            (winner != loser).then(|| Contest {
                key: *key,
                winner: winner.clone(),
                loser: loser.clone(),
            })
        };
        self.losers.iter().filter_map(contest).collect()
    }
}
