//! A cluster on one machine: nodes as network namespaces, a small API server, an outside client.
//!
//! Real kernel, real CNI binary, real agent and DNS processes; only the machines are namespaces.
//! Everything a lab makes is below one state directory and one cgroup, and goes with it.

// The command line and the handle for tests.
pub mod cli;
pub mod handle;

// The life of a lab.
mod demo;
pub mod exercise;
mod launch;
mod image;
mod lock;
mod serve;
mod settings;
mod sweep;

// The cluster, from the wire up.
mod cluster;
mod controllers;
mod fabric;
mod kubelet;
pub mod network;
mod node;

// What the cluster says and is asked.
pub mod api;
mod client;
mod manifest;
mod objects;
pub mod store;

// The machine.
mod cgroup;
mod entry;
mod error;
mod namespaces;
pub mod patience;
mod places;

pub use error::LabError;
pub use handle::Lab;
