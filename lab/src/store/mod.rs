//! The lab's cluster state: Kubernetes objects in memory, as the API server would keep them.
//!
//! One lock, one revision counter, one writer (`state`).
//! The HTTP face in `crate::api` and the lab's kubelet and controllers use the same [`Store`],
//! so that both see the same defaults, the same checks and the same order of events.
//! Nothing here knows about HTTP, sockets or processes.
//!
//! What happens without being asked:
//! - `create` and `update` fill in the defaults a real cluster would (`defaults`) and refuse what
//!   a real cluster refuses (`validate`).
//! - Deleting an owner deletes what it owns at once (`collection`): objects whose
//!   `metadata.ownerReferences` name its uid.
//! - Deleting a Namespace deletes its contents; it stays `Terminating` until the last pod left.

pub mod allocate;
pub mod clock;
mod collection;
mod config;
pub mod defaults;
mod deletion;
mod error;
mod history;
mod kind;
mod memory;
pub mod object;
pub mod selector;
mod state;
pub mod validate;
mod watch;
mod write;

pub use config::Config;
pub use deletion::{DeleteOptions, Propagation};
pub use error::{ApiError, Cause};
pub use history::{Change, ChangeKind};
pub use kind::{Kind, Registration};
pub use memory::{List, Store};
pub use state::Key;
pub use watch::Watch;
pub use write::{Scope, WriteOptions};
