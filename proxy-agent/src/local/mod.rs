//! What the agent tells those on its own node: JSON over HTTP on a Unix socket that only root may
//! open. The program `flatnet` is the other end.
//!
//! `api` has the words, `kernel` reads what the kernel holds (also for `flatnet` itself, while no
//! agent runs), `services` joins that with the cluster's names, `serve` answers. Nothing here
//! changes anything but for the socket itself.

pub mod api;

pub mod flows;
pub mod kernel;
pub mod lookup;
pub mod node;
pub mod services;
pub mod sockets;
pub mod watch;

mod serve;

pub use serve::Local;
