//! Carrying a plan out.

use std::fs;
use std::path::Path;

use proxy_abi::earlier::Given;
use proxy_abi::ownership::CNI_CONFIG_FILE;

use super::failures::Failures;
use super::{Node, PassError, Plan};
use crate::kernel::earlier::{self, Pinned};
use crate::kernel::node_maps as node_maps_door;
use crate::kernel::{links, programs, sysctl};
use crate::plan::{filters, node_maps, services, tunnels};

impl Node {
    /// Carries a plan out: what must be there first comes first, the CNI configuration last. An
    /// operation that fails keeps none of the others from being tried, but the last.
    pub(super) async fn apply(&mut self, plan: &Plan) -> Result<(), PassError> {
        let Plan {
            sysctls,
            node_maps,
            services,
            programs,
            tunnels,
            links,
            filters,
            routes,
            leftovers,
            earlier,
            cni_config,
        } = plan;
        let mut failures = Failures::default();
        for wanted in sysctls {
            tracing::info!("{wanted}");
            failures.note(sysctl::apply(
                &self.options.proc_sys,
                &self.options.state_dir,
                *wanted,
            ));
        }
        failures.note(self.apply_node_maps(node_maps));
        failures.note(self.apply_services(services));
        if let Some(loaded) = self.loaded.as_mut().filter(|_| !programs.is_empty()) {
            failures.note(loaded.keep_earlier(programs, &self.pins));
        }
        for outdated in programs {
            tracing::info!("pin program {}", outdated.0);
            if let Some(loaded) = &mut self.loaded {
                failures.note(loaded.pin(*outdated, &self.pins));
            }
        }
        // What concerns one peer is that peer's misfortune: the node works without it.
        let mut peers = Failures::default();
        self.apply_tunnels(tunnels, &mut peers).await;
        for operation in links {
            tracing::info!("{operation}");
            let done = links::apply(operation, &self.pins, &self.cgroup);
            failures.note(done);
        }
        for operation in filters {
            tracing::info!("{operation}");
            failures.note(self.apply_filter(operation).await);
        }
        for operation in routes {
            tracing::info!("{operation}");
            peers.note(self.netlink.apply(operation).await);
        }
        self.apply_tunnels(leftovers, &mut peers).await;
        failures.first()?;
        self.take_over(earlier)?;
        if let Some(text) = cni_config {
            tracing::info!("write the CNI configuration: the node works");
            write_config(&self.options.cni_conf_dir, text)?;
        }
        peers.first()
    }

    /// Every hook runs this version's programs by now: first they begin what begins, then they
    /// get to know what began before them, and then the earlier ones go.
    fn take_over(&mut self, earlier: &[Pinned]) -> Result<(), PassError> {
        let mut carried = 0;
        for given in [Given::Beginning, Given::UnderWay] {
            if let Some(loaded) = &mut self.loaded {
                loaded.spare_earlier(given)?;
            }
            // Once more in the end: what was under way may have begun another conversation there.
            carried += earlier::carry(&self.pins, earlier)?;
        }
        for pinned in earlier {
            tracing::info!(carried, "{pinned}");
        }
        earlier::remove(earlier).map_err(PassError::Earlier)
    }

    async fn apply_filter(&self, operation: &filters::Operation) -> Result<(), PassError> {
        let program = match operation {
            filters::Operation::Put { program, .. } => Some(programs::open(&self.pins, program)?),
            filters::Operation::Remove(_) => None,
        };
        Ok(self.netlink.change_filter(operation, program).await?)
    }

    async fn apply_tunnels(&self, operations: &[tunnels::Operation], peers: &mut Failures) {
        for operation in operations {
            tracing::info!("{operation}");
            peers.note(self.netlink.change_tunnel(operation).await);
        }
    }

    fn apply_node_maps(&self, operations: &[node_maps::Operation]) -> Result<(), PassError> {
        if operations.is_empty() {
            return Ok(());
        }
        let mut maps = node_maps_door::Open::new(&self.pins)?;
        for operation in operations {
            tracing::debug!("{operation}");
            maps.apply(operation)?;
        }
        Ok(())
    }

    fn apply_services(&mut self, operations: &[services::Operation]) -> Result<(), PassError> {
        let Some(mut services) = self.services.take() else {
            return Ok(());
        };
        for operation in operations {
            services.write(operation)?;
        }
        self.services = Some(services);
        Ok(())
    }
}

/// Writes the file in one step: a runtime that reads the folder at any moment finds the old text
/// or the new one.
fn write_config(folder: &Path, text: &str) -> Result<(), PassError> {
    let path = folder.join(CNI_CONFIG_FILE);
    // Runtimes read *.conf, *.conflist and *.json only.
    let fresh = folder.join(format!(".{CNI_CONFIG_FILE}.new"));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&fresh, text))
        .and_then(|()| fs::rename(&fresh, &path))
        .map_err(|source| PassError::CniConfig {
            doing: "write",
            path: path.display().to_string(),
            source,
        })
}
