//! Which address families a Service has: what is asked for, what the cluster has, and the policy
//! between the two. Pure.
//!
//! As upstream's `initIPFamilyFields`
//! (<https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/service/storage/alloc.go>).

use super::object::{items, str_of};
use super::validate::causes::{Cause, invalid};
use serde_json::{Value, json};
use std::net::IpAddr;

const SINGLE: &str = "SingleStack";
const REQUIRE: &str = "RequireDualStack";

/// `IPv4` or `IPv6`, as Services write it.
pub(super) fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// Fills in `ipFamilyPolicy` and `ipFamilies`; says which of what is asked cannot be had.
/// `cluster` is the families of the cluster, its first one first.
pub(super) fn fill(service: &mut Value, current: Option<&Value>, cluster: &[&str]) -> Vec<Cause> {
    let spec = &mut service["spec"];
    if spec["type"] == "ExternalName" {
        return Vec::new();
    }
    let free = spec["clusterIP"] == "None" && is_empty(&spec["selector"]);
    if str_of(&spec["ipFamilyPolicy"]).is_empty() {
        // Who writes the endpoints of a headless Service himself may write both families.
        spec["ipFamilyPolicy"] = json!(if free { REQUIRE } else { SINGLE });
    }
    let policy = str_of(&spec["ipFamilyPolicy"]).to_owned();
    if let Some(current) = current.filter(|_| policy == SINGLE) {
        drop_second(spec, &current["spec"]);
    }
    let given = families(spec);
    let causes = refuse(spec, &policy, &given, cluster, free);
    if !causes.is_empty() {
        return causes;
    }
    let first = || cluster.first().copied().unwrap_or("IPv4").to_owned();
    let mut families = given;
    if families.is_empty() {
        families.push(first());
    }
    if policy != SINGLE && families.len() == 1 && (cluster.len() == 2 || free) {
        families.push(other(&families[0]).to_owned());
    }
    spec["ipFamilies"] = json!(families);
    Vec::new()
}

/// The families asked for: those named, and those of the addresses given.
fn families(spec: &Value) -> Vec<String> {
    let named = items(&spec["ipFamilies"]).iter().map(str_of);
    let mut families: Vec<String> = named.map(str::to_owned).collect();
    let given = items(&spec["clusterIPs"]).iter().skip(families.len());
    let given = given.map_while(|ip| Some(family_of(str_of(ip).parse::<IpAddr>().ok()?)));
    families.extend(given.map(str::to_owned));
    families
}

/// A Service that was dual-stack and is to be so no more keeps the first of what it has, unless
/// something else was changed too.
fn drop_second(spec: &mut Value, current: &Value) {
    if str_of(&current["ipFamilyPolicy"]) == SINGLE {
        return;
    }
    for field in ["clusterIPs", "ipFamilies"] {
        let unchanged = spec[field] == current[field];
        if let Value::Array(list) = &mut spec[field]
            && unchanged
        {
            list.truncate(1);
        }
    }
}

fn refuse(
    spec: &Value,
    policy: &str,
    given: &[String],
    cluster: &[&str],
    free: bool,
) -> Vec<Cause> {
    let policy_wrong = |why: &str| vec![invalid("spec.ipFamilyPolicy", &json!(policy), why)];
    for field in ["ipFamilies", "clusterIPs"] {
        if policy == SINGLE && items(&spec[field]).len() > 1 {
            let why = format!(
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple '{field}' are \
                 specified"
            );
            return policy_wrong(&why);
        }
    }
    if free {
        return Vec::new();
    }
    if policy == REQUIRE && cluster.len() < 2 {
        return policy_wrong("this cluster is not configured for dual-stack services");
    }
    let unknown = given.iter().enumerate();
    unknown
        .filter(|(_, family)| !cluster.contains(&family.as_str()))
        .map(|(position, family)| {
            let field = format!("spec.ipFamilies[{position}]");
            invalid(&field, &json!(family), "not configured on this cluster")
        })
        .collect()
}

fn other(family: &str) -> &'static str {
    if family == "IPv4" { "IPv6" } else { "IPv4" }
}

fn is_empty(selector: &Value) -> bool {
    selector.as_object().is_none_or(serde_json::Map::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[&str] = &["IPv4"];
    const V6: &[&str] = &["IPv6"];
    const DUAL: &[&str] = &["IPv4", "IPv6"];

    fn filled(mut spec: Value, current: Option<Value>, cluster: &[&str]) -> Result<Value, String> {
        if spec["selector"].is_null() {
            spec["selector"] = json!({"app": "web"});
        }
        let mut service = json!({"spec": spec});
        let current = current.map(|spec| json!({"spec": spec}));
        let causes = fill(&mut service, current.as_ref(), cluster);
        match causes.first() {
            Some(cause) => Err(format!("{}: {}", cause.field, cause.message)),
            None => Ok(service["spec"].take()),
        }
    }

    #[test]
    fn families_follow_what_is_asked_and_what_the_cluster_has() {
        let prefer = json!({"ipFamilyPolicy": "PreferDualStack"});
        let require = json!({"ipFamilyPolicy": "RequireDualStack"});
        let six_first = json!({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]});
        let headless = json!({"clusterIP": "None", "clusterIPs": ["None"]});
        let by_hand = json!({"clusterIP": "None", "clusterIPs": ["None"], "selector": {}});
        // (spec, families of the cluster, families of the Service, policy)
        let rows = [
            (json!({}), V4, V4, SINGLE),
            (json!({}), V6, V6, SINGLE),
            (json!({}), DUAL, V4, SINGLE),
            (json!({"ipFamilies": ["IPv6"]}), DUAL, V6, SINGLE),
            (json!({"clusterIPs": ["fd00::1"]}), DUAL, V6, SINGLE),
            (prefer.clone(), V6, V6, "PreferDualStack"),
            (prefer, DUAL, DUAL, "PreferDualStack"),
            (require, DUAL, DUAL, REQUIRE),
            (six_first, DUAL, &["IPv6", "IPv4"], "PreferDualStack"),
            (headless.clone(), V6, V6, SINGLE),
            (headless, DUAL, V4, SINGLE),
            (by_hand, V4, DUAL, REQUIRE),
        ];
        for (spec, cluster, expected, policy) in rows {
            let found = filled(spec.clone(), None, cluster).expect("it can be had");
            assert_eq!(
                found["ipFamilies"],
                json!(expected),
                "{spec} on {cluster:?}"
            );
            assert_eq!(found["ipFamilyPolicy"], policy, "{spec} on {cluster:?}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let rows = [
            (
                json!({"ipFamilies": ["IPv6"]}),
                V4,
                "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
            ),
            (
                json!({"ipFamilyPolicy": "RequireDualStack"}),
                V6,
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not \
                 configured for dual-stack services",
            ),
            (
                json!({"ipFamilies": ["IPv4", "IPv6"]}),
                DUAL,
                "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' \
                 or 'PreferDualStack' when multiple 'ipFamilies' are specified",
            ),
        ];
        for (spec, cluster, expected) in rows {
            assert_eq!(filled(spec, None, cluster), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_service_changes_between_one_family_and_two() {
        let single = json!({"ipFamilyPolicy": SINGLE, "ipFamilies": ["IPv4"],
            "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]});
        let mut up = single.clone();
        up["ipFamilyPolicy"] = json!("PreferDualStack");
        let up = filled(up, Some(single), DUAL).expect("both");
        assert_eq!(up["ipFamilies"], json!(DUAL));

        let mut both = up;
        both["clusterIPs"] = json!(["10.96.0.9", "fd00:10:96::9"]);
        let mut down = both.clone();
        down["ipFamilyPolicy"] = json!(SINGLE);
        let down = filled(down, Some(both), DUAL).expect("one");
        assert_eq!(down["ipFamilies"], json!(V4));
        assert_eq!(down["clusterIPs"], json!(["10.96.0.9"]));
    }
}
