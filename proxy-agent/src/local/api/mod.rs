//! The words of the agent's local API, the same for both ends. All of it is version 1
//! (`/v1/...`): fields are added, none changes its meaning.

mod flow;
mod node;
mod service;
mod status;
mod watch;

pub use flow::{Flow, Flows};
pub use node::{HostPort, Interface, Listener, Lookup, Node, Peer, Pod, Probe, Route};
pub use service::{Address, Endpoint, Frontend, Nobody, Port, Service, Services, Side};
pub use status::{Attached, Cluster, Count, Kernel, MapUse, Program, Status};
pub use watch::{Event, Sighting, Watch, Watched, What};
