//! The doors to the kernel: each thing that can be touched is touched in one file.

pub mod affinity;
pub mod ask;
pub mod bpf;
pub mod capture;
pub mod counters;
pub mod events;
pub mod filters;
pub mod flows;
pub mod interfaces;
pub mod links;
pub mod listeners;
pub mod maps;
pub mod namespace;
pub mod node_maps;
pub mod pins;
pub mod pods;
pub mod probe;
pub mod programs;
pub mod route_of;
pub mod routes;
pub mod rules;
pub mod spaces;
pub mod sysctl;
pub mod tunnels;
pub mod walk;
