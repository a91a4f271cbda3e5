//! The agent of a node: observe (the cluster's view, the kernel's state) -> plan and diff (pure)
//! -> apply (the only writer).
//!
//! `plan` decides and touches nothing. `kernel` has one door for each thing that can be touched:
//! maps, programs and links, routes, sysctls. `pass` brings the two together once; `run` does so
//! whenever something changed. `serve` and `local` tell others. The library exists so that tests reach the rooms; the program is
//! `main.rs`.

pub mod args;

pub mod plan;

pub mod kernel;

pub mod doctor;
pub mod pass;
pub mod prepare;
pub mod run;
pub mod serve;
pub mod local;
pub mod uninstall;
