//! What of a change of Services conversations must learn.
//!
//! The programs ask the Service themselves whenever a datagram or a SYN comes, and move its flow.
//! What is silent is found here: it holds the tuple of its answers, and would let the answer of a
//! dead endpoint's successor through.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use proxy_abi::{Endpoint, FrontendKey, Role, protocol};

use super::{Clients, Keys, Reason, State};

/// Who serves at a frontend: the clients inside, and those outside. Sorted.
pub type Serving = [Arc<[Endpoint]>; 2];

/// A frontend that was written or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The frontend.
    pub key: FrontendKey,
    /// Who serves there now; `None`: it is no more.
    pub now: Option<Serving>,
    /// Whether somebody who served before serves no more.
    pub loss: bool,
}

impl Change {
    /// A frontend was removed.
    #[must_use]
    pub const fn removed(key: FrontendKey) -> Self {
        Self {
            key,
            now: None,
            loss: true,
        }
    }

    /// A frontend has other lists than `before`; `None`: it is new.
    #[must_use]
    pub fn pointed(key: FrontendKey, before: Option<&Serving>, now: Serving) -> Self {
        let lost = |endpoint: &Endpoint| !serves(&now, endpoint);
        let loss = before.is_some_and(|before| before.iter().any(|list| list.iter().any(lost)));
        Self {
            key,
            now: Some(now),
            loss,
        }
    }
}

/// What a plan changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Frontends.
    pub frontends: Vec<Change>,
    /// Ports that keep clients on their endpoints.
    pub clients: Clients,
}

/// The changes since the last look, each frontend's last one: what comes back in time has never
/// been away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    frontends: HashMap<FrontendKey, Option<Serving>>,
    clients: Clients,
}

impl Touched {
    /// Takes changes in. Whether there is now something to look for.
    pub fn note(&mut self, changes: Changes) -> bool {
        for Change { key, now, loss } in changes.frontends {
            // A connection under way drains for as long as its endpoint answers.
            let drains = key.protocol == protocol::TCP && now.is_some();
            if self.frontends.contains_key(&key) || (loss && !drains) {
                self.frontends.insert(key, now);
            }
        }
        self.clients.note(changes.clients);
        !self.frontends.is_empty() || self.clients.has_loss()
    }

    /// Takes back in what could not be looked for, where nothing newer is known.
    pub fn restore(&mut self, older: Self) {
        for (key, now) in older.frontends {
            self.frontends.entry(key).or_insert(now);
        }
        let newer = mem::replace(&mut self.clients, older.clients);
        self.clients.note(newer);
    }

    /// Which ports keep clients.
    #[must_use]
    pub const fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Why a conversation ends by these changes, if it does.
    pub(super) fn ends(&self, keys: &Keys, role: Role, state: State) -> Option<Reason> {
        let Keys { client, answers } = keys;
        if self.frontends.is_empty() || !matches!(role, Role::Request | Role::Reply) {
            return None;
        }
        let frontend =
            FrontendKey::new(client.destination, client.destination_port, client.protocol);
        match (self.frontends.get(&frontend)?, client.protocol) {
            (None, protocol::TCP) => (!stays(state)).then_some(Reason::FrontendGone),
            (None, _) => Some(Reason::FrontendGone),
            (Some(_), protocol::TCP) => None,
            (Some(serving), _) => {
                let endpoint = Endpoint::new(answers.source, answers.source_port);
                (!serves(serving, &endpoint)).then_some(Reason::EndpointGone)
            }
        }
    }
}

/// Whether a TCP connection outlives its frontend: it stays on its endpoint while that answers,
/// and ends by its own FINs. A new SYN of the same port is refused by the programs.
const fn stays(state: State) -> bool {
    matches!(state, State::Established | State::HalfClosed)
}

/// Which list is the client's is not known here. An endpoint that serves the other side is alive,
/// and the programs look closer when the client speaks.
fn serves(serving: &Serving, endpoint: &Endpoint) -> bool {
    let within = |list: &Arc<[Endpoint]>| list.binary_search(endpoint).is_ok();
    serving.iter().any(within)
}
