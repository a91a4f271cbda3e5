//! Plans of each family.

use super::*;
use crate::attachment::tests::mk_attachment;
use crate::config::Places;
use crate::mappings::Mappings;

/// An interface as the lab asks for it.
pub(crate) fn mk_shape() -> Shape {
    let attachment = mk_attachment("cnitest-7", "eth0");
    Shape {
        netns: "/run/netns/p".to_owned(),
        places: Places {
            network: "flatnet".to_owned(),
            leases: "/leases/flatnet".into(),
            bpffs: "/bpf".into(),
        },
        mtu: Some(1450),
        mac: attachment.pod_mac(),
        attach: Attach::Filter,
        shaped: false,
        packets_only: false,
        mappings: Mappings::default(),
        attachment,
    }
}

/// The plan of it with these addresses.
pub(crate) fn mk_plan(addresses: &[&str]) -> Plan {
    let addresses: Vec<IpAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
    Plan::new(&mk_shape(), &addresses, true)
}

/// An end's entries as `ip` would show them.
fn shown(end: &End) -> Vec<String> {
    let addresses = end.addresses.iter().map(IpNet::to_string);
    let neighbours = end.neighbours.iter();
    let neighbours = neighbours.map(|it| format!("{} lladdr {}", it.address, it.mac));
    let routes = end.routes.iter().map(Route::to_string);
    addresses.chain(neighbours).chain(routes).collect()
}

#[test]
fn an_ipv4_pod() {
    let plan = mk_plan(&["10.244.1.7"]);
    assert_eq!(plan.pod.name, "eth0");
    assert_eq!(
        shown(&plan.pod),
        [
            "10.244.1.7/32".to_owned(),
            format!("169.254.1.1 lladdr {}", plan.host.mac),
            "169.254.1.1/32 on-link".to_owned(),
            "0.0.0.0/0 via 169.254.1.1".to_owned(),
        ],
        "the next hop's route first: the other needs it"
    );
    assert_eq!(
        shown(&plan.host),
        [
            format!("10.244.1.7 lladdr {}", plan.pod.mac),
            "10.244.1.7/32 on-link".to_owned(),
        ]
    );
}

#[test]
fn an_ipv6_pod() {
    let plan = mk_plan(&["fd00:1::7"]);
    assert_eq!(
        shown(&plan.pod),
        [
            "fd00:1::7/128".to_owned(),
            format!("fe80::1 lladdr {}", plan.host.mac),
            "::/0 via fe80::1".to_owned(),
        ]
    );
    assert_eq!(
        shown(&plan.host),
        [
            format!("fd00:1::7 lladdr {}", plan.pod.mac),
            "fd00:1::7/128 on-link".to_owned(),
        ]
    );
}

#[test]
fn a_pod_of_both_families_is_the_two_together() {
    let mut both = shown(&mk_plan(&["10.244.1.7", "fd00:1::7"]).pod);
    let mut each = shown(&mk_plan(&["10.244.1.7"]).pod);
    each.extend(shown(&mk_plan(&["fd00:1::7"]).pod));
    both.sort();
    each.sort();
    assert_eq!(both, each);
}

#[test]
fn names_and_pins() {
    let plan = mk_plan(&["10.244.1.7"]);
    let host = &plan.host.name;
    assert_eq!(plan.host.alias.as_deref(), Some("flatnet/cnitest-7/eth0"));
    let link = |program| PathBuf::from(format!("/bpf/flatnet/links/{program}-{host}"));
    assert_eq!(plan.link_pins, ["from_pod", "to_pod"].map(link));
    assert_eq!(plan.pods_pin, PathBuf::from("/bpf/flatnet/maps/pods"));
    let host_ports = PathBuf::from("/bpf/flatnet/maps/host_ports");
    assert_eq!(plan.host_ports_pin, host_ports);
}

#[test]
fn settings_of_each_family() {
    let settings = |end: &End| -> Vec<String> {
        let conf = format!("net/ipv6/conf/{}/", end.name);
        let told = end.sysctls.iter().map(|(path, value)| {
            let name = path.to_str().unwrap().strip_prefix(&conf).unwrap();
            format!("{name}={value}")
        });
        told.collect()
    };
    let v4 = mk_plan(&["10.244.1.7"]);
    assert_eq!(settings(&v4.host), ["accept_ra=0"]);
    assert_eq!(settings(&v4.pod), [""; 0]);
    let both = mk_plan(&["10.244.1.7", "fd00:1::7"]);
    assert_eq!(
        settings(&both.host),
        ["accept_ra=0", "disable_ipv6=0", "forwarding=1"]
    );
    assert_eq!(
        settings(&both.pod),
        ["disable_ipv6=0", "accept_ra=0", "accept_dad=0"]
    );
}

#[test]
fn where_there_is_no_ipv6_nothing_is_set_for_it() {
    let mut shape = mk_shape();
    let plan = Plan::new(&shape, &[], false);
    shape.mtu = Some(1279);
    for plan in [plan, Plan::new(&shape, &[], true)] {
        assert_eq!(plan.host.sysctls, []);
        assert!(!plan.host.no_link_local && !plan.pod.no_link_local);
    }
}
