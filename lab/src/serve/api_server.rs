//! Where the API server listens: on this machine's loopback for `kubectl`, and in every node's
//! network namespace on the node's own addresses for agents and pods.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::error::LabError;
use crate::namespaces;
use crate::node::{API_PORT, Node};
use crate::places::Places;
use crate::store::Store;

/// Starts all listeners; returns the address on the loopback.
pub(super) fn listen(
    store: &Store,
    places: &Places,
    nodes: &[Node],
    port: u16,
    running: &mut JoinSet<()>,
) -> Result<SocketAddr, LabError> {
    let loopback = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let loopback = loopback.map_err(LabError::doing(format!("listening on 127.0.0.1:{port}")))?;
    let address = loopback
        .local_addr()
        .map_err(LabError::doing("listening"))?;
    serve(store, loopback, running)?;
    for node in nodes {
        for address in node.addresses() {
            let address = SocketAddr::new(address, API_PORT);
            let bind = || TcpListener::bind(address);
            let listener = namespaces::inside(&places.netns(&node.name), bind);
            let what = || format!("listening on {address} of {}", node.name);
            serve(store, listener.map_err(LabError::doing(what()))?, running)?;
        }
    }
    Ok(address)
}

fn serve(store: &Store, listener: TcpListener, running: &mut JoinSet<()>) -> Result<(), LabError> {
    let io = || LabError::doing("listening");
    listener.set_nonblocking(true).map_err(io())?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(io())?;
    let router = api::router(store.clone());
    // The lab ends by dropping this task, and its clients with it: nothing is left to say goodbye
    // to, so nothing ever cancels this.
    let closing = CancellationToken::new();
    running.spawn(async move {
        if let Err(error) = api::serve(listener, router, closing).await {
            tracing::error!(%error, "the API server ended");
        }
    });
    Ok(())
}

/// Writes the kubeconfig that points at `address`.
pub(super) fn write_kubeconfig(places: &Places, address: &SocketAddr) -> Result<(), LabError> {
    let name = format!("flatnet-lab-{}", places.name());
    let text = format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n- name: {name}\n  cluster:\n    server: http://{address}\n\
         users:\n- name: {name}\n  user: {{}}\n\
         contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n\
         current-context: {name}\n"
    );
    fs::write(places.kubeconfig(), text).map_err(LabError::doing("kubeconfig"))
}
