//! The real binary against the real kernel: each test has a node (network namespace, bpffs,
//! folders) and pods of its own, which end with the test's thread, also after a panic.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod ask;
mod call;
mod node;
mod pinned;
mod result;

mod add_and_del;
mod chain;
mod check;
mod containerd;
mod crash;
mod families;
mod gc;
mod host_ports;
mod host_local;
mod refusals;
mod status;
mod traffic;
mod wishes;
