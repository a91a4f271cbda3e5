//! The cluster DNS as a pod meets it: through the cluster IP of `kube-dns`, over UDP and TCP and
//! in both families, asked by a client that is not ours.

mod stage;

use lab::Lab;
use lab::network::{Families, Network};
use stage::{PATIENCE, two_tier_on};

const SERVICES: &str = "{apiVersion: v1, kind: Service, metadata: {name: peers}, spec: {\
     clusterIP: None, selector: {app: backend}, \
     ports: [{name: http, port: 80, targetPort: 8080}]}}\n---\n\
     {apiVersion: v1, kind: Service, metadata: {name: idle}, spec: {\
     clusterIP: None, selector: {app: nobody}, ports: [{name: http, port: 80}]}}\n---\n\
     {apiVersion: v1, kind: Service, metadata: {name: alias}, spec: {\
     type: ExternalName, externalName: backend.default.svc.cluster.local}}";

/// What `dig` in a frontend says to these arguments, blanks and tabs made alike.
fn dig(lab: &Lab, server: &str, arguments: &[&str]) -> String {
    let server = format!("@{server}");
    let common = ["dig", &server, "+time=3", "+tries=2"];
    let argv = [&common[..], arguments].concat();
    let output = lab.in_pod("deploy/frontend", &argv).output();
    let text = String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_pod_asks_through_the_cluster_ip_by_every_way() {
    let network = Network {
        families: Families::Dual,
        ..Network::default()
    };
    let Some(lab) = two_tier_on("dns-dual", network, &["dig"]) else {
        return;
    };
    lab.apply(SERVICES).expect("applied");
    let pods = lab.wait_pods("backend", 2, PATIENCE).expect("backends");
    let known = || {
        let text = dig(
            &lab,
            "10.96.0.10",
            &["peers.default.svc.cluster.local", "A"],
        );
        Ok(text.contains("ANSWER: 2,").then_some(()))
    };
    lab.wait("both backends are ready", PATIENCE, known)
        .expect("they are");

    let pod = pods[0].addresses.iter().find(|address| address.is_ipv4());
    let pod = pod.expect("an IPv4 address").to_string();
    let dashed = format!("{}.default.pod.cluster.local", pod.replace('.', "-"));
    let named = format!("{}.peers.default.svc.cluster.local", pod.replace('.', "-"));
    let rows: [(&[&str], &[&str]); 15] = [
        (&["cluster.local", "SOA"], &["IN SOA ns.dns.cluster.local."]),
        (
            &["cluster.local", "NS"],
            &["IN NS ns.dns.cluster.local.", "IN A 10.96.0.10", "IN AAAA"],
        ),
        (&["dns-version.cluster.local", "TXT"], &["IN TXT \"1.1.0\""]),
        (
            &["svc.cluster.local", "A"],
            &["NOERROR", "ANSWER: 0,", "IN SOA"],
        ),
        (
            &["peers.default.svc.cluster.local", "A"],
            &["NOERROR", "ANSWER: 2,", &pod],
        ),
        (&[&named, "A"], &["NOERROR", "ANSWER: 1,", &pod]),
        (
            &["-x", "fd00:10:96::a"],
            &["IN PTR kube-dns.kube-system.svc.cluster.local."],
        ),
        (
            &["backend.default.svc.cluster.local", "A"],
            &["NOERROR", "IN A 10.96."],
        ),
        (
            &["Backend.default.svc.cluster.local", "AAAA"],
            &["NOERROR", "ANSWER: 0,", "IN SOA"],
        ),
        (
            &["_http._tcp.peers.default.svc.cluster.local", "SRV"],
            &["IN SRV 0 100 8080", "ANSWER: 2,"],
        ),
        (
            &["idle.default.svc.cluster.local", "A"],
            &["NXDOMAIN", "IN SOA"],
        ),
        (
            &["alias.default.svc.cluster.local", "A"],
            &["IN CNAME backend.default.svc.cluster.local.", "IN A 10.96."],
        ),
        (
            &["-x", "10.96.0.10"],
            &["IN PTR kube-dns.kube-system.svc.cluster.local."],
        ),
        (&[&dashed, "A"], &["NOERROR", &pod]),
        (
            &["api.example.com.default.svc.cluster.local", "A"],
            &["NXDOMAIN", "IN SOA"],
        ),
    ];
    for server in ["10.96.0.10", "fd00:10:96::a"] {
        for way in ["+notcp", "+tcp"] {
            for (arguments, wanted) in rows {
                let text = dig(&lab, server, &[arguments, &[way]].concat());
                for part in wanted {
                    assert!(
                        text.contains(part),
                        "{server} {way} {arguments:?}: {part:?} in {text}"
                    );
                }
            }
        }
    }
}
