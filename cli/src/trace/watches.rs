//! Watches on several nodes: begun, asked, and their times made this machine's.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use proxy_agent::local::api::{Watch, Watched};
use tokio::task::JoinSet;

use super::clock::Clock;
use super::gather::Agents;
use super::observed::NodeClock;
use crate::nodes::Agent;

/// What nodes saw, by their names.
pub(super) type Seen = BTreeMap<String, Watched>;

/// Which packets: parts of the question to `/v1/watch`.
#[derive(Clone, Debug, Default)]
pub(super) struct Which {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<u16>,
    /// As the agent's API names it; none: any.
    pub(super) protocol: Option<&'static str>,
    /// One address is enough, in whichever pod; it goes on.
    pub(super) follow: bool,
    pub(super) drops: bool,
}

/// Watches that have begun.
#[derive(Default)]
pub(super) struct Watches(Vec<Begun>);

struct Begun {
    node: String,
    id: u64,
    clock: Clock,
}

impl Which {
    fn path(&self, pods: &[IpAddr]) -> String {
        let Self { follow, drops, .. } = self;
        format!(
            "/v1/watch?addresses={}&ports={}&protocol={}&pods={}&follow={follow}&drops={drops}",
            listed(&self.addresses),
            listed(&self.ports),
            self.protocol.unwrap_or_default(),
            listed(pods),
        )
    }
}

fn listed<T: Display>(all: &[T]) -> String {
    let words: Vec<String> = all.iter().map(ToString::to_string).collect();
    words.join(",")
}

async fn one(agent: Agent, node: String, path: String) -> Result<Begun, String> {
    let asked = now();
    let watch = agent.post::<Watch>(&path).await;
    let watch = watch.map_err(|error| format!("{node}: {error}"))?;
    let clock = Clock::of(asked, watch.now, now());
    let id = watch.id;
    Ok(Begun { node, id, clock })
}

impl Watches {
    /// Has nodes watch, and these of their pods, all at once; those that cannot are left out, and
    /// why is returned.
    pub(super) async fn begin(
        agents: &Agents,
        nodes: impl IntoIterator<Item = (String, Vec<IpAddr>)>,
        which: &Which,
    ) -> (Self, Vec<String>) {
        let mut asked = JoinSet::new();
        let mut failed = Vec::new();
        for (node, pods) in nodes {
            match agents.of_node(&node).cloned() {
                Some(agent) => _ = asked.spawn(one(agent, node, which.path(&pods))),
                None => failed.push(format!("no agent of node {node} is known")),
            }
        }
        let mut watches = Self::default();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(begun)) => watches.0.push(begun),
                Ok(Err(why)) => failed.push(why),
                Err(broken) => failed.push(broken.to_string()),
            }
        }
        (watches, failed)
    }

    /// What they saw since they were last asked; `goes_on`, or this is the end.
    pub(super) async fn take(&self, agents: &Agents, goes_on: bool) -> Seen {
        let mut seen = Seen::new();
        for Begun { node, id, clock } in &self.0 {
            let Some(agent) = agents.of_node(node) else {
                continue;
            };
            let path = format!("/v1/watched?id={id}&more={goes_on}");
            if let Ok(mut watched) = agent.post::<Watched>(&path).await {
                clock.correct(&mut watched);
                seen.insert(node.clone(), watched);
            }
        }
        seen
    }

    /// The clocks that differ.
    pub(super) fn clocks(&self) -> Vec<NodeClock> {
        let differ = self.0.iter().filter(|one| one.clock.ahead != 0);
        let told = differ.map(|one| NodeClock {
            node: one.node.clone(),
            ahead_nanoseconds: one.clock.ahead,
            within_nanoseconds: one.clock.within,
        });
        told.collect()
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
