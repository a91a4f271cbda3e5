//! `prevResult`: what the ADD of this attachment ended with, after all plugins of the list. CHECK
//! measures the node by it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;

/// The result, as far as it concerns an interface of ours. What else a plugin may have put into
/// it is not looked at.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Previous {
    interfaces: Option<Vec<Interface>>,
    ips: Option<Vec<Address>>,
    routes: Option<Vec<Route>>,
}

/// An interface of the result.
#[derive(Debug, Deserialize)]
pub(crate) struct Interface {
    name: String,
    /// As text.
    pub(crate) mac: Option<String>,
    /// In bytes; from version 1.1.0 on.
    pub(crate) mtu: Option<u32>,
    sandbox: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Address {
    interface: Option<i64>,
    address: IpNet,
}

#[derive(Debug, Deserialize)]
struct Route {
    dst: IpNet,
    gw: Option<IpAddr>,
}

impl Previous {
    /// Decodes a result.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn decode(result: &Value) -> Result<Self, Error> {
        Self::deserialize(result).map_err(Error::PrevResult)
    }

    /// The interface of that name, in a pod or on the node.
    pub(crate) fn interface(&self, name: &str, in_pod: bool) -> Option<&Interface> {
        let position = self.position(name, in_pod)?;
        self.interfaces.as_ref()?.get(position)
    }

    /// The addresses of the interface of that name in the pod.
    pub(crate) fn addresses(&self, name: &str) -> Vec<IpNet> {
        let Some(position) = self.position(name, true) else {
            return Vec::new();
        };
        let ips = self.ips.iter().flatten();
        let theirs = ips.filter(|ip| {
            let interface = ip.interface.and_then(|index| usize::try_from(index).ok());
            interface == Some(position)
        });
        theirs.map(|ip| ip.address).collect()
    }

    /// Whether a route to there through that hop is in the result.
    pub(crate) fn has_route(&self, to: IpNet, via: IpAddr) -> bool {
        let mut routes = self.routes.iter().flatten();
        routes.any(|route| route.dst == to && route.gw == Some(via))
    }

    fn position(&self, name: &str, in_pod: bool) -> Option<usize> {
        let mut interfaces = self.interfaces.iter().flatten();
        interfaces.position(|interface| {
            let sandbox = interface.sandbox.as_deref().unwrap_or_default();
            interface.name == name && sandbox.is_empty() != in_pod
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_result_after_other_plugins() {
        let previous = Previous::decode(&json!({
            "cniVersion": "1.0.0",
            "interfaces": [
                {"name": "eth0", "mac": "aa"},
                {"name": "fn01", "mac": "02:00:00:00:00:01"},
                {"name": "eth0", "mac": "02:00:00:00:00:02", "mtu": 1450, "sandbox": "/n"},
                {"name": "bwp7"},
            ],
            "ips": [
                {"interface": 2, "address": "10.0.0.2/32"},
                {"interface": 0, "address": "10.0.0.3/32"},
                {"interface": -1, "address": "10.0.0.4/32"},
                {"address": "10.0.0.5/32"},
                {"interface": 2, "address": "fd00::2/128", "gateway": "fe80::1"},
            ],
            "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0"}],
            "dns": {},
        }))
        .unwrap();
        let net = |text: &str| -> IpNet { text.parse().unwrap() };
        assert_eq!(
            previous.addresses("eth0"),
            [net("10.0.0.2/32"), net("fd00::2/128")]
        );
        assert_eq!(previous.interface("eth0", true).unwrap().mtu, Some(1450));
        assert!(previous.interface("fn01", false).is_some());
        assert!(previous.interface("fn01", true).is_none());
        let hop = "169.254.1.1".parse().unwrap();
        assert!(previous.has_route(net("0.0.0.0/0"), hop));
        assert!(!previous.has_route(net("::/0"), "fe80::1".parse().unwrap()));
    }

    #[test]
    fn a_result_of_nothing_and_what_is_none() {
        for result in [
            json!({}),
            json!({"interfaces": null, "ips": null, "routes": null}),
        ] {
            let previous = Previous::decode(&result).unwrap();
            assert_eq!(previous.addresses("eth0"), []);
        }
        for broken in [
            json!([]),
            json!(7),
            json!({"ips": [{"address": "10.0.0.300/32"}]}),
        ] {
            let refused = Previous::decode(&broken).unwrap_err();
            assert!(matches!(refused, Error::PrevResult(_)), "{broken}");
        }
    }
}
