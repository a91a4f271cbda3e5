//! The pods of the lab as a test sees them, and waiting for them.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{LOOK_EVERY, Lab};
use crate::error::LabError;
use crate::objects::{self, Pod};
use crate::patience::longer;
use crate::store::Kind;

impl Lab {
    /// The pods in `default` with the label `app=<app>` that are not going, ready or not.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn pods(&self, app: &str) -> Result<Vec<RunningPod>, LabError> {
        let pods = self.client.list(Kind::Pod, "default")?;
        Ok(pods
            .iter()
            .filter_map(|pod| RunningPod::read(pod, app))
            .collect())
    }

    /// Waits until `app` has exactly `count` pods that are not going, all ready; returns them in
    /// the order of their names.
    ///
    /// # Errors
    /// When that does not come about within `within`.
    pub fn wait_pods(
        &self,
        app: &str,
        count: usize,
        within: Duration,
    ) -> Result<Vec<RunningPod>, LabError> {
        let settled = || {
            let pods = self.pods(app)?;
            let ready = pods.len() == count && pods.iter().all(|pod| pod.ready);
            Ok(ready.then_some(pods))
        };
        self.wait(&format!("{count} ready pods of {app}"), within, settled)
    }

    /// Waits until `look` finds something.
    ///
    /// # Errors
    /// When it does not within `within` (longer on a slow machine, see [`crate::patience`]), or
    /// fails; `what` names it.
    pub fn wait<T>(
        &self,
        what: &str,
        within: Duration,
        look: impl Fn() -> Result<Option<T>, LabError>,
    ) -> Result<T, LabError> {
        let within = longer(within);
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                return Err(LabError::NotInTime {
                    what: format!("{what} did not come about"),
                    seconds: within.as_secs(),
                    log: self.logs(),
                });
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// A pod as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunningPod {
    /// Its name.
    pub name: String,
    /// Its address in the cluster's first family; empty until it has one.
    pub address: String,
    /// Its addresses in all families.
    pub addresses: Vec<IpAddr>,
    /// Its node; empty until it has one.
    pub node: String,
    /// Whether its Ready condition holds.
    pub ready: bool,
}

impl RunningPod {
    fn read(object: &Value, app: &str) -> Option<Self> {
        let pod: Pod = objects::read(object).ok()?;
        let labelled = pod
            .metadata
            .labels
            .get("app")
            .is_some_and(|label| label == app);
        if !labelled || pod.metadata.terminating() {
            return None;
        }
        let ips = pod.status.pod_ips.iter();
        let addresses: Vec<_> = ips.map(|pod_ip| pod_ip.ip).collect();
        Some(Self {
            ready: pod.ready(),
            name: pod.metadata.name,
            address: addresses
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
            addresses,
            node: pod.spec.node_name,
        })
    }
}
