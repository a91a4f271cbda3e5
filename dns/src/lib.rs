//! The cluster DNS server: names of Services and endpoints from the cluster model, all others
//! from upstreams.
//!
//! question -> lookup -> answer is pure. `wire` reads and writes packets, `server` decides what
//! becomes of one, `udp` and `tcp` bring them; `upstream` asks others. The program is `main.rs`.

#![forbid(unsafe_code)]

mod args;
mod zone;
mod question;
mod records;
mod answer;
mod wire;
mod autopath;
mod metrics;
mod upstream;
mod server;
mod udp;
mod tcp;
mod listen;
mod http;
mod run;
#[cfg(any(test, feature = "offline"))]
pub mod offline;

pub use args::Args;
pub use run::run;
