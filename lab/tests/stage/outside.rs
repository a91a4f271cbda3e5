//! The outside client: a server on it, and who it sees.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use lab::Lab;

use super::{PATIENCE, Running, output};

/// Where its server listens.
pub(crate) const OUTSIDE_PORT: u16 = 9090;
/// Where its server of single bytes listens.
pub(crate) const BYTE_PORT: u16 = 9091;

/// The client's addresses of the families that the lab's nodes have.
pub(crate) fn client_addresses(lab: &Lab) -> Vec<IpAddr> {
    let of = |node: IpAddr| match node {
        IpAddr::V4(_) => IpAddr::from([172, 30, 0, 200]),
        IpAddr::V6(_) => "fd00:172:30::200".parse().expect("an address"),
    };
    lab.node_addresses("node1").into_iter().map(of).collect()
}

/// Starts the server on the client, and waits for it.
pub(crate) fn serve_outside(lab: &Lab) -> Running {
    serve_at(lab, |argv| lab.on_client(argv))
}

/// Starts such a server where commands made of an argv run, and waits for it.
pub(crate) fn serve_at(lab: &Lab, place: impl Fn(&[&str]) -> Command) -> Running {
    let (port, bytes) = (OUTSIDE_PORT.to_string(), BYTE_PORT.to_string());
    let serve = "flatnet-demo serve --drain-ms 0 --port".split(' ');
    let serve: Vec<_> = serve.chain([&*port, "--byte-port", &bytes]).collect();
    let server = Running::start(place(&serve));
    let url = format!("http://127.0.0.1:{OUTSIDE_PORT}");
    let url = match lab.node_addresses("node1")[0] {
        IpAddr::V4(_) => url,
        IpAddr::V6(_) => format!("http://[::1]:{OUTSIDE_PORT}"),
    };
    let up = || {
        let probe = place(&["flatnet-demo", "get", &url]).output();
        Ok(probe.expect("it runs").status.success().then_some(()))
    };
    lab.wait("the server", PATIENCE, up).expect("it answers");
    server
}

/// Tells the client the way to the pods of each node.
pub(crate) fn teach_pod_routes(lab: &Lab) {
    for node in lab.nodes() {
        for (cidr, via) in lab.pod_cidrs(&node).iter().zip(lab.node_addresses(&node)) {
            let (cidr, via) = (cidr.to_string(), via.to_string());
            let family = if via.contains(':') { "-6" } else { "-4" };
            output(lab.on_client(&["ip", family, "route", "replace", &cidr, "via", &via]));
        }
    }
}

/// Where its server is, in each family.
pub(crate) fn outside_servers(lab: &Lab) -> Vec<SocketAddr> {
    let at = |address| SocketAddr::new(address, OUTSIDE_PORT);
    client_addresses(lab).into_iter().map(at).collect()
}
