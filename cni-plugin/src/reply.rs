//! What a successful verb answers, in the version of the specification it was asked in.

use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::{self, End, Plan};
use crate::request::Add;
use crate::version::CniVersion;

/// A successful outcome.
#[derive(Debug)]
pub(crate) enum Reply {
    /// To ADD: a result.
    Attached(Value),
    /// To DEL, CHECK, GC and STATUS: nothing to say.
    Done,
    /// To VERSION.
    Versions(CniVersion),
}

impl Reply {
    /// What to print; `None` for nothing at all.
    pub(crate) fn to_json(&self) -> Option<String> {
        match self {
            Self::Attached(result) => Some(result.to_string()),
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
struct AddResult {
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

/// Index of the pod's end in our part of the result's `interfaces`.
const POD_END: usize = 1;

/// What ADD answers once `plan` is carried out: its result, after that of the plugins before.
pub(crate) fn result(request: &Add, plan: &Plan) -> Value {
    let previous = request.previous.clone().unwrap_or_default();
    let before = previous["interfaces"].as_array().map_or(0, Vec::len);
    let ours = json!(AddResult::new(request, plan, before));
    let Value::Object(mut result) = previous else {
        return ours;
    };
    let no_dns = request
        .dns
        .as_object()
        .is_some_and(serde_json::Map::is_empty);
    for (key, value) in ours.as_object().into_iter().flatten() {
        match (result.get_mut(key), value) {
            (Some(Value::Array(theirs)), Value::Array(ours)) => theirs.extend(ours.iter().cloned()),
            (Some(_), _) if key == "dns" && no_dns => {}
            _ => drop(result.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(result)
}

impl AddResult {
    /// `before` is how many interfaces come before ours in the result.
    fn new(request: &Add, plan: &Plan, before: usize) -> Self {
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
            interface: before + POD_END,
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
                interface(&plan.pod, Some(request.shape.netns.clone())),
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
    use crate::plan::tests::{mk_plan, mk_shape};

    fn mk_add(version: CniVersion) -> Add {
        Add {
            version,
            shape: mk_shape(),
            pools: Vec::new(),
            dns: json!({}),
            previous: None,
        }
    }

    fn add_json(version: CniVersion) -> Value {
        let result = result(&mk_add(version), &mk_plan(&["10.244.1.7"]));
        let text = Reply::Attached(result).to_json().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_add_result_in_each_version() {
        let attachment = mk_shape().attachment;
        let (host, pod) = (
            attachment.host_mac().to_string(),
            attachment.pod_mac().to_string(),
        );
        let mut expected = json!({
            "cniVersion": "1.0.0",
            "interfaces": [
                {"name": attachment.host_interface(), "mac": host},
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
        let plan = mk_plan(&["10.244.1.7", "fd00:1::7"]);
        let result = result(&mk_add(CniVersion::V0_3_1), &plan);
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
    fn ours_comes_after_the_result_of_the_plugins_before() {
        let mut request = mk_add(CniVersion::V1_0_0);
        request.previous = Some(json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "other", "sandbox": "/run/netns/p"}],
            "ips": [{"interface": 0, "address": "192.168.0.2/24"}],
            "routes": null,
            "dns": {"nameservers": ["192.168.0.1"]},
            "ext": {"theirs": true},
        }));
        let plan = mk_plan(&["10.244.1.7"]);
        let merged = result(&request, &plan);
        assert_eq!(merged["interfaces"][0]["name"], "other");
        assert_eq!(merged["interfaces"][2]["name"], "eth0");
        assert_eq!(
            merged["ips"][0],
            request.previous.as_ref().unwrap()["ips"][0]
        );
        assert_eq!(merged["ips"][1]["interface"], 2);
        assert_eq!(merged["routes"].as_array().unwrap().len(), 1);
        assert_eq!(merged["dns"]["nameservers"][0], "192.168.0.1");
        assert_eq!(merged["ext"]["theirs"], true);
        request.dns = json!({"nameservers": ["10.96.0.10"]});
        assert_eq!(result(&request, &plan)["dns"], request.dns);
    }

    #[test]
    fn versions_and_silence() {
        let versions = Reply::Versions(CniVersion::V0_4_0).to_json().unwrap();
        let expected = json!({"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]});
        assert_eq!(serde_json::from_str::<Value>(&versions).unwrap(), expected);
        assert_eq!(Reply::Done.to_json(), None);
    }
}
