//! `flatnet status`: how the nodes fare. While a node's own agent is down, what the kernel holds
//! is read here.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::kernel::routes::Netlink;
use proxy_agent::local::api::{Cluster, Kernel, Status};
use proxy_agent::local::kernel;
use serde::Serialize;

use crate::agent::AskError;
use crate::drops;
use crate::error::CliError;
use crate::nodes::{Agent, Where};
use crate::print::{Form, Output};

/// Arguments of `flatnet status`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    form: Form,
}

/// A node as it was found.
#[derive(Debug, Serialize)]
struct Found {
    node: String,
    /// Why the agent says nothing, if so.
    agent_error: Option<String>,
    #[serde(flatten)]
    status: Option<Status>,
    /// What was read without the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_read: Option<Kernel>,
}

/// Shows it; fails if a node does not work in full.
///
/// # Errors
/// [`CliError`].
pub(crate) async fn run(at: &Where, args: &Args) -> Result<ExitCode, CliError> {
    let agents = at.agents().await?;
    loop {
        let mut all = Vec::new();
        for agent in &agents {
            all.push(look(at, agent).await?);
        }
        let wide = args.form.output == Output::Wide;
        args.form.print(&all, || text(&all, wide));
        if !args.form.again().await {
            return Ok(match all.iter().all(works) {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            });
        }
    }
}

async fn look(at: &Where, agent: &Agent) -> Result<Found, CliError> {
    match agent.get::<Status>("/v1/status").await {
        Ok(status) => Ok(Found {
            node: status.node.clone(),
            agent_error: None,
            status: Some(status),
            kernel_read: None,
        }),
        Err(error) => {
            let kernel = without_agent(at, agent, &error).await?;
            Ok(Found {
                node: agent.name().to_owned(),
                agent_error: Some(error.to_string()),
                status: None,
                kernel_read: kernel,
            })
        }
    }
}

/// What this node's kernel holds; that of another node nobody but its agent can read.
async fn without_agent(
    at: &Where,
    agent: &Agent,
    error: &AskError,
) -> Result<Option<Kernel>, CliError> {
    if agent.node.is_some() || !error.is_down() {
        return Ok(None);
    }
    let pins = Pins::below(&at.bpffs)?;
    let netlink = Netlink::open().map_err(CliError::doing("open a netlink socket"))?;
    Ok(Some(kernel::look(&pins, &netlink).await?))
}

fn works(found: &Found) -> bool {
    let status = found.status.as_ref();
    status.is_some_and(|status| status.waiting.is_empty() && is_whole(&status.kernel))
}

/// Whether every program is there and every place runs the one that is pinned.
fn is_whole(kernel: &Kernel) -> bool {
    kernel.programs.iter().all(|program| program.id.is_some())
        && kernel.attached.iter().all(|one| one.program.is_some())
}

fn text(all: &[Found], wide: bool) -> String {
    let each = all.iter().map(|found| {
        let mut text = format!("{}\n", found.node);
        let mut say = |what: &str, words: &str| text += &format!("  {what:<12}{words}\n");
        if let Some(error) = &found.agent_error {
            say("agent", error);
        }
        if let Some(status) = &found.status {
            say("agent", &format!("{} runs", status.version));
            say("cluster", &cluster(&status.cluster));
            for waiting in &status.waiting {
                say("waits for", waiting);
            }
        }
        let kernel = found.status.as_ref().map(|status| &status.kernel);
        if let Some(kernel) = kernel.or(found.kernel_read.as_ref()) {
            text += &of_kernel(kernel, wide);
        }
        text
    });
    each.collect::<Vec<_>>().join("\n")
}

fn cluster(cluster: &Cluster) -> String {
    let Cluster {
        synced,
        age_seconds,
        services,
        nodes,
    } = cluster;
    let heard = age_seconds.map_or("never".to_owned(), |age| format!("{age:.0} s ago"));
    let whole = match synced {
        true => String::new(),
        false => ", not listed in full yet".to_owned(),
    };
    format!("{services} Services, {nodes} nodes; API server last heard of {heard}{whole}")
}

fn of_kernel(kernel: &Kernel, wide: bool) -> String {
    let mut text = String::new();
    let mut say = |what: &str, words: String| text += &format!("  {what:<12}{words}\n");
    let missing: Vec<_> = kernel
        .programs
        .iter()
        .filter(|one| one.id.is_none())
        .collect();
    let old = kernel.attached.iter().filter(|one| one.program.is_none());
    say(
        "programs",
        format!(
            "{} pinned, in {} places{}",
            kernel.programs.len() - missing.len(),
            kernel.attached.len(),
            match old.count() {
                0 => String::new(),
                old => format!(", {old} of them an older program"),
            }
        ),
    );
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|one| one.name.as_str()).collect();
        say("missing", names.join(", "));
    }
    let maps: Vec<_> = kernel
        .maps
        .iter()
        .map(|map| format!("{} {}/{}", map.name, map.used, map.size))
        .collect();
    for (index, line) in maps.chunks(4).enumerate() {
        say(if index == 0 { "maps" } else { "" }, line.join(", "));
    }
    let dropped = drops::of(&kernel.counters);
    say("drops", drops::summary(&dropped));
    if wide {
        for one in &kernel.attached {
            let program = one.program.as_deref().unwrap_or("older program");
            say(
                "",
                format!("{} {}: {program} (id {})", one.hook, one.place, one.id),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proxy_agent::local::api::{Attached, Count, MapUse, Program};

    use super::*;

    fn kernel() -> Kernel {
        Kernel {
            programs: vec![Program {
                name: "from_pod".to_owned(),
                id: Some(7),
            }],
            attached: vec![Attached {
                hook: "ingress".to_owned(),
                place: "fn0".to_owned(),
                id: 7,
                program: Some("from_pod".to_owned()),
            }],
            maps: vec![MapUse {
                name: "flows".to_owned(),
                used: 2,
                size: 64,
            }],
            counters: vec![Count {
                name: "forged-source".to_owned(),
                value: 3,
            }],
        }
    }

    fn found(status: Option<Status>) -> Found {
        Found {
            node: "n1".to_owned(),
            agent_error: status.is_none().then(|| "down".to_owned()),
            kernel_read: status.is_none().then(kernel),
            status,
        }
    }

    fn status() -> Status {
        Status {
            node: "n1".to_owned(),
            version: "1.2.3".to_owned(),
            cluster: Cluster {
                synced: true,
                age_seconds: Some(3.6),
                services: 5,
                nodes: 3,
            },
            waiting: vec![],
            kernel: kernel(),
        }
    }

    #[test]
    fn a_node_that_works_is_told_in_six_lines() {
        let found = found(Some(status()));
        assert!(works(&found));
        let lines = "n1\n  agent       1.2.3 runs\n  cluster     5 Services, 3 nodes; API server \
                     last heard of 4 s ago\n  programs    1 pinned, in 1 places\n  maps        \
                     flows 2/64\n  drops       3 (forged-source 3)\n";
        assert_eq!(text(&[found], false), lines);
    }

    #[test]
    fn what_keeps_a_node_from_working_is_named() {
        let waits = Status {
            waiting: vec!["a pod CIDR".to_owned()],
            ..status()
        };
        let mut lacks = status();
        lacks.kernel.programs[0].id = None;
        let mut old = status();
        old.kernel.attached[0].program = None;
        for (node, words) in [
            (found(Some(waits)), "waits for   a pod CIDR"),
            (found(Some(lacks)), "missing     from_pod"),
            (found(Some(old)), "1 of them an older program"),
            (found(None), "agent       down\n  programs    1 pinned"),
        ] {
            assert!(!works(&node));
            let text = text(&[node], false);
            assert!(text.contains(words), "{text}");
        }
    }
}
