//! What a successful verb answers, in the version of the specification it was asked in.

use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::{self, End, Plan};
use crate::request::Add;
use crate::version::CniVersion;

/// A successful outcome.
#[derive(Debug)]
pub(crate) enum Reply {
    /// To ADD.
    Attached(Box<AddResult>),
    /// To DEL: nothing to say.
    Done,
    /// To VERSION.
    Versions(CniVersion),
}

impl Reply {
    /// What to print; `None` for nothing at all.
    pub(crate) fn to_json(&self) -> Option<String> {
        match self {
            Self::Attached(result) => Some(json!(result).to_string()),
            Self::Done => None,
            Self::Versions(spoken) => {
                let all = CniVersion::ALL.map(CniVersion::as_str);
                Some(json!({"cniVersion": spoken.as_str(), "supportedVersions": all}).to_string())
            }
        }
    }
}

/// The success structure of the specification (1.1.0, section 5, "ADD Success").
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddResult {
    cni_version: &'static str,
    interfaces: [Interface; 2],
    ips: Vec<Address>,
    routes: Vec<RouteOut>,
    dns: Value,
}

#[derive(Debug, Serialize)]
struct Interface {
    name: String,
    mac: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<String>,
}

#[derive(Debug, Serialize)]
struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    /// Index into `interfaces`.
    interface: usize,
    address: String,
    gateway: String,
}

#[derive(Debug, Serialize)]
struct RouteOut {
    dst: String,
    gw: String,
}

/// Index of the pod's end in the result's `interfaces`.
const POD_END: usize = 1;

impl AddResult {
    /// What ADD answers once `plan` is carried out.
    pub(crate) fn new(request: &Add, plan: &Plan) -> Self {
        let mtu = plan.mtu.filter(|_| request.version.interfaces_tell_mtu());
        let interface = |end: &End, sandbox| Interface {
            name: end.name.clone(),
            mac: end.mac.to_string(),
            mtu,
            sandbox,
        };
        let ips = plan.pod.addresses.iter().map(|net| Address {
            version: request
                .version
                .addresses_tell_family()
                .then(|| if net.addr().is_ipv4() { "4" } else { "6" }),
            interface: POD_END,
            address: net.to_string(),
            gateway: plan::next_hop(net.addr()).to_string(),
        });
        let default_routes = plan.pod.routes.iter();
        let routes = default_routes.filter_map(|route| {
            Some(RouteOut {
                dst: route.to.to_string(),
                gw: route.via?.to_string(),
            })
        });
        Self {
            cni_version: request.version.as_str(),
            interfaces: [
                interface(&plan.host, None),
                interface(&plan.pod, Some(request.netns.clone())),
            ],
            ips: ips.collect(),
            routes: routes.collect(),
            dns: request.dns.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::mk_add;

    fn add_json(version: CniVersion) -> Value {
        let request = mk_add(version);
        let plan = Plan::new(&request, &["10.244.1.7".parse().unwrap()], true);
        let reply = Reply::Attached(Box::new(AddResult::new(&request, &plan)));
        serde_json::from_str(&reply.to_json().unwrap()).unwrap()
    }

    #[test]
    fn an_add_result_in_each_version() {
        let request = mk_add(CniVersion::V1_0_0);
        let (host, pod) = (
            request.attachment.host_mac().to_string(),
            request.attachment.pod_mac().to_string(),
        );
        let mut expected = json!({
            "cniVersion": "1.0.0",
            "interfaces": [
                {"name": request.attachment.host_interface(), "mac": host},
                {"name": "eth0", "mac": pod, "sandbox": "/run/netns/p"},
            ],
            "ips": [{"interface": 1, "address": "10.244.1.7/32", "gateway": "169.254.1.1"}],
            "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}],
            "dns": {},
        });
        assert_eq!(add_json(CniVersion::V1_0_0), expected);

        expected["cniVersion"] = json!("1.1.0");
        expected["interfaces"][0]["mtu"] = json!(1450);
        expected["interfaces"][1]["mtu"] = json!(1450);
        assert_eq!(add_json(CniVersion::V1_1_0), expected);

        for (version, text) in [(CniVersion::V0_3_1, "0.3.1"), (CniVersion::V0_4_0, "0.4.0")] {
            let old = add_json(version);
            assert_eq!(old["cniVersion"], text);
            assert_eq!(old["ips"][0]["version"], "4");
            assert_eq!(old["interfaces"][1].get("mtu"), None);
        }
    }

    #[test]
    fn both_families_have_an_address_and_a_default_route() {
        let addresses = ["10.244.1.7", "fd00:1::7"].map(|text| text.parse().unwrap());
        let request = mk_add(CniVersion::V0_3_1);
        let plan = Plan::new(&request, &addresses, true);
        let result = json!(AddResult::new(&request, &plan));
        let expected_ips = json!([
            {"version": "4", "interface": 1, "address": "10.244.1.7/32", "gateway": "169.254.1.1"},
            {"version": "6", "interface": 1, "address": "fd00:1::7/128", "gateway": "fe80::1"},
        ]);
        assert_eq!(result["ips"], expected_ips);
        let expected_routes = json!([
            {"dst": "0.0.0.0/0", "gw": "169.254.1.1"},
            {"dst": "::/0", "gw": "fe80::1"},
        ]);
        assert_eq!(result["routes"], expected_routes);
    }

    #[test]
    fn versions_and_silence() {
        let versions = Reply::Versions(CniVersion::V0_4_0).to_json().unwrap();
        let expected = json!({"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]});
        assert_eq!(serde_json::from_str::<Value>(&versions).unwrap(), expected);
        assert_eq!(Reply::Done.to_json(), None);
    }
}
