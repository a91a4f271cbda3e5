//! The plan of an attachment beside what is there: each difference by its name. Pure.

use std::fmt::{self, Debug, Display};
use std::net::IpAddr;

use proxy_abi::ownership::ROUTE_PROTOCOL;
use proxy_abi::{FrontendKey, HostPort, Pod};

use crate::attachment::Mac;
use crate::host_ports;
use crate::observe::SeenEnd;
use crate::plan::{End, Plan, Sysctl};
use crate::program::HOOKS;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    what: String,
    expected: String,
    found: String,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            expected,
            found,
        } = self;
        write!(f, "{what}: expected {expected}, found {found}")
    }
}

impl Difference {
    /// Something that is missing altogether.
    pub(crate) fn missing(what: impl ToString, expected: impl ToString) -> Self {
        Self {
            what: what.to_string(),
            expected: expected.to_string(),
            found: "none".to_owned(),
        }
    }
}

/// A port of the node and what the programs know of it.
pub(crate) type SeenPort = (FrontendKey, Option<HostPort>);

/// All that an attachment consists of, as found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The end on the node.
    pub(crate) host: Option<SeenEnd>,
    /// The end in the pod.
    pub(crate) pod: Option<SeenEnd>,
    /// Names of the programs on that, in the order of [`HOOKS`].
    pub(crate) programs: [Option<String>; HOOKS.len()],
    /// The settings that should be, each with the value it has.
    pub(crate) settings: Vec<(Sysctl, Option<String>)>,
    /// Each address and who has a lease of it.
    pub(crate) leases: Vec<(IpAddr, Option<String>)>,
    /// Each address and what the programs know of it.
    pub(crate) entries: Vec<(IpAddr, Option<Pod>)>,
    /// Each of the node's ports that should be the pod's.
    pub(crate) host_ports: Vec<SeenPort>,
    /// The interface of the pod whose sockets are left alone, if they are.
    pub(crate) packet_pod: Option<u32>,
}

/// Everything of the plan that is not there, or not so. What is there besides is not looked at:
/// plugins later in the list may have added to it. `owner` is what the leases should say.
pub(crate) fn compare(plan: &Plan, owner: &str, seen: &Seen) -> Vec<Difference> {
    let mut differences = Differences::default();
    differences.end(&plan.host, plan.mtu, seen.host.as_ref(), "on the node");
    differences.end(&plan.pod, plan.mtu, seen.pod.as_ref(), "in the pod");
    let host = &plan.host.name;
    for (route, protocol) in seen.host.iter().flat_map(|host| &host.routes) {
        if plan.host.routes.contains(route) {
            let what = format!("protocol of the route to {} through {host}", route.to);
            differences.unless_equal(what, &ROUTE_PROTOCOL, Some(protocol));
        }
    }
    if seen.host.is_some() {
        for (hook, found) in HOOKS.iter().zip(&seen.programs) {
            let what = format!("program on {host}");
            differences.unless_equal(what, &hook.program.to_owned(), found.as_ref());
        }
        for ((path, expected), found) in &seen.settings {
            let what = format!("setting {}", path.display());
            differences.unless_equal(what, &(*expected).to_owned(), found.as_ref());
        }
    }
    for (address, found) in &seen.leases {
        let told = |owner: &str| format!("{:?}", owner.replace("\r\n", " "));
        let what = format!("lease of {address}");
        differences.unless_equal(what, &told(owner), found.as_deref().map(told).as_ref());
    }
    differences.entries(plan, seen);
    differences.0
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn unless_equal<T: Display + PartialEq>(
        &mut self,
        what: impl ToString,
        expected: &T,
        found: Option<&T>,
    ) {
        match found {
            Some(found) if found == expected => {}
            Some(found) => self.0.push(Difference {
                what: what.to_string(),
                expected: expected.to_string(),
                found: found.to_string(),
            }),
            None => self.0.push(Difference::missing(what, expected)),
        }
    }

    fn entries(&mut self, plan: &Plan, seen: &Seen) {
        let index = seen.host.as_ref().map_or(0, |host| host.link.index);
        let told = |pod: &Pod| {
            let limit = if pod.is_shaped() { ", limited" } else { "" };
            format!("interface {} and {}{limit}", pod.ifindex, Mac(pod.mac))
        };
        let entry = told(&plan.entry(index));
        for (address, found) in &seen.entries {
            let what = format!("entry of {address} in the map pods");
            self.unless_equal(what, &entry, found.as_ref().map(told).as_ref());
        }
        if plan.packet_pods_pin.is_some() {
            let what = "entry of the namespace in the map packet_pods";
            self.unless_equal(what, &index, seen.packet_pod.as_ref());
        }
        let told = |port: &HostPort| {
            let endpoint = host_ports::at(&port.endpoint);
            format!("{endpoint} behind interface {}", port.ifindex)
        };
        for (key, found) in &seen.host_ports {
            let Some(endpoint) = plan.host_ports.get(key) else {
                continue;
            };
            let what = format!("entry of {} in the map host_ports", host_ports::told(key));
            let expected = told(&HostPort::new(*endpoint, index));
            self.unless_equal(what, &expected, found.as_ref().map(told).as_ref());
        }
    }

    fn end(&mut self, end: &End, mtu: Option<u32>, seen: Option<&SeenEnd>, place: &str) {
        let interface = format!("interface {} {place}", end.name);
        let Some(seen) = seen else {
            self.0.push(Difference::missing(interface, "one"));
            return;
        };
        let of = |what| format!("{what} of {interface}");
        let veth = "veth".to_owned();
        self.unless_equal(of("kind"), &veth, seen.link.kind.as_ref());
        self.unless_equal(of("MAC address"), &end.mac, seen.link.mac.as_ref());
        if let Some(mtu) = mtu {
            self.unless_equal(of("MTU"), &mtu, seen.link.mtu.as_ref());
        }
        let state = |up| if up { "up" } else { "down" };
        self.unless_equal(of("state"), &state(true), Some(&state(seen.link.up)));
        for address in &end.addresses {
            let mut found = seen.addresses.iter();
            let same = found.find(|it| it.addr() == address.addr());
            self.unless_equal(of("address"), address, same);
        }
        for neighbour in &end.neighbours {
            let mut found = seen.neighbours.iter();
            let same = found.find(|it| it.address == neighbour.address);
            let what = format!("permanent neighbour {} of {interface}", neighbour.address);
            self.unless_equal(what, &neighbour.mac, same.map(|it| &it.mac));
        }
        for route in &end.routes {
            let mut found = seen.routes.iter().map(|(route, _)| route);
            let same = found.find(|it| it.to == route.to);
            self.unless_equal(of("route"), route, same);
        }
    }
}

#[cfg(test)]
mod tests;
