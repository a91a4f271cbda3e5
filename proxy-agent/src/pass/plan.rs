//! What to do: everything observed against everything wanted, as one value. Pure.

use std::fmt;

use proxy_abi::ownership::program;

use super::observe::Observed;
use crate::args::Options;
use crate::kernel::programs::Outdated;
use crate::kernel::sysctl;
use crate::plan::{cni_config, filters, interfaces, links, node_maps, routes, services};

/// A full pass's operations, in the order in which they are carried out.
#[derive(Debug)]
pub struct Plan {
    /// Kernel parameters to set.
    pub sysctls: Vec<sysctl::Wanted>,
    /// Writes of what the programs know of the node.
    pub node_maps: Vec<node_maps::Operation>,
    /// Writes of what they know of Services.
    pub services: Vec<services::Operation>,
    /// Programs to pin.
    pub programs: Vec<Outdated>,
    /// Links to make, change and remove.
    pub links: Vec<links::Operation>,
    /// Filters to put on pods' interfaces.
    pub filters: Vec<filters::Put>,
    /// Routes to put and delete.
    pub routes: Vec<routes::Operation>,
    /// The CNI configuration to write.
    pub cni_config: Option<String>,
}

/// Puts the plan together. Without a place only what needs none is planned; what is attached and
/// routed already stays as it is.
pub(super) fn plan(
    options: &Options,
    observed: &Observed,
    services: Vec<services::Operation>,
    programs: Vec<Outdated>,
    pinned: impl Fn(&str) -> Option<u32>,
) -> Plan {
    let Observed {
        sysctls,
        links,
        pod_interfaces,
        cgroup,
        interfaces,
        node_maps,
        masquerade,
        routes,
        cni_config,
        nodes,
        place,
    } = observed;
    let mut plan = Plan {
        sysctls: sysctls.clone(),
        node_maps: Vec::new(),
        services,
        programs,
        links: Vec::new(),
        filters: Vec::new(),
        routes: Vec::new(),
        cni_config: None,
    };
    let Some(place) = place else { return plan };
    let outdated = &plan.programs;
    // A program that is about to be pinned has no id yet, and every link of it is out of date.
    let current = |name: &str| match outdated.iter().any(|outdated| outdated.0 == name) {
        true => None,
        false => pinned(name),
    };
    let facts = node_maps::Facts {
        interfaces,
        uplinks: &place.uplinks,
        nodes,
        own: &place.own,
        masquerade,
    };
    plan.node_maps = node_maps::diff(node_maps, &node_maps::wanted(&facts));
    let uplinks = place.uplinks.iter().map(|uplink| &*uplink.name);
    let wanted = links::wanted(uplinks, *cgroup);
    plan.links = links::diff(links, &wanted, current);
    let linked = |interface: &str| links::is_linked(links, interface);
    plan.filters = filters::diff(pod_interfaces, linked, current(program::FROM_POD));
    plan.routes = routes::diff(routes, &place.routes);
    if !place.own.pod_cidrs.is_empty() {
        let text = cni_config::text(&cni_config::Facts {
            pod_cidrs: &place.own.pod_cidrs,
            mtu: interfaces::smallest_mtu(&place.uplinks),
            bpffs: &options.bpffs,
            data_dir: &options.cni_data_dir,
        });
        plan.cni_config = Some(text).filter(|text| cni_config.as_ref() != Some(text));
    }
    plan
}

impl Plan {
    /// Number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        let Self {
            sysctls,
            node_maps,
            services,
            programs,
            links,
            filters,
            routes,
            cni_config,
        } = self;
        sysctls.len()
            + node_maps.len()
            + services.len()
            + programs.len()
            + links.len()
            + filters.len()
            + routes.len()
            + usize::from(cni_config.is_some())
    }

    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One operation a line.
impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sysctls,
            node_maps,
            services,
            programs,
            links,
            filters,
            routes,
            cni_config,
        } = self;
        sysctls
            .iter()
            .try_for_each(|operation| writeln!(out, "{operation}"))?;
        node_maps
            .iter()
            .try_for_each(|operation| writeln!(out, "{operation}"))?;
        services
            .iter()
            .try_for_each(|operation| writeln!(out, "{operation}"))?;
        programs
            .iter()
            .try_for_each(|outdated| writeln!(out, "pin program {}", outdated.0))?;
        links
            .iter()
            .try_for_each(|operation| writeln!(out, "{operation}"))?;
        filters
            .iter()
            .try_for_each(|operation| writeln!(out, "{operation}"))?;
        routes
            .iter()
            .try_for_each(|operation| writeln!(out, "{operation}"))?;
        cni_config
            .iter()
            .try_for_each(|_| writeln!(out, "write the CNI configuration"))
    }
}
