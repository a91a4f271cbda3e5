//! `flatnet services [NAME]`: what the Services are on a node, from what the kernel holds, and why
//! nobody answers where nobody does.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use proxy_agent::kernel::maps::ServiceMaps;
use proxy_agent::kernel::pins::Pins;
use proxy_agent::local::api::{Frontend, Port, Service, Services, Side};

use crate::error::CliError;
use crate::nodes::Where;
use crate::print::{Form, Output};
use crate::table::Table;

/// Arguments of `flatnet services`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// One Service: NAME, or NAMESPACE/NAME.
    name: Option<String>,
    /// Those of one namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// Shows them.
///
/// # Errors
/// [`CliError`].
pub(crate) async fn run(at: &Where, args: &Args) -> Result<ExitCode, CliError> {
    let path = path(args.name.as_deref(), args.namespace.as_deref());
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

/// What is asked for: one Service, by `NAME` or `NAMESPACE/NAME`, those of a namespace, or all.
pub(crate) fn path(name: Option<&str>, namespace: Option<&str>) -> String {
    let (namespace, name) = match name.map(|name| (name, name.split_once('/'))) {
        Some((_, Some((namespace, name)))) => (Some(namespace), Some(name)),
        _ => (namespace, name),
    };
    let pair = |key: &str, value: Option<&str>| Some(format!("{key}={}", encoded(value?)));
    let pairs = [pair("namespace", namespace), pair("name", name)];
    let pairs: Vec<String> = pairs.into_iter().flatten().collect();
    match pairs.is_empty() {
        true => "/v1/services".to_owned(),
        false => format!("/v1/services?{}", pairs.join("&")),
    }
}

/// A word as a query has it: Kubernetes' names need nothing, other bytes are spelled out.
fn encoded(word: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    word.bytes().map(byte).collect()
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
    print!("{}", table.text());
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use proxy_agent::local::api::{Endpoint, Nobody};

    use super::*;

    fn args(name: Option<&str>, namespace: Option<&str>) -> Args {
        Args {
            name: name.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            form: Form {
                output: Output::Text,
                watch: false,
            },
        }
    }

    fn web(endpoints: &[&str], nobody: Option<&str>) -> Service {
        let nobody = nobody.map(|code| Nobody {
            code: code.to_owned(),
            words: format!("because of {code}"),
        });
        let side = Side {
            endpoints: endpoints
                .iter()
                .map(|at| at.parse().expect("an address"))
                .collect(),
            drops: false,
            nobody,
        };
        Service {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            unserved: None,
            affinity_seconds: 0,
            source_ranges: vec![],
            ports: vec![Port {
                name: "http".to_owned(),
                protocol: "TCP".to_owned(),
                port: 80,
                node_port: None,
                frontends: vec![Frontend {
                    address: "10.96.0.1".parse().expect("an address"),
                    port: 80,
                    kind: "cluster-ip".to_owned(),
                    programmed: "yes".to_owned(),
                    inside: side.clone(),
                    outside: side,
                    masquerade: true,
                    limited: false,
                }],
                endpoints: vec![Endpoint {
                    at: "10.244.1.2:8080".parse().expect("an address"),
                    slice: "web-1".to_owned(),
                    node: Some("n1".to_owned()),
                    zone: None,
                    ready: false,
                    serving: false,
                    terminating: false,
                    takes: false,
                    why: "not ready".to_owned(),
                }],
            }],
        }
    }

    fn on(node: &str, service: Service) -> Services {
        Services {
            node: node.to_owned(),
            services: vec![service],
        }
    }

    #[test]
    fn the_question_names_what_is_wanted() {
        let rows = [
            (None, None, "/v1/services"),
            (Some("web"), None, "/v1/services?name=web"),
            (Some("a/web"), None, "/v1/services?namespace=a&name=web"),
            (None, Some("a b"), "/v1/services?namespace=a%20b"),
        ];
        for (name, namespace, expected) in rows {
            assert_eq!(path(name, namespace), expected);
        }
    }

    #[test]
    fn a_list_has_a_line_for_each_frontend_and_names_the_node_where_there_are_many() {
        let all = [on("n1", web(&["10.244.1.2:8080"], None))];
        let one = "NAMESPACE  NAME  PORT         FRONTEND      ENDPOINTS\n\
                   shop       web   http:80/tcp  10.96.0.1:80  1\n";
        assert_eq!(text(&all, &args(None, None), false), one);
        let many = text(&all, &args(None, None), true);
        assert!(many.contains("\nn1    shop"), "{many}");
        let mut other = web(&[], Some("none-ready"));
        other.ports[0].frontends[0].programmed = "missing".to_owned();
        let nobody = text(&[on("n1", other)], &args(None, None), false);
        assert!(
            nobody.contains("0 (none-ready) [kernel: missing]"),
            "{nobody}"
        );
    }

    #[test]
    fn one_service_is_told_in_full() {
        let all = [on("n1", web(&[], Some("none-ready")))];
        let told = text(&all, &args(Some("web"), None), false);
        for words in [
            "shop/web on n1",
            "10.96.0.1:80 (cluster-ip): 0 (none-ready)",
            "clients from inside are refused: because of none-ready",
            "10.244.1.2:8080  n1    web-1  not ready",
        ] {
            assert!(told.contains(words), "no {words:?} in\n{told}");
        }
        assert!(!told.contains("clients from outside"), "the same:\n{told}");
        let mut headless = web(&[], None);
        headless.unserved = Some(Nobody {
            code: "headless".to_owned(),
            words: "DNS names its pods".to_owned(),
        });
        let told = text(&[on("n1", headless)], &args(Some("web"), None), false);
        assert!(
            told.contains("not served here: DNS names its pods"),
            "{told}"
        );
    }
}
