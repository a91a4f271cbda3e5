//! One pass: observe -> plan -> apply. A full pass looks at everything; a pass for a change looks
//! at the changed Services alone.

mod wish;

mod apply;
mod audit;
mod failures;
pub mod flows;
mod observe;
mod plan;
mod services;

use std::io;
use std::mem;
use std::path::PathBuf;

use cluster_model::Here;

use crate::args::Options;
use crate::kernel::cgroup::{self, CgroupError};
use crate::kernel::earlier;
use crate::kernel::links::LinksError;
use crate::kernel::maps::MapsError;
use crate::kernel::pins::{Pins, PinsError};
use crate::kernel::programs::{self, Loaded, ProgramsError, Sizes};
use crate::kernel::routes::{Netlink, NetlinkError};
use crate::kernel::sysctl::SysctlError;
use crate::plan::flows::Changes;
use crate::plan::services::Contest;

pub use audit::Look;
use observe::Doors;
pub use observe::{Observed, Waiting};
pub use plan::Plan;
use services::Services;
pub use wish::{Wish, wishes};

/// A pass did not come to its end. Each is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The folders of the pins.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The node's cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Pins of another version.
    #[error("cannot look at or remove pins of another version: {0}")]
    Earlier(io::Error),
    /// The kernel half.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// The maps.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The links.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// The routes.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel parameters.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// The node's network namespace.
    #[error("cannot tell this node's network namespace (SO_NETNS_COOKIE): {0}")]
    Namespace(io::Error),
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
    /// The cgroup2 folder that holds every process of the node.
    cgroup: PathBuf,
    netlink: Netlink,
    /// The kernel half as loaded at start. Kept, so that an audit compares without loading again.
    loaded: Option<Loaded>,
    /// The kernel half whose pins are gone, until its maps are taken over.
    lost: Option<Loaded>,
    /// What the kernel's maps hold. Gone after a failed write, and then observed anew.
    services: Option<Services>,
    /// The frontends that more than one Service wants, as last reported.
    contested: Vec<Contest>,
    /// What conversations under way must learn.
    changes: Vec<Changes>,
}

impl Node {
    /// A node that nothing has been done to yet.
    ///
    /// # Errors
    /// If there is no bpffs where the options say, or no cgroup2.
    pub fn new(options: Options, netlink: Netlink) -> Result<Self, PassError> {
        let pins = pins(&options)?;
        let cgroup = cgroup::root(options.cgroup_root.as_deref())?;
        Ok(Self {
            options,
            pins,
            cgroup,
            netlink,
            loaded: None,
            lost: None,
            services: None,
            contested: Vec::new(),
            changes: Vec::new(),
        })
    }

    /// Loads the kernel half, creating the maps that are not there. Changes nothing that runs.
    ///
    /// # Errors
    /// [`PassError`].
    pub fn load(&mut self) -> Result<(), PassError> {
        // Once more: what was mounted there may be no more.
        self.pins = pins(&self.options)?;
        self.pins.create()?;
        self.load_programs()
    }

    fn load_programs(&mut self) -> Result<(), PassError> {
        let sizes = Sizes {
            flows: self.options.flow_table_size,
            endpoints: self.options.endpoint_slots,
            frontends: self.options.frontend_table_size,
        };
        let fresh = !programs::maps_exist(&self.pins);
        self.loaded = Some(programs::load(&self.options.programs, &self.pins, sizes)?);
        if fresh {
            let earlier = earlier::observe(&self.pins).map_err(PassError::Earlier)?;
            earlier::carry(&self.pins, &earlier)?;
        }
        Ok(())
    }

    /// From where Services are seen, with the addresses that this node has now.
    ///
    /// # Errors
    /// [`PassError`] if the interfaces cannot be looked at.
    pub async fn here(&self) -> Result<Here, PassError> {
        here(&self.options, &self.netlink).await
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
        if wish.services.is_some() {
            // Should this end before they are planned, what the maps hold is not what is wanted,
            // and only another pass over all of them will do.
            self.services = None;
        }
        if self.loaded.is_none() || !programs::maps_exist(&self.pins) {
            // Somebody removed pins: a map of theirs is a new one, and every program is loaded
            // anew to use it. What only the programs and the plugin wrote is in the lost one.
            if let Some(lost) = self.loaded.take() {
                self.lost.get_or_insert(lost);
            }
            self.load()?;
            if let Some(lost) = &mut self.lost {
                earlier::carry_unpinned(lost, &self.pins)?;
            }
            self.lost = None;
        }
        let (observed, waiting) = self.observe(&wish).await?;
        let plan = self.plan(wish, &observed)?;
        self.apply(&plan).await?;
        Ok((plan, waiting))
    }

    /// What the passes since the last call mean for conversations under way; also one that failed,
    /// of which nobody knows how much is written. What was not is planned, and told, again.
    pub fn take_changes(&mut self) -> Vec<Changes> {
        mem::take(&mut self.changes)
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.node_name
    }

    /// The frontends that more than one Service wants.
    #[must_use]
    pub fn contested(&self) -> &[Contest] {
        &self.contested
    }

    /// Where the pins are.
    #[must_use]
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    async fn observe(&self, wish: &Wish) -> Result<(Observed, Vec<Waiting>), PassError> {
        let doors = Doors {
            pins: &self.pins,
            cgroup: &self.cgroup,
            netlink: &self.netlink,
        };
        observe::observe(wish, &self.options, doors).await
    }

    fn plan(&mut self, wish: Wish, observed: &Observed) -> Result<Plan, PassError> {
        let outdated = match &self.loaded {
            Some(loaded) => loaded.outdated(&self.pins),
            None => programs::ALL.into_iter().map(programs::Outdated).collect(),
        };
        let operations = match wish.services {
            Some(wanted) => self.plan_services(wanted)?,
            None => Vec::new(),
        };
        let current = |name: &str| programs::current_id(&self.pins, name);
        Ok(plan::plan(
            &self.options,
            observed,
            operations,
            outdated,
            current,
        ))
    }
}

fn pins(options: &Options) -> Result<Pins, PassError> {
    let layouts = options.map_layouts.iter().cloned();
    Ok(Pins::below(&options.bpffs)?.with_layouts(layouts))
}

/// From where Services are seen on the node of these options, with the addresses that it has now.
///
/// # Errors
/// [`PassError`] if the interfaces cannot be looked at.
pub async fn here(options: &Options, netlink: &Netlink) -> Result<Here, PassError> {
    Ok(wish::here(options, &netlink.interfaces().await?))
}
