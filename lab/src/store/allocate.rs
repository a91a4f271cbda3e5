//! Cluster IPs and node ports: which are taken, and choosing free ones for a Service.
//!
//! [`fill`] only reads; what it chose is taken when the Service is stored
//! ([`Allocations::replace`]). Both happen under the store's lock, so nothing is given twice.

mod range;

use self::range::{at, band, offset, size};
use super::families::{self, family_of};
use super::object::{items, str_of};
use super::validate::causes::{Cause, invalid, required};
use super::{Config, object};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// What the stored Services hold.
#[derive(Debug)]
pub struct Allocations {
    ranges: Vec<IpNet>,
    /// Those of ServiceCIDRs, by name: who asks by number may have an address of them.
    further: BTreeMap<String, Vec<IpNet>>,
    node_ports: RangeInclusive<u16>,
    addresses: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
    /// Given last: choosing goes on behind it, so that a freed number rests.
    last_port: u16,
    last_address: Vec<Option<IpAddr>>,
}

impl Allocations {
    pub(super) fn new(config: &Config) -> Self {
        Allocations {
            ranges: config.service_ranges.clone(),
            further: BTreeMap::new(),
            node_ports: config.node_ports.clone(),
            addresses: BTreeSet::new(),
            ports: BTreeSet::new(),
            last_port: *config.node_ports.start(),
            last_address: vec![None; config.service_ranges.len()],
        }
    }

    /// Takes what `next` holds and frees what only `previous` held.
    pub(super) fn replace(&mut self, previous: Option<&Value>, next: Option<&Value>) {
        if let Some(service) = previous {
            for address in cluster_ips(service) {
                self.addresses.remove(&address);
            }
            for port in node_ports(service) {
                self.ports.remove(&port);
            }
        }
        if let Some(service) = next {
            for address in cluster_ips(service) {
                self.addresses.insert(address);
                if previous.is_none() {
                    self.remember(address);
                }
            }
            for port in node_ports(service) {
                if self.ports.insert(port) && previous.is_none() {
                    self.last_port = port;
                }
            }
        }
    }

    /// Takes notice of a ServiceCIDR.
    pub(super) fn replace_range(&mut self, previous: Option<&Value>, next: Option<&Value>) {
        if let Some(gone) = previous {
            self.further.remove(object::name(gone));
        }
        if let Some(cidr) = next {
            let cidrs = items(&cidr["spec"]["cidrs"]).iter();
            let cidrs = cidrs.filter_map(|cidr| str_of(cidr).parse().ok());
            self.further
                .insert(object::name(cidr).to_owned(), cidrs.collect());
        }
    }

    fn remember(&mut self, address: IpAddr) {
        for (range, last) in self.ranges.iter().zip(&mut self.last_address) {
            if range.contains(&address) && offset(range, address) >= band(range) {
                *last = Some(address);
            }
        }
    }

    /// The first free address behind the one given last, else the first one at all; those of the
    /// static band come last.
    fn free_address(&self, index: usize) -> Option<IpAddr> {
        let range = &self.ranges[index];
        let (size, band) = (size(range), band(range));
        let start = self.last_address[index].map_or(band, |last| offset(range, last) + 1);
        let all = (start..size).chain(band..start.min(size)).chain(1..band);
        all.map(|offset| at(range, offset))
            .find(|address| !self.addresses.contains(address))
    }

    fn free_port(&self, also_taken: &BTreeSet<u16>) -> Option<u16> {
        let free = |port: &u16| !self.ports.contains(port) && !also_taken.contains(port);
        let behind = self.last_port.saturating_add(1)..=*self.node_ports.end();
        behind.chain(self.node_ports.clone()).find(free)
    }
}

fn cluster_ips(service: &Value) -> impl Iterator<Item = IpAddr> {
    items(&service["spec"]["clusterIPs"])
        .iter()
        .filter_map(|ip| str_of(ip).parse().ok())
}

fn node_ports(service: &Value) -> impl Iterator<Item = u16> {
    let ports = items(&service["spec"]["ports"]).iter();
    ports
        .filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok())
        .filter(|port| *port > 0)
}

/// Gives a Service the addresses and node ports it needs; says which it cannot have.
pub(super) fn fill(
    allocations: &Allocations,
    service: &mut Value,
    current: Option<&Value>,
) -> Vec<Cause> {
    let configured = allocations
        .ranges
        .iter()
        .map(|range| family_of(range.addr()));
    let configured: Vec<_> = configured.collect();
    let causes = families::fill(service, current, &configured);
    if !causes.is_empty() {
        return causes;
    }
    let mut causes = fill_addresses(allocations, service, current);
    causes.extend(fill_node_ports(allocations, service, current));
    causes
}

fn fill_addresses(
    allocations: &Allocations,
    service: &mut Value,
    current: Option<&Value>,
) -> Vec<Cause> {
    let given: Vec<String> = items(&service["spec"]["clusterIPs"])
        .iter()
        .map(|ip| str_of(ip).to_owned())
        .collect();
    let is_external = service["spec"]["type"] == "ExternalName";
    if is_external || given.first().is_some_and(|ip| ip == "None") {
        return Vec::new();
    }
    let held: BTreeSet<IpAddr> = current.into_iter().flat_map(cluster_ips).collect();
    let mut chosen: Vec<String> = Vec::new();
    for (position, family) in families(service).iter().enumerate() {
        let of_family = |range: &IpNet| family_of(range.addr()) == family;
        let Some(index) = allocations.ranges.iter().position(of_family) else {
            // `families::fill` has let only those of the cluster through.
            continue;
        };
        let answer = match given.get(position).filter(|text| !text.is_empty()) {
            Some(text) => take(allocations, index, text, &held),
            None => choose(allocations, index),
        };
        match answer {
            Ok(address) => chosen.push(address),
            Err(why) => return vec![invalid("spec.clusterIPs", &json!(given), &why)],
        }
    }
    service["spec"]["clusterIP"] = chosen.first().cloned().unwrap_or_default().into();
    service["spec"]["clusterIPs"] = json!(chosen);
    Vec::new()
}

fn choose(allocations: &Allocations, index: usize) -> Result<String, String> {
    let full = || {
        format!(
            "failed to allocate a serviceIP: range {} is full",
            allocations.ranges[index]
        )
    };
    allocations
        .free_address(index)
        .map(|address| address.to_string())
        .ok_or_else(full)
}

fn families(service: &Value) -> Vec<String> {
    items(&service["spec"]["ipFamilies"])
        .iter()
        .map(|f| str_of(f).to_owned())
        .collect()
}

fn take(
    allocations: &Allocations,
    index: usize,
    text: &str,
    held: &BTreeSet<IpAddr>,
) -> Result<String, String> {
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(format!("failed to allocate IP {text}: not a valid IP"));
    };
    let range = &allocations.ranges[index];
    let mut all = allocations.further.values().flatten().chain([range]);
    if !all.any(|range| range.contains(&address)) {
        return Err(format!(
            "failed to allocate IP {text}: the provided IP ({text}) is not in the valid range. \
             The range of valid IPs is {range}"
        ));
    }
    if allocations.addresses.contains(&address) && !held.contains(&address) {
        return Err(format!(
            "failed to allocate IP {text}: provided IP is already allocated"
        ));
    }
    Ok(text.to_owned())
}

fn fill_node_ports(
    allocations: &Allocations,
    service: &mut Value,
    current: Option<&Value>,
) -> Vec<Cause> {
    let held: BTreeSet<u16> = current.into_iter().flat_map(node_ports).collect();
    let wants = ["NodePort", "LoadBalancer"].contains(&str_of(&service["spec"]["type"]))
        && service["spec"]["allocateLoadBalancerNodePorts"] != false;
    let mut mine: BTreeSet<u16> = node_ports(service).collect();
    let mut causes = Vec::new();
    let Some(Value::Array(ports)) = object::map_mut(service, "spec").get_mut("ports") else {
        return causes;
    };
    for (index, port) in ports.iter_mut().enumerate() {
        let field = format!("spec.ports[{index}].nodePort");
        match u16::try_from(port["nodePort"].as_u64().unwrap_or_default()).unwrap_or_default() {
            0 if wants => match allocations.free_port(&mine) {
                Some(free) => {
                    mine.insert(free);
                    port["nodePort"] = free.into();
                }
                None => causes.push(required(&field, "no node port is left in the range")),
            },
            0 => (),
            asked => causes.extend(
                refuse_port(allocations, asked, &held)
                    .map(|why| invalid(&field, &json!(asked), &why)),
            ),
        }
    }
    causes
}

fn refuse_port(allocations: &Allocations, asked: u16, held: &BTreeSet<u16>) -> Option<String> {
    let range = &allocations.node_ports;
    if held.contains(&asked) {
        return None;
    }
    if !range.contains(&asked) {
        return Some(format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            range.start(),
            range.end()
        ));
    }
    allocations
        .ports
        .contains(&asked)
        .then(|| "provided port is already allocated".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DeleteOptions, Kind, Store};
    use std::sync::Arc;

    fn create(store: &Store, name: &str, mut spec: Value) -> Result<Arc<Value>, String> {
        if spec["ports"].is_null() {
            spec["ports"] = json!([{"port": 80}]);
        }
        let service = json!({"metadata": {"name": name}, "spec": spec});
        store
            .create(Kind::Service, service)
            .map_err(|error| error.to_string())
    }

    fn address(service: &Value) -> IpAddr {
        str_of(&service["spec"]["clusterIP"])
            .parse()
            .expect("an address")
    }

    #[test]
    fn addresses_rest_after_use() {
        let store = Store::new(&Config::default());
        let first = address(&create(&store, "a", json!({})).expect("created"));
        assert!(
            "10.96.1.0/24"
                .parse::<IpNet>()
                .expect("a net")
                .contains(&first),
            "{first}"
        );
        store
            .delete(Kind::Service, "default", "a", &DeleteOptions::default())
            .expect("deleted");
        let second = address(&create(&store, "a", json!({})).expect("created"));
        assert_ne!(first, second);
    }

    #[test]
    fn given_addresses_are_checked() {
        let store = Store::new(&Config::default());
        let dns = create(&store, "dns", json!({"clusterIP": "10.96.0.10"})).expect("created");
        assert_eq!(dns["spec"]["clusterIPs"], json!(["10.96.0.10"]));
        let why = "Service \"x\" is invalid: spec.clusterIPs: Invalid value: ";
        // (asked for, refused with)
        let rows = [
            (
                "10.96.0.10",
                "[]string{\"10.96.0.10\"}: failed to allocate IP 10.96.0.10: provided IP is \
                 already allocated",
            ),
            (
                "10.97.0.1",
                "[]string{\"10.97.0.1\"}: failed to allocate IP 10.97.0.1: the provided IP \
                 (10.97.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
            ),
        ];
        for (asked, expected) in rows {
            let answer = create(&store, "x", json!({"clusterIP": asked}));
            assert_eq!(answer.err(), Some(format!("{why}{expected}")));
        }
        let headless = create(&store, "h", json!({"clusterIP": "None"})).expect("created");
        assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
        let external = json!({"type": "ExternalName", "externalName": "a.example"});
        let external = create(&store, "e", external).expect("created");
        assert_eq!(external["spec"]["clusterIP"], Value::Null);
        let six = create(&store, "six", json!({"ipFamilies": ["IPv6"]}));
        assert!(six.is_err(), "no IPv6 range is configured");
    }

    #[test]
    fn a_full_range_refuses() {
        let range: IpNet = "10.96.0.0/29".parse().expect("a net");
        let store = Store::new(&Config {
            service_ranges: vec![range],
            ..Config::default()
        });
        for name in ["a", "b", "c", "d", "e", "f"] {
            create(&store, name, json!({})).expect("six addresses");
        }
        let full = create(&store, "g", json!({})).expect_err("full");
        assert!(full.contains("range 10.96.0.0/29 is full"), "{full}");
    }

    #[test]
    fn two_ranges_give_two_addresses() {
        let range = |text: &str| text.parse::<IpNet>().expect("a net");
        let service_ranges = vec![range("10.96.0.0/16"), range("fd00:96::/112")];
        let store = Store::new(&Config {
            service_ranges,
            ..Config::default()
        });
        let both = json!({"ipFamilyPolicy": "RequireDualStack"});
        let both = create(&store, "both", both).expect("created");
        assert_eq!(both["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
        assert_eq!(items(&both["spec"]["clusterIPs"]).len(), 2);
        let six = create(&store, "six", json!({"ipFamilies": ["IPv6"]})).expect("created");
        assert!(address(&six).is_ipv6());
    }

    #[test]
    fn node_ports() {
        let store = Store::new(&Config::default());
        let port = |service: &Value| service["spec"]["ports"][0]["nodePort"].as_u64();
        let exposed = create(&store, "a", json!({"type": "NodePort"})).expect("created");
        assert!(port(&exposed).is_some_and(|port| (30000..=32767).contains(&port)));
        let given = |node_port: u16| json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": node_port}]});
        create(&store, "b", given(31000)).expect("created");
        let taken = create(&store, "c", given(31000)).expect_err("taken");
        assert!(taken.ends_with(
            "spec.ports[0].nodePort: Invalid value: 31000: provided port is already allocated"
        ));
        let outside = create(&store, "c", given(80)).expect_err("outside");
        assert!(
            outside.ends_with("The range of valid ports is 30000-32767"),
            "{outside}"
        );
        let both = json!({"type": "NodePort", "ports": [
            {"name": "u", "port": 53, "protocol": "UDP", "nodePort": 30053},
            {"name": "t", "port": 53, "nodePort": 30053}]});
        create(&store, "dns", both).expect("one number for two protocols");
        let plain = store
            .modify(Kind::Service, "default", "b", |s| {
                s["spec"]["type"] = json!("ClusterIP")
            })
            .expect("modified");
        assert_eq!(port(&plain), None, "given back");
        create(&store, "c", given(31000)).expect("free again");
    }

    #[test]
    fn a_cluster_ip_does_not_change() {
        let store = Store::new(&Config::default());
        let before = create(&store, "a", json!({})).expect("created");
        let kept = store
            .modify(Kind::Service, "default", "a", |service| {
                service["spec"] = json!({"ports": [{"port": 81}]});
            })
            .expect("modified");
        assert_eq!(kept["spec"]["clusterIP"], before["spec"]["clusterIP"]);
        let changed = store.modify(Kind::Service, "default", "a", |service| {
            service["spec"]["clusterIP"] = json!("10.96.9.9");
        });
        let why = changed.expect_err("refused").to_string();
        assert!(why.ends_with("may not change once set"), "{why}");
    }
}
