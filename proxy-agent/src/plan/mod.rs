//! What should be, and the ordered list of operations that leads there from what is. Pure: values
//! in, values out, tested by table.

pub mod cni_config;
pub mod desired;
pub mod filters;
pub mod flows;
pub mod interfaces;
pub mod links;
pub mod mac;
pub mod node_maps;
pub mod node_ports;
pub mod notices;
pub mod peers;
pub mod ports;
pub mod removal;
pub mod routes;
pub mod services;
pub mod slots;
pub mod tunnels;
