//! The doors to the kernel: each thing that can be touched is touched in one file.

pub mod bpf;
pub mod events;
pub mod filters;
pub mod interfaces;
pub mod links;
pub mod maps;
pub mod namespace;
pub mod node_maps;
pub mod pins;
pub mod probe;
pub mod programs;
pub mod routes;
pub mod rules;
pub mod sysctl;
pub mod tunnels;
