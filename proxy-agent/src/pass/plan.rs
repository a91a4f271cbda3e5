//! What to do: everything observed against everything wanted, as one value. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::observe::{Observed, Position};
use super::wish;
use crate::args::Options;
use crate::kernel::earlier::Pinned;
use crate::kernel::programs::Outdated;
use crate::kernel::sysctl;
use crate::plan::{cni_config, filters, links, node_maps, routes, services, tunnels};

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
    /// Tunnels and what they must know.
    pub tunnels: Vec<tunnels::Operation>,
    /// Links to make, change and remove.
    pub links: Vec<links::Operation>,
    /// Filters to put and remove.
    pub filters: Vec<filters::Operation>,
    /// Routes and rules to put and delete.
    pub routes: Vec<routes::Operation>,
    /// What of tunnels nothing needs any more.
    pub leftovers: Vec<tunnels::Operation>,
    /// Pins of another version, which go when nothing runs any more that uses them.
    pub earlier: Vec<Pinned>,
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
    let mut plan = Plan {
        sysctls: observed.sysctls.clone(),
        node_maps: Vec::new(),
        services,
        programs,
        tunnels: Vec::new(),
        links: Vec::new(),
        filters: Vec::new(),
        routes: Vec::new(),
        leftovers: Vec::new(),
        earlier: Vec::new(),
        cni_config: None,
    };
    let Some(place) = &observed.place else {
        return plan;
    };
    let here = wish::here(options, &observed.interfaces);
    let facts = node_maps::Facts {
        interfaces: &observed.interfaces,
        uplinks: &place.uplinks,
        nodes: &observed.nodes,
        own: &place.own,
        service_cidrs: &observed.service_cidrs,
        node_ports: &here.node_port_addresses(Some(&place.own)),
        masquerade: &observed.masquerade,
        this: observed.this,
    };
    plan.node_maps = node_maps::diff(&observed.node_maps, &node_maps::wanted(&facts));
    let remade = plan.ways(observed, place);
    plan.hooks(observed, place, &remade, pinned);
    plan.earlier.clone_from(&observed.earlier);
    if !place.own.pod_cidrs.is_empty() {
        let text = cni_config::text(&cni_config::Facts {
            pod_cidrs: &place.own.pod_cidrs,
            mtu: place.ways.mtu(&place.uplinks),
            bpffs: &options.bpffs,
            data_dir: &options.cni_data_dir,
        });
        plan.cni_config = Some(text).filter(|text| observed.cni_config.as_ref() != Some(text));
    }
    plan
}

impl Plan {
    /// Tunnels, routes and rules. Returns the tunnels that are made anew.
    fn ways(&mut self, observed: &Observed, place: &Position) -> BTreeSet<String> {
        let Position { ways, .. } = place;
        let tunnels = tunnels::diff(&observed.tunnels, &ways.tunnels);
        self.tunnels = tunnels.first;
        self.leftovers = tunnels.last;
        let stays = |via: &routes::Via| !tunnels.remade.contains(&via.interface);
        let routes = observed.routes.iter().filter(|(_, via)| stays(via));
        let routes = routes.map(|(to, via)| (*to, via.clone())).collect();
        self.routes = routes::diff(&routes, &ways.routes);
        let rules = routes::diff_rules(&observed.rules, &ways.rules);
        self.routes.extend(rules);
        tunnels.remade
    }

    /// What runs where.
    fn hooks(
        &mut self,
        observed: &Observed,
        place: &Position,
        remade: &BTreeSet<String>,
        pinned: impl Fn(&str) -> Option<u32>,
    ) {
        let outdated = &self.programs;
        // A program that is about to be pinned has no id yet, and every link of it is out of date.
        let current = |name: &str| match outdated.iter().any(|outdated| outdated.0 == name) {
            true => None,
            false => pinned(name),
        };
        let tunnels = place.ways.tunnels.keys().map(String::as_str);
        let uplinks = place.uplinks.iter().map(|uplink| &*uplink.name);
        let mut wanted = links::wanted(uplinks, tunnels, observed.cgroup);
        let mut links = observed.links.clone();
        for link in links.values_mut() {
            if link.hook.interface().is_some_and(|on| remade.contains(on)) {
                link.hook = links::Hook::Gone;
            }
        }
        let own_filters = match observed.tcx {
            true => BTreeMap::new(),
            false => filters::instead_of(&mut wanted),
        };
        // One that is down is still the plugin's, which attaches them before it is up.
        let pods = observed.pod_interfaces.iter().filter(|(_, one)| one.up);
        wanted.extend(links::of_pods(&links, pods.map(|(name, _)| name.as_str())));
        let mut own = observed.own_filters.clone();
        own.retain(|(interface, _), _| !remade.contains(interface));
        self.links = links::diff(&links, &wanted, current);
        let linked = |program: &str, interface: &str| links::has_link(&links, program, interface);
        self.filters = filters::diff(&observed.pod_interfaces, linked, current);
        let own = filters::diff_own(&own, &own_filters, current);
        self.filters.extend(own);
    }

    /// What somebody else must have changed, if the cluster did not: of each kind how many. (What
    /// the programs are told of interfaces follows these, and is no repair.)
    #[must_use]
    pub fn repairs(&self) -> [(&'static str, usize); 7] {
        [
            ("sysctl", self.sysctls.len()),
            ("service", self.services.len()),
            ("program", self.programs.len()),
            ("link", self.links.len()),
            ("filter", self.filters.len()),
            ("route", self.routes.len()),
            ("cni-config", usize::from(self.cni_config.is_some())),
        ]
    }

    /// Number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        let Self {
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
        } = self;
        sysctls.len()
            + node_maps.len()
            + services.len()
            + programs.len()
            + tunnels.len()
            + links.len()
            + filters.len()
            + routes.len()
            + leftovers.len()
            + earlier.len()
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
            tunnels,
            links,
            filters,
            routes,
            leftovers,
            earlier,
            cni_config,
        } = self;
        lines(out, sysctls)?;
        lines(out, node_maps)?;
        lines(out, services)?;
        for outdated in programs {
            writeln!(out, "pin program {}", outdated.0)?;
        }
        lines(out, tunnels)?;
        lines(out, links)?;
        lines(out, filters)?;
        lines(out, routes)?;
        lines(out, leftovers)?;
        lines(out, earlier)?;
        match cni_config {
            Some(_) => writeln!(out, "write the CNI configuration"),
            None => Ok(()),
        }
    }
}

fn lines(out: &mut fmt::Formatter<'_>, operations: &[impl fmt::Display]) -> fmt::Result {
    operations
        .iter()
        .try_for_each(|operation| writeln!(out, "{operation}"))
}
