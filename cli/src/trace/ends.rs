//! The two ends of a path as people say them, and what they are.

use std::net::{IpAddr, SocketAddr};

use crate::error::CliError;

/// An end as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// `pod/NAME`, with a port where it is the far end.
    Pod(String, Option<u16>),
    /// `deploy/NAME`: a ready pod of it.
    Deploy(String, Option<u16>),
    /// `svc/NAME[:PORT]` or `NAME.NAMESPACE[:PORT]`: namespace if told, name, port or its name.
    Service(Option<String>, String, Option<String>),
    /// `node/NAME`.
    Node(String, Option<u16>),
    /// An address.
    Address(IpAddr, Option<u16>),
    /// A client beyond the nodes.
    Outside,
}

impl Named {
    /// Reads what was typed.
    ///
    /// # Errors
    /// [`CliError::NotFound`], saying what may be typed.
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        if text == "outside" {
            return Ok(Self::Outside);
        }
        if let Ok(at) = text.parse::<SocketAddr>() {
            return Ok(Self::Address(at.ip(), Some(at.port())));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address, None));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let number = || -> Result<Option<u16>, CliError> {
            let read = |port: &str| port.parse().map_err(|_| wrong(text));
            port.map(read).transpose()
        };
        match name.split_once('/') {
            Some(("pod" | "pods" | "po", pod)) => Ok(Self::Pod(pod.to_owned(), number()?)),
            Some(("deploy" | "deployment" | "deployments", name)) => {
                Ok(Self::Deploy(name.to_owned(), number()?))
            }
            Some(("node" | "nodes" | "no", node)) => Ok(Self::Node(node.to_owned(), number()?)),
            Some(("svc" | "service" | "services", name)) => Ok(Self::Service(
                None,
                name.to_owned(),
                port.map(str::to_owned),
            )),
            Some(_) => Err(wrong(text)),
            None => service(name, port).ok_or_else(|| wrong(text)),
        }
    }
}

/// A Service's name in DNS: `backend`, `backend.default`, `backend.default.svc.cluster.local`.
fn service(name: &str, port: Option<&str>) -> Option<Named> {
    let mut labels = name.trim_end_matches('.').split('.');
    let service = labels.next().filter(|label| !label.is_empty())?;
    let namespace = labels.next().map(str::to_owned);
    let is_service = labels.next().is_none_or(|label| label == "svc");
    let port = port.map(str::to_owned);
    is_service.then(|| Named::Service(namespace, service.to_owned(), port))
}

fn wrong(text: &str) -> CliError {
    CliError::NotFound(format!(
        "{text:?} is no end of a path: expected pod/NAME, deploy/NAME, svc/NAME[:PORT], \
         NAME.NAMESPACE[:PORT], node/NAME, ADDRESS[:PORT] or outside"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_as_people_say_them() {
        let text = |word: &str| Some(word.to_owned());
        let service = |namespace: Option<&str>, name: &str, port: Option<&str>| {
            Named::Service(
                namespace.and_then(text),
                name.to_owned(),
                port.and_then(text),
            )
        };
        let rows = [
            ("outside", Named::Outside),
            ("pod/web-1", Named::Pod("web-1".to_owned(), None)),
            ("pod/web-1:8080", Named::Pod("web-1".to_owned(), Some(8080))),
            ("deploy/web", Named::Deploy("web".to_owned(), None)),
            ("svc/backend:http", service(None, "backend", Some("http"))),
            ("backend", service(None, "backend", None)),
            (
                "backend.shop:80",
                service(Some("shop"), "backend", Some("80")),
            ),
            (
                "backend.shop.svc.cluster.local",
                service(Some("shop"), "backend", None),
            ),
            (
                "node/node1:30080",
                Named::Node("node1".to_owned(), Some(30080)),
            ),
            ("1.2.3.4:80", Named::Address([1, 2, 3, 4].into(), Some(80))),
            (
                "[fd00::1]:80",
                Named::Address("fd00::1".parse().expect("v6"), Some(80)),
            ),
            (
                "fd00::1",
                Named::Address("fd00::1".parse().expect("v6"), None),
            ),
        ];
        for (typed, expected) in rows {
            let read = Named::parse(typed);
            assert_eq!(read.ok(), Some(expected), "{typed}");
        }
        for wrong in ["", "job/x", "pod/x:y", "www.example.com"] {
            assert!(Named::parse(wrong).is_err(), "{wrong}");
        }
    }
}
