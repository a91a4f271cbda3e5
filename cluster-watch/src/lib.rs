//! The door between Kubernetes and the cluster model: watches that feed a `ClusterIndex`.
//!
//! `connect` finds the API server, `wire` reads the few fields flatnet wants, `trim` turns them
//! into the model's objects, `watch` follows one kind, `feed` holds the index they all fill. No
//! decision is taken here; whoever reads the feed decides. The one thing that is written is what
//! people are to see (`publish`).

#![forbid(unsafe_code)]

mod connect;
mod wire;
mod trim;
mod contact;
mod retry;
mod watch;
mod feed;
mod publish;

pub use cluster_model::Dirty;
pub use connect::{ConnectError, client};
pub use feed::{Feed, Selection, spawn};
pub use kube::Client;
pub use publish::{PublishError, Publisher};
