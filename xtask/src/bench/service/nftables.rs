//! Rules as kube-proxy's nftables mode lays them for the same Services: `nft -f` text. Pure.
//!
//! All of its table (kubernetes, pkg/proxy/nftables): the chains at the hooks with their checks of
//! connection tracking's state, the maps from address, protocol and port to a Service's chain and
//! from protocol and port to that of a node port, the chain of a Service, which chooses by a
//! number at random, and one an endpoint.
//!
//! But one thing: of the Services that nobody asks only the first thousand choose at random, the
//! others go to their first endpoint. No packet meets that rule, and the kernel takes minutes for
//! tens of thousands of the anonymous maps in it.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::layout::{POD_CIDR, PORT, SERVICE_CIDR, Service};

const BASE: &str = "\
add table ip kube-proxy
delete table ip kube-proxy
add table ip kube-proxy
add set ip kube-proxy cluster-ips { type ipv4_addr ; }
add set ip kube-proxy nodeport-ips { type ipv4_addr ; }
add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy no-endpoint-nodeports { type inet_proto . inet_service : verdict ; }
add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict ; }
add chain ip kube-proxy cluster-ips-check
add chain ip kube-proxy filter-prerouting-pre-dnat { type filter hook prerouting priority -110 ; }
add chain ip kube-proxy filter-output-pre-dnat { type filter hook output priority -110 ; }
add chain ip kube-proxy filter-forward { type filter hook forward priority 0 ; }
add chain ip kube-proxy filter-input { type filter hook input priority 0 ; }
add chain ip kube-proxy filter-output { type filter hook output priority 0 ; }
add chain ip kube-proxy firewall-check
add chain ip kube-proxy mark-for-masquerade
add chain ip kube-proxy masquerading
add chain ip kube-proxy nat-output { type nat hook output priority -100 ; }
add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority 100 ; }
add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority -100 ; }
add chain ip kube-proxy nodeport-endpoints-check
add chain ip kube-proxy reject-chain
add chain ip kube-proxy services
add chain ip kube-proxy service-endpoints-check
add rule ip kube-proxy cluster-ips-check ip daddr @cluster-ips reject
add rule ip kube-proxy filter-prerouting-pre-dnat ct state new jump firewall-check
add rule ip kube-proxy filter-forward ct state new jump service-endpoints-check
add rule ip kube-proxy filter-forward ct state new jump cluster-ips-check
add rule ip kube-proxy filter-input ct state new jump nodeport-endpoints-check
add rule ip kube-proxy filter-input ct state new jump service-endpoints-check
add rule ip kube-proxy filter-output ct state new jump service-endpoints-check
add rule ip kube-proxy filter-output-pre-dnat ct state new jump firewall-check
add rule ip kube-proxy filter-output ct state new jump cluster-ips-check
add rule ip kube-proxy firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips
add rule ip kube-proxy mark-for-masquerade mark set mark or 0x4000
add rule ip kube-proxy masquerading mark and 0x4000 == 0 return
add rule ip kube-proxy masquerading mark set mark xor 0x4000
add rule ip kube-proxy masquerading masquerade fully-random
add rule ip kube-proxy nat-output jump services
add rule ip kube-proxy nat-postrouting jump masquerading
add rule ip kube-proxy nat-prerouting jump services
add rule ip kube-proxy nodeport-endpoints-check ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
add rule ip kube-proxy service-endpoints-check ip daddr . meta l4proto . th dport vmap @no-endpoint-services
add rule ip kube-proxy reject-chain reject
add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips
add rule ip kube-proxy services ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
";

/// Services that choose, whether they are asked or not.
const CHOOSING: usize = 1_000;
/// Elements of a set or map in one line.
const BATCH: usize = 1_000;

/// The whole table of a node.
pub(super) fn rules(services: &[Service], node: Ipv4Addr) -> String {
    let (mut chains, mut rules) = (String::new(), String::new());
    let (mut addresses, mut frontends, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for (index, service) in services.iter().enumerate() {
        let chooses = service.is_measured || index < CHOOSING;
        // A string takes all.
        let _ = own(service, chooses, &mut chains, &mut rules);
        let (name, protocol) = (name(service), service.protocol.name());
        addresses.push(service.cluster_ip.to_string());
        frontends.push(format!(
            "{} . {protocol} . {PORT} : goto service-{name}",
            service.cluster_ip
        ));
        let port = service.node_port;
        ports.extend(port.map(|port| format!("{protocol} . {port} : goto external-{name}")));
    }
    let drop =
        format!("add rule ip kube-proxy cluster-ips-check ip daddr {{ {SERVICE_CIDR} }} drop\n");
    let mut text = [BASE, &drop, &chains, &rules].concat();
    for (set, elements) in [
        ("nodeport-ips", vec![node.to_string()]),
        ("cluster-ips", addresses),
        ("service-ips", frontends),
        ("service-nodeports", ports),
    ] {
        for batch in elements.chunks(BATCH) {
            let batch = batch.join(", ");
            let _ = writeln!(text, "add element ip kube-proxy {set} {{ {batch} }}");
        }
    }
    text
}

/// The chains of one Service and their rules.
fn own(
    service: &Service,
    chooses: bool,
    chains: &mut String,
    rules: &mut String,
) -> std::fmt::Result {
    let (name, protocol) = (name(service), service.protocol.name());
    let Service {
        cluster_ip,
        endpoints,
        ..
    } = service;
    writeln!(chains, "add chain ip kube-proxy service-{name}")?;
    writeln!(
        rules,
        "add rule ip kube-proxy service-{name} ip daddr {cluster_ip} ip saddr != {POD_CIDR} \
         jump mark-for-masquerade"
    )?;
    let chosen =
        (0..endpoints.len()).map(|index| format!("{index} : goto endpoint-{name}__{index}"));
    let choice = match chooses {
        true => format!(
            "numgen random mod {} vmap {{ {} }}",
            endpoints.len(),
            chosen.collect::<Vec<_>>().join(" , ")
        ),
        false => format!("goto endpoint-{name}__0"),
    };
    writeln!(rules, "add rule ip kube-proxy service-{name} {choice}")?;
    if service.node_port.is_some() {
        writeln!(chains, "add chain ip kube-proxy external-{name}")?;
        let external = format!("add rule ip kube-proxy external-{name}");
        writeln!(rules, "{external} jump mark-for-masquerade")?;
        writeln!(rules, "{external} goto service-{name}")?;
    }
    for (index, (address, port)) in endpoints.iter().enumerate() {
        writeln!(chains, "add chain ip kube-proxy endpoint-{name}__{index}")?;
        let endpoint = format!("add rule ip kube-proxy endpoint-{name}__{index}");
        writeln!(
            rules,
            "{endpoint} ip saddr {address} jump mark-for-masquerade"
        )?;
        writeln!(
            rules,
            "{endpoint} meta l4proto {protocol} dnat to {address}:{port}"
        )?;
    }
    Ok(())
}

fn name(service: &Service) -> String {
    format!("bench/{}/{}/p", service.name, service.protocol.name())
}

#[cfg(test)]
mod tests {
    use super::super::layout;
    use super::*;

    #[test]
    fn a_service_is_laid_out_as_kube_proxy_does() {
        let services = layout::services(10, Ipv4Addr::new(10, 245, 1, 2));
        let text = rules(&services, Ipv4Addr::new(172, 30, 0, 172));
        for line in [
            "service-bench/measured-tcp/tcp/p ip daddr 10.96.200.1 ip saddr != 10.240.0.0/12 \
             jump mark-for-masquerade",
            "service-bench/measured-tcp/tcp/p numgen random mod 2 vmap { \
             0 : goto endpoint-bench/measured-tcp/tcp/p__0 , \
             1 : goto endpoint-bench/measured-tcp/tcp/p__1 }",
            "external-bench/measured-udp/udp/p jump mark-for-masquerade",
            "external-bench/measured-udp/udp/p goto service-bench/measured-udp/udp/p",
            "endpoint-bench/measured-udp/udp/p__1 ip saddr 10.245.1.2 jump mark-for-masquerade",
            "endpoint-bench/measured-udp/udp/p__1 meta l4proto udp dnat to 10.245.1.2:9001",
        ] {
            let line = format!("add rule ip kube-proxy {line}");
            assert_eq!(text.lines().filter(|one| *one == line).count(), 1, "{line}");
        }
        for element in [
            "10.96.200.1 . tcp . 80 : goto service-bench/measured-tcp/tcp/p",
            "udp . 30082 : goto external-bench/measured-udp/udp/p",
            "nodeport-ips { 172.30.0.172 }",
        ] {
            assert!(text.contains(element), "{element}");
        }
    }

    #[test]
    fn every_service_is_in_the_map_and_the_measured_ones_choose() {
        let services = layout::services(3_000, Ipv4Addr::new(10, 245, 1, 2));
        let text = rules(&services, Ipv4Addr::new(172, 30, 0, 172));
        assert_eq!(text.matches(" . 80 : goto service-").count(), 3_000);
        assert_eq!(text.matches("numgen random mod 2").count(), CHOOSING + 2);
        assert!(text.contains("service-bench/measured-tcp/tcp/p numgen"));
    }
}
