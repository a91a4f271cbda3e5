//! flatnet as people get it: from the image archive and the manifests, with `kubectl apply -k`,
//! on nodes that have nothing. What the manifests say is what runs: command, environment, mounts,
//! user and capabilities.

#[path = "../stage/mod.rs"]
mod stage;

mod containerd;
mod datagrams;
mod docker;
mod installed;
mod load;
mod removal;
mod replaced;

use std::path::PathBuf;

/// The archive under test, or nothing after having said why not.
fn archive(tools: &[&str]) -> Option<PathBuf> {
    stage::skip_without(&[&["ip"], tools].concat(), "FLATNET_IMAGE")
}
