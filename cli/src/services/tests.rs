//! Services of one node and of several, in words.

use proxy_agent::local::api::{Endpoint, Nobody};

use super::*;
use crate::print::Form;

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
