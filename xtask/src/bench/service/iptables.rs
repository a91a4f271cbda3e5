//! Rules as kube-proxy's iptables mode lays them for the same Services: `iptables-restore` text.
//! Pure.
//!
//! What every packet or every new connection meets is there (kubernetes, pkg/proxy/iptables): the
//! chains of `filter` with their checks of connection tracking's state, the list of cluster IPs,
//! the chain of node ports behind it, a chain a Service that chooses, and one an endpoint. The
//! comments are left out: they cost memory only.

use std::fmt::Write as _;

use super::layout::{POD_CIDR, PORT, Service};

const HEAD: &str = "\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
-A INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
-A INPUT -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
-A FORWARD -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
";

const BASE: &str = "\
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
";

/// The whole of both tables.
pub(super) fn rules(services: &[Service]) -> String {
    let (mut chains, mut lists, mut rules) = (String::new(), String::new(), String::new());
    for service in services {
        // A string takes all.
        let _ = own(service, &mut chains, &mut lists, &mut rules);
    }
    let last = "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n";
    [HEAD, &chains, BASE, &lists, last, &rules, "COMMIT\n"].concat()
}

/// What one Service adds: chains, its places in the two lists, and the rules in its chains.
fn own(
    service: &Service,
    chains: &mut String,
    lists: &mut String,
    rules: &mut String,
) -> std::fmt::Result {
    let Service {
        protocol,
        cluster_ip,
        endpoints,
        ..
    } = service;
    let (tag, protocol) = (tag(&service.name), protocol.name());
    let at = format!("-d {cluster_ip}/32 -p {protocol} -m {protocol} --dport {PORT}");
    writeln!(chains, ":KUBE-SVC-{tag} - [0:0]")?;
    writeln!(lists, "-A KUBE-SERVICES {at} -j KUBE-SVC-{tag}")?;
    if let Some(port) = service.node_port {
        writeln!(chains, ":KUBE-EXT-{tag} - [0:0]")?;
        writeln!(
            lists,
            "-A KUBE-NODEPORTS -p {protocol} -m {protocol} --dport {port} -j KUBE-EXT-{tag}"
        )?;
        writeln!(rules, "-A KUBE-EXT-{tag} -j KUBE-MARK-MASQ")?;
        writeln!(rules, "-A KUBE-EXT-{tag} -j KUBE-SVC-{tag}")?;
    }
    writeln!(
        rules,
        "-A KUBE-SVC-{tag} ! -s {POD_CIDR} {at} -j KUBE-MARK-MASQ"
    )?;
    for (index, (address, port)) in endpoints.iter().enumerate() {
        let endpoint = format!("KUBE-SEP-{tag}-{index}");
        writeln!(chains, ":{endpoint} - [0:0]")?;
        let left = endpoints.len() - index;
        let chance = match left {
            1 => String::new(),
            _ => format!(
                " -m statistic --mode random --probability {:.10}",
                1.0 / left as f64
            ),
        };
        writeln!(rules, "-A KUBE-SVC-{tag}{chance} -j {endpoint}")?;
        writeln!(rules, "-A {endpoint} -s {address}/32 -j KUBE-MARK-MASQ")?;
        writeln!(
            rules,
            "-A {endpoint} -p {protocol} -m {protocol} -j DNAT --to-destination {address}:{port}"
        )?;
    }
    Ok(())
}

/// A Service's name as a part of a chain's, which has 28 characters.
fn tag(name: &str) -> String {
    name.replace("service-", "S")
        .replace("measured-", "M")
        .to_uppercase()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::layout;
    use super::*;

    #[test]
    fn a_service_is_laid_out_as_kube_proxy_does() {
        let services = layout::services(10, Ipv4Addr::new(10, 245, 1, 2));
        let text = rules(&services);
        for line in [
            "-A KUBE-SERVICES -d 10.96.200.1/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-MTCP",
            "-A KUBE-NODEPORTS -p udp -m udp --dport 30082 -j KUBE-EXT-MUDP",
            "-A KUBE-EXT-MTCP -j KUBE-MARK-MASQ",
            "-A KUBE-EXT-MTCP -j KUBE-SVC-MTCP",
            "-A KUBE-SVC-MTCP ! -s 10.240.0.0/12 -d 10.96.200.1/32 -p tcp -m tcp --dport 80 \
             -j KUBE-MARK-MASQ",
            "-A KUBE-SVC-MTCP -m statistic --mode random --probability 0.5000000000 \
             -j KUBE-SEP-MTCP-0",
            "-A KUBE-SVC-MTCP -j KUBE-SEP-MTCP-1",
            "-A KUBE-SEP-MTCP-1 -s 10.245.1.2/32 -j KUBE-MARK-MASQ",
            "-A KUBE-SEP-MTCP-1 -p tcp -m tcp -j DNAT --to-destination 10.245.1.2:9001",
        ] {
            assert_eq!(text.lines().filter(|one| *one == line).count(), 1, "{line}");
        }
        let of_list = |line: &&str| line.starts_with("-A KUBE-SERVICES ");
        let list: Vec<_> = text.lines().filter(of_list).collect();
        assert_eq!(list.len(), 11);
        assert!(list[10].contains("--dst-type LOCAL"), "it is the last");
    }

    #[test]
    fn every_chain_that_is_jumped_to_is_declared_and_short_enough() {
        let text = rules(&layout::services(30_000, Ipv4Addr::new(10, 245, 1, 2)));
        let chains: std::collections::BTreeSet<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.split(' ').next())
            .collect();
        for line in text.lines().filter(|line| line.starts_with("-A")) {
            let target = line.rsplit_once("-j ").map_or("", |(_, rest)| rest);
            if target.starts_with("KUBE") {
                assert!(chains.contains(target), "{line}");
            }
        }
        assert!(chains.iter().all(|chain| chain.len() < 29));
    }
}
