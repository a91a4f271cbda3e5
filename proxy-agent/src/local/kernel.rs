//! What the kernel holds of ours, read and told as it is. It needs no agent and no API server.

use proxy_abi::Counter;
use proxy_abi::ownership::map;

use super::api::{Attached, Count, Kernel, MapUse, Program};
use crate::kernel::counters;
use crate::kernel::links::{self, LinksError};
use crate::kernel::maps::MapsError;
use crate::kernel::pins::Pins;
use crate::kernel::programs;
use crate::kernel::routes::{Netlink, NetlinkError};
use crate::kernel::walk;
use crate::plan::filters::Side;
use crate::plan::links::Hook;

/// The maps of which it says something how full they are; of the others everything is always
/// there, or the agent's alone.
const FILLED: [&str; 9] = [
    map::FRONTENDS,
    map::FLOWS,
    map::OPENINGS,
    map::PODS,
    map::HOST_PORTS,
    map::AFFINITY,
    map::SOURCE_RANGES,
    map::INSIDE,
    map::UPLINKS,
];

/// The kernel cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Its links.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// Its interfaces and filters.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Its maps.
    #[error(transparent)]
    Maps(#[from] MapsError),
}

/// Looks at programs, where they run, maps and counters.
///
/// # Errors
/// [`LookError`].
pub async fn look(pins: &Pins, netlink: &Netlink) -> Result<Kernel, LookError> {
    let program = |name: &str| Program {
        name: name.to_owned(),
        id: programs::current_id(pins, name),
    };
    let programs: Vec<Program> = programs::ALL.into_iter().map(program).collect();
    let attached = attached(pins, netlink, &programs).await?;
    let used = |name: &str| {
        let walk::Use { used, size } = walk::count(pins, name).ok()?;
        let name = name.to_owned();
        Some(MapUse { name, used, size })
    };
    Ok(Kernel {
        attached,
        maps: FILLED.into_iter().filter_map(used).collect(),
        counters: counts(pins),
        programs,
    })
}

fn counts(pins: &Pins) -> Vec<Count> {
    let count = |(counter, value): (Counter, u64)| Count {
        name: counter.name().to_owned(),
        value,
    };
    counters::read(pins).into_iter().map(count).collect()
}

/// Everywhere that programs of ours run: by links and by filters.
async fn attached(
    pins: &Pins,
    netlink: &Netlink,
    programs: &[Program],
) -> Result<Vec<Attached>, LookError> {
    let interfaces = netlink.interfaces().await?;
    let mut found = Vec::new();
    let mut note = |hook: &str, place: &str, id: u32| {
        let named = programs.iter().find(|program| program.id == Some(id));
        found.push(Attached {
            hook: hook.to_owned(),
            place: place.to_owned(),
            id,
            program: named.map(|program| program.name.clone()),
        });
    };
    for link in links::observe(pins, &interfaces)?.into_values() {
        match &link.hook {
            Hook::Ingress(name) => note("ingress", name, link.program_id),
            Hook::Egress(name) => note("egress", name, link.program_id),
            Hook::Cgroup(id) => note("cgroup", &id.to_string(), link.program_id),
            Hook::Gone => {}
        }
    }
    for (name, pods) in netlink.pod_interfaces().await? {
        for (side, id) in pods.programs {
            note(side_name(side), &name, id);
        }
    }
    for ((name, side), id) in netlink.own_filters(&interfaces).await? {
        note(side_name(side), &name, id);
    }
    found.sort();
    Ok(found)
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Ingress => "ingress",
        Side::Egress => "egress",
    }
}
