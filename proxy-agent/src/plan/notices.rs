//! What an operator must see, from what the agent sees, and when it is told. Pure.
//!
//! A table that fills, packets that were dropped for want of something, a frontend that two
//! Services want, a port that somebody else has. That a `Local` policy finds no endpoint on a node
//! is how such policies are meant to work, and no notice until somebody's packet was dropped for it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use cluster_model::{About, Notice, ServiceName};
use proxy_abi::Counter;

use super::flows::nearly_full;
use super::services::Contest;

/// How long what is told is not told again, also if it was over meanwhile: half as long as API
/// servers keep Events, so that what goes on is always among them.
const REMIND: Duration = Duration::from_secs(30 * 60);
/// Notices that may be told at once, and how long until one more may.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(60);
/// Services that a notice names.
const NAMED: usize = 3;

/// What the agent sees.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// This node.
    pub node: &'a str,
    /// Every node of the cluster.
    pub nodes: BTreeSet<&'a str>,
    /// Tables that refuse what is new when they are full: entries used, entries that fit.
    pub tables: BTreeMap<String, (u64, u64)>,
    /// Frontends that two Services want.
    pub contested: &'a [Contest],
    /// Counters that have moved since the last look.
    pub moved: BTreeSet<Counter>,
    /// Services with a port that a `Local` policy leaves no endpoint here.
    pub without_local: Vec<ServiceName>,
    /// Health check ports of Services that cannot be listened at, and why.
    pub checks: Vec<(ServiceName, u16, String)>,
    /// Addresses of the agent's own servers that cannot be listened at, and why.
    pub servers: Vec<(String, String)>,
}

/// Everything that is to be seen now.
#[must_use]
pub fn standing(facts: &Facts<'_>) -> BTreeSet<Notice> {
    let mut found = BTreeSet::new();
    found.extend(tables(facts));
    found.extend(dropped(facts));
    found.extend(ports(facts));
    found.extend(contests(facts));
    found
}

fn tables<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = Notice> + 'a {
    let full = facts.tables.iter();
    let full = full.filter(|(_, (used, size))| nearly_full(*used, *size));
    full.map(|(table, (_, size))| {
        let remedy = match table.as_str() {
            "flows" | "openings" => "raise FLATNET_FLOW_TABLE_SIZE",
            "frontends" => "raise FLATNET_FRONTEND_TABLE_SIZE",
            "endpoints" => "raise FLATNET_ENDPOINT_SLOTS",
            _ => "this node serves as many as it can",
        };
        let note = format!(
            "The table {table} of {size} entries is nearly full; what is new will be refused \
             soon: {remedy}."
        );
        of_node(facts, "TableNearlyFull", "Watch", note)
    })
}

fn dropped<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = Notice> + 'a {
    facts.moved.iter().filter_map(|counter| {
        let (reason, note) = match counter {
            Counter::FlowTableFull => (
                "TableFull",
                "Conversations begin that find no room in the table flows and may be forgotten: \
                 raise FLATNET_FLOW_TABLE_SIZE."
                    .to_owned(),
            ),
            Counter::PortsExhausted => (
                "PortsExhausted",
                "Packets of pods to somebody outside the cluster were dropped because every port \
                 of this node towards them is taken: widen FLATNET_MASQUERADE_PORTS."
                    .to_owned(),
            ),
            Counter::NoLocalEndpoint => ("NoLocalEndpoint", without_local(facts)),
            _ => return None,
        };
        Some(of_node(facts, reason, "Forward", note))
    })
}

fn without_local(facts: &Facts<'_>) -> String {
    let names = facts.without_local.iter().map(ToString::to_string);
    let mut named: Vec<_> = names.take(NAMED).collect();
    let more = facts.without_local.len() - named.len();
    if more != 0 {
        named.push(format!("{more} more"));
    }
    format!(
        "Packets were dropped because internalTrafficPolicy or externalTrafficPolicy is Local and \
         the Service has no endpoint on this node: {}.",
        named.join(", ")
    )
}

fn ports<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = Notice> + 'a {
    // In kube-proxy's words, for whoever looks out for them.
    let checks = facts.checks.iter().map(|(service, port, why)| Notice {
        about: About::Service(service.clone()),
        reason: "FailedToStartServiceHealthcheck",
        action: "Listen",
        note: format!(
            "Node {} cannot listen at the healthCheckNodePort {port}: {why}. Load balancers take \
             it for a node without endpoints.",
            facts.node
        ),
    });
    let servers = facts.servers.iter().map(|(address, why)| {
        let note = format!("The agent cannot listen at {address}: {why}.");
        of_node(facts, "FailedToStartProxierHealthcheck", "Listen", note)
    });
    checks.chain(servers)
}

/// Every node sees these alike; one of them tells.
fn contests<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = Notice> + 'a {
    let tell = facts
        .contested
        .iter()
        .filter(|contest| teller(&facts.nodes, &contest.loser) == Some(facts.node));
    tell.map(|contest| Notice {
        about: About::Service(contest.loser.clone()),
        reason: "FrontendConflict",
        action: "Claim",
        note: format!("{contest}; this Service does not answer there."),
    })
}

/// Which of the nodes tells what all see of a Service.
fn teller<'a>(nodes: &BTreeSet<&'a str>, service: &ServiceName) -> Option<&'a str> {
    let rank = |node: &&'a str| {
        // Agents of versions that hash differently tell a thing twice, or not until they are one.
        let mut hasher = DefaultHasher::new();
        (node, service).hash(&mut hasher);
        hasher.finish()
    };
    nodes.iter().copied().max_by_key(rank)
}

fn of_node(facts: &Facts<'_>, reason: &'static str, action: &'static str, note: String) -> Notice {
    Notice {
        about: About::Node(facts.node.into()),
        reason,
        action,
        note,
    }
}

/// What was told, and how much more may be.
#[derive(Debug)]
pub struct Told {
    when: BTreeMap<Notice, Instant>,
    left: u32,
    refilled: Instant,
}

impl Told {
    /// Nothing yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            when: BTreeMap::new(),
            left: BURST,
            refilled: now,
        }
    }

    /// Which of these are to be told now. The rest is known already, or has to wait: an operator
    /// reads ten lines and not a thousand, and so does the API server.
    pub fn due(&mut self, standing: BTreeSet<Notice>, now: Instant) -> Vec<Notice> {
        self.when.retain(|_, last| *last + REMIND > now);
        let refills = now.duration_since(self.refilled).as_secs() / REFILL.as_secs();
        let refills = u32::try_from(refills).unwrap_or(BURST);
        self.refilled += REFILL * refills;
        self.left = self.left.saturating_add(refills).min(BURST);
        let new = standing
            .into_iter()
            .filter(|notice| !self.when.contains_key(notice));
        let due: Vec<_> = new.take(self.left as usize).collect();
        self.left -= due.len() as u32;
        self.when
            .extend(due.iter().map(|notice| (notice.clone(), now)));
        due
    }
}

#[cfg(test)]
mod tests;
