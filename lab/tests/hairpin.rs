//! A pod that reaches itself through its own Service, on the path of packets and on that of
//! sockets.

mod stage;

use std::net::{IpAddr, SocketAddr};

use lab::network::Network;

use stage::servers::{PORT, ask, servers};
use stage::{PATIENCE, agents_with, output, product_of};

const CLUSTER_IPS: [&str; 2] = ["10.96.9.9", "fd00:10:96::99"];
const FRONTEND_PORT: u16 = 80;

/// The only endpoint of a Service asks that Service, many times: it is answered by itself,
/// and datagrams in fragments are, too.
fn a_pod_reaches_itself(row: &str, socket_lb: bool) {
    let Some(agents) = agents_with(&format!("--socket-lb {socket_lb}")) else {
        return;
    };
    let Some(lab) = product_of(agents.path(), row, 1, Network::default(), &[]) else {
        return;
    };
    let pod = servers(&lab, 1).remove(0);
    lab.apply(&format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: own}}, spec: {{\
         ipFamilyPolicy: RequireDualStack, selector: {{app: web}}, \
         clusterIPs: ['{}', '{}'], ports: [\
         {{name: t, port: {FRONTEND_PORT}, targetPort: {PORT}}}, \
         {{name: u, port: {FRONTEND_PORT}, targetPort: {PORT}, protocol: UDP}}]}}}}",
        CLUSTER_IPS[0], CLUSTER_IPS[1]
    ))
    .expect("applied");
    for address in CLUSTER_IPS {
        let address: IpAddr = address.parse().expect("an address");
        let at = SocketAddr::new(address, FRONTEND_PORT);
        let url = format!("http://{at}");
        let known = || {
            let probe = lab
                .on_node("node1", &["flatnet-demo", "get", &url])
                .output();
            Ok(probe.expect("it runs").status.success().then_some(()))
        };
        lab.wait("the Service", PATIENCE, known)
            .expect("it answers");
        for _ in 0..10 {
            for (name, _) in ask(|argv| lab.in_pod(&pod.name, argv), at) {
                assert_eq!(name, pod.name);
            }
        }
        let target = at.to_string();
        for options in [&["--one-socket", "--count", "20"][..], &["--size", "60000"]] {
            let argv = ["flatnet-demo", "udp", &target];
            let argv = [&argv[..], options].concat();
            output(lab.in_pod(&pod.name, &argv));
        }
        // The node, whose packets take another way, still gets there.
        ask(|argv| lab.on_node("node1", argv), at);
    }
}

#[test]
fn a_pod_reaches_itself_through_its_service() {
    a_pod_reaches_itself("hairpin", true);
}

#[test]
fn a_pod_reaches_itself_packet_by_packet() {
    a_pod_reaches_itself("hairpin-packets", false);
}
