//! One pass: observe -> plan -> apply. A full pass looks at everything; a pass for a change looks
//! at the changed Services alone.

mod wish;

mod observe;
mod plan;

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use cluster_model::{ClusterIndex, Dirty};
use proxy_abi::ownership::{CNI_CONFIG_FILE, program};

use crate::args::Options;
use crate::kernel::links::{self, LinksError, Places};
use crate::kernel::maps::{MapsError, ServiceMaps};
use crate::kernel::pins::{Pins, PinsError};
use crate::kernel::programs::{self, Loaded, ProgramsError, Sizes};
use crate::kernel::routes::{Netlink, NetlinkError};
use crate::kernel::sysctl::{self, SysctlError};
use crate::plan::services::Table;
use crate::plan::slots::OutOfSlots;

pub use observe::{Observed, Waiting};
pub use plan::Plan;
pub use wish::Wish;

/// A pass did not come to its end. Each is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The folders of the pins.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The kernel half.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// The maps.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// No room in the maps.
    #[error(transparent)]
    Slots(#[from] OutOfSlots),
    /// The links.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// The routes.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel parameters.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// The CNI configuration.
    #[error("cannot {doing} the CNI configuration {path}: {source}")]
    CniConfig {
        /// Read or write.
        doing: &'static str,
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// The node that the agent keeps, and what it remembers between passes.
pub struct Node {
    options: Options,
    pins: Pins,
    netlink: Netlink,
    /// The kernel half as loaded at start. Kept, so that an audit compares without loading again.
    loaded: Option<Loaded>,
    /// What the kernel's maps hold. Gone after a failed write, and then observed anew.
    services: Option<Services>,
}

/// The open maps and what they hold.
struct Services {
    maps: ServiceMaps,
    table: Table,
}

impl Node {
    /// A node that nothing has been done to yet.
    ///
    /// # Errors
    /// If there is no bpffs where the options say.
    pub fn new(options: Options, netlink: Netlink) -> Result<Self, PassError> {
        let pins = Pins::below(&options.bpffs)?;
        Ok(Self {
            options,
            pins,
            netlink,
            loaded: None,
            services: None,
        })
    }

    /// Loads the kernel half, creating the maps that are not there. Changes nothing that runs.
    ///
    /// # Errors
    /// [`PassError`].
    pub fn load(&mut self) -> Result<(), PassError> {
        self.pins.create()?;
        self.load_programs()
    }

    fn load_programs(&mut self) -> Result<(), PassError> {
        let sizes = Sizes {
            flows: self.options.flow_table_size,
            endpoints: self.options.endpoint_slots,
        };
        self.loaded = Some(programs::load(&self.options.programs, &self.pins, sizes)?);
        Ok(())
    }

    /// What a full pass would do now. Changes nothing: on a node without maps the kernel half is
    /// not loaded, since that would create them.
    ///
    /// # Errors
    /// [`PassError`].
    pub async fn diff(&mut self, wish: Wish) -> Result<(Plan, Vec<Waiting>), PassError> {
        if programs::maps_exist(&self.pins) {
            self.load_programs()?;
        }
        let (observed, waiting) = self.observe(&wish).await?;
        let plan = self.plan(wish, &observed)?;
        Ok((plan, waiting))
    }

    /// A full pass. Returns what was done and what the node still waits for.
    ///
    /// # Errors
    /// [`PassError`]; what was done until then stays.
    pub async fn full(&mut self, wish: Wish) -> Result<(Plan, Vec<Waiting>), PassError> {
        let (observed, waiting) = self.observe(&wish).await?;
        let plan = self.plan(wish, &observed)?;
        self.apply(&plan).await?;
        Ok((plan, waiting))
    }

    /// A pass for the Services that changed. Returns the number of operations.
    ///
    /// # Errors
    /// [`PassError`]; the next pass should then be a full one.
    pub fn changed(&mut self, index: &ClusterIndex, dirty: &Dirty) -> Result<usize, PassError> {
        let Some(mut services) = self.services.take() else {
            return Ok(0);
        };
        let wanted = wish::lists(index, dirty.services.iter(), &self.options.node_name);
        let operations = services.table.plan_changed(wanted, Instant::now())?;
        for operation in &operations {
            tracing::debug!("{operation}");
            services.maps.apply(operation)?;
        }
        // Only now, after every write succeeded, is the table again what the kernel holds.
        self.services = Some(services);
        Ok(operations.len())
    }

    async fn observe(&self, wish: &Wish) -> Result<(Observed, Vec<Waiting>), PassError> {
        observe::observe(&wish.nodes, &self.options, &self.pins, &self.netlink).await
    }

    fn plan(&mut self, wish: Wish, observed: &Observed) -> Result<Plan, PassError> {
        let outdated = match &self.loaded {
            Some(loaded) => loaded.outdated(&self.pins),
            None => programs::ALL.into_iter().map(programs::Outdated).collect(),
        };
        // The maps themselves are read, not the agent's memory of them (invariant 4).
        let mut services = if programs::maps_exist(&self.pins) {
            let maps = ServiceMaps::open(&self.pins)?;
            let table = Table::new(maps.observe()?, maps.slots());
            Some(Services { maps, table })
        } else {
            None
        };
        let mut empty = Table::new(Default::default(), u32::MAX);
        let table = services
            .as_mut()
            .map_or(&mut empty, |services| &mut services.table);
        let operations = table.plan_all(wish.services, Instant::now())?;
        self.services = services;
        Ok(plan::plan(
            &self.options,
            observed,
            operations,
            outdated,
            |name| programs::current_id(&self.pins, name),
        ))
    }

    /// Carries a plan out: what must be there first comes first, the CNI configuration last.
    async fn apply(&mut self, plan: &Plan) -> Result<(), PassError> {
        let Plan {
            sysctls,
            services,
            programs: outdated,
            uplink,
            links,
            filters,
            routes,
            cni_config,
        } = plan;
        for wanted in sysctls {
            tracing::info!("{wanted}");
            sysctl::apply(*wanted)?;
        }
        self.apply_services(services)?;
        for outdated in outdated {
            tracing::info!("pin program {}", outdated.0);
            if let Some(loaded) = &mut self.loaded {
                loaded.pin(*outdated, &self.pins)?;
            }
        }
        let places = Places {
            uplink,
            cgroup: &self.options.cgroup_root,
        };
        for operation in links {
            tracing::info!("{operation}");
            links::apply(operation, &self.pins, &places)?;
        }
        for put in filters {
            tracing::info!("{put}");
            let program = programs::open(&self.pins, program::FROM_POD)?;
            self.netlink.put_filter(put, program).await?;
        }
        for operation in routes {
            tracing::info!("{operation}");
            self.netlink.apply(operation).await?;
        }
        if let Some(text) = cni_config {
            tracing::info!("write the CNI configuration: the node works");
            write_config(&self.options.cni_conf_dir, text)?;
        }
        Ok(())
    }

    fn apply_services(
        &mut self,
        operations: &[crate::plan::services::Operation],
    ) -> Result<(), PassError> {
        let Some(mut services) = self.services.take() else {
            return Ok(());
        };
        for operation in operations {
            tracing::debug!("{operation}");
            services.maps.apply(operation)?;
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
