//! Who the receiver sees: captured in the receiving pod, not told by it.

mod stage;

use lab::store::Kind;

use stage::capture::Capture;
use stage::{output, two_tier};

/// `IP 10.244.1.3.40000 > 10.244.2.2.8080: …` -> `10.244.1.3`
fn source(line: &str) -> &str {
    let endpoint = line
        .split("IP ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    endpoint
        .and_then(|endpoint| endpoint.rsplit_once('.'))
        .map_or("", |(address, _)| address)
}

#[test]
fn the_receiving_pod_sees_the_sending_pods_address() {
    let Some(lab) = two_tier("addresses", &["tcpdump"]) else {
        return;
    };
    let service = lab
        .api()
        .find(Kind::Service, "default", "backend")
        .expect("an answer");
    let address = service.expect("the Service")["spec"]["clusterIP"].clone();
    let address = address.as_str().expect("a cluster IP");
    let url = format!("http://{address}");
    let echo = format!("{address}:80");
    let tcp = ["flatnet-demo", "get", &url, "--count", "20"];
    let udp = ["flatnet-demo", "udp", &echo, "--count", "20"];
    // A sender on the node of each receiver, so that both ways are sure to be walked.
    lab.scale("frontend", 6).expect("scaled");
    let senders = lab
        .wait_pods("frontend", 6, stage::PATIENCE)
        .expect("six frontends");
    let receivers = lab.pods("backend").expect("pods");
    let mut walked = std::collections::BTreeSet::new();
    for receiver in &receivers {
        for sender in &senders {
            for (protocol, argv) in [("TCP", tcp), ("UDP", udp)] {
                let filter = format!("dst host {} and dst port 8080", receiver.address);
                let capture = Capture::start(&lab, &receiver.name, &filter);
                output(lab.in_pod(&sender.name, &argv));
                let seen = capture.finish();
                // Probes come from the node; what else arrives must be the sender itself.
                let others: Vec<_> = seen
                    .iter()
                    .filter(|line| !source(line).starts_with("172.30.0."))
                    .filter(|line| source(line) != sender.address)
                    .collect();
                assert!(others.is_empty(), "{protocol} from {sender:?}: {others:?}");
                let own = seen
                    .iter()
                    .filter(|line| source(line) == sender.address)
                    .count();
                assert!(own > 0, "{protocol} {sender:?} -> {receiver:?}: {seen:?}");
                walked.insert((protocol, sender.node == receiver.node));
            }
        }
    }
    let all = [("TCP", false), ("TCP", true), ("UDP", false), ("UDP", true)];
    assert_eq!(walked.into_iter().collect::<Vec<_>>(), all);
}
