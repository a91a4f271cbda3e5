//! `flatnet services [NAME]`: what the Services are on a node, from what the kernel holds, and why
//! nobody answers where nobody does.

#[cfg(test)]
mod tests;
mod which;

pub(crate) use which::Which as Args;

use std::process::ExitCode;

use proxy_agent::kernel::maps::ServiceMaps;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::local::api::{Frontend, Port, Service, Services, Side};

use crate::error::CliError;
use crate::nodes::Where;
use crate::print::{Output, say};
use crate::table::Table;

/// Shows them.
///
/// # Errors
/// [`CliError`].
pub(crate) async fn run(at: &Where, args: &Args) -> Result<ExitCode, CliError> {
    let path = args.path();
    let agents = at.agents().await?;
    loop {
        let mut all = Vec::new();
        for agent in &agents {
            match agent.get::<Services>(&path).await {
                Ok(services) => all.push(services),
                Err(error) if error.is_down() && agent.node.is_none() => {
                    return nameless(at, &error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(name) = &args.name
            && all.iter().all(|node| node.services.is_empty())
        {
            let text = format!("no node knows a Service {name}; -n names its namespace");
            return Err(CliError::NotFound(text));
        }
        args.form.print(&all, || text(&all, args, agents.len() > 1));
        if !args.form.again().await {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn text(all: &[Services], args: &Args, many: bool) -> String {
    if args.name.is_some() {
        let services = all.iter().flat_map(|node| {
            let named = node.services.iter();
            named.map(|service| details(&node.node, service))
        });
        return services.collect::<Vec<_>>().join("\n");
    }
    let wide = args.form.output == Output::Wide;
    let mut head = vec!["NAMESPACE", "NAME", "PORT", "FRONTEND", "ENDPOINTS"];
    if many {
        head.insert(0, "NODE");
    }
    let mut table = Table::new(&head);
    for Services { node, services } in all {
        for service in services {
            for cells in rows(service, wide) {
                let first = many.then(|| node.clone());
                table.row(first.into_iter().chain(cells));
            }
        }
    }
    table.text()
}

fn rows(service: &Service, wide: bool) -> Vec<Vec<String>> {
    let row = |port: String, frontend: String, endpoints: String| {
        let (namespace, name) = (service.namespace.clone(), service.name.clone());
        vec![namespace, name, port, frontend, endpoints]
    };
    if let Some(unserved) = &service.unserved {
        return vec![row("-".into(), "-".into(), unserved.code.clone())];
    }
    let each = service.ports.iter().flat_map(|port| {
        let frontends = port.frontends.iter();
        frontends.map(|front| row(port_name(port), at(front), brief(front, wide)))
    });
    each.collect()
}

pub(crate) fn port_name(port: &Port) -> String {
    let protocol = port.protocol.to_lowercase();
    match port.name.as_str() {
        "" => format!("{}/{protocol}", port.port),
        name => format!("{name}:{}/{protocol}", port.port),
    }
}

fn at(front: &Frontend) -> String {
    std::net::SocketAddr::new(front.address, front.port).to_string()
}

/// The number of endpoints, and what is not as it should be.
fn brief(front: &Frontend, wide: bool) -> String {
    let mut words = match (front.inside.endpoints.len(), front.outside.endpoints.len()) {
        (inside, outside) if inside == outside => inside.to_string(),
        (inside, outside) => format!("{inside}, from outside {outside}"),
    };
    if wide && !front.inside.endpoints.is_empty() {
        let list: Vec<_> = front
            .inside
            .endpoints
            .iter()
            .map(ToString::to_string)
            .collect();
        words += &format!(" ({})", list.join(" "));
    }
    if let Some(nobody) = &front.inside.nobody {
        words += &format!(" ({})", nobody.code);
    }
    if front.programmed != "yes" {
        words += &format!(" [kernel: {}]", front.programmed);
    }
    words
}

/// Everything about one Service on one node.
fn details(node: &str, service: &Service) -> String {
    let mut text = format!("{}/{} on {node}\n", service.namespace, service.name);
    if let Some(unserved) = &service.unserved {
        text += &format!("  not served here: {}\n", unserved.words);
        return text;
    }
    for port in &service.ports {
        text += &format!("  port {}\n", port_name(port));
        for front in &port.frontends {
            text += &format!(
                "    {} ({}): {}\n",
                at(front),
                front.kind,
                brief(front, false)
            );
            text += &side("inside", &front.inside);
            if front.outside != front.inside {
                text += &side("outside", &front.outside);
            }
        }
        let mut table = Table::new(&["    ENDPOINT", "NODE", "SLICE", "STATE"]);
        for one in &port.endpoints {
            let node = one.node.clone().unwrap_or_default();
            let cells = [
                format!("    {}", one.at),
                node,
                one.slice.clone(),
                one.why.clone(),
            ];
            table.row(cells);
        }
        if !table.is_empty() {
            text += &table.text();
        }
    }
    text
}

fn side(name: &str, side: &Side) -> String {
    let Some(nobody) = &side.nobody else {
        return String::new();
    };
    let does = if side.drops { "dropped" } else { "refused" };
    format!("      clients from {name} are {does}: {}\n", nobody.words)
}

/// What the maps hold, while no agent gives names.
fn nameless(at: &Where, why: &str) -> Result<ExitCode, CliError> {
    eprintln!("flatnet: {why}; without it frontends have no names");
    let held = ServiceMaps::open(&Pins::below(&at.bpffs)?)?.observe()?;
    let mut table = Table::new(&["FRONTEND", "PROTOCOL", "ENDPOINTS"]);
    for (key, front) in held.frontends.iter().filter(|(key, _)| !key.is_whole()) {
        let address = std::net::IpAddr::from(key.address);
        let at = std::net::SocketAddr::new(address, key.port.number());
        let protocol = proxy_agent::plan::flows::protocol_name(key.protocol).to_owned();
        let (inside, outside) = (front.inside.len(), front.outside.len());
        let count = match inside == outside {
            true => inside.to_string(),
            false => format!("{inside}, from outside {outside}"),
        };
        table.row([at.to_string(), protocol, count]);
    }
    say(&table.text());
    Ok(ExitCode::FAILURE)
}
