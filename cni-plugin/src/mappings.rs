//! `runtimeConfig.portMappings`: ports of the node that are to be the pod's (CNI's
//! CONVENTIONS.md), which Kubernetes calls `hostPort`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proxy_abi::host_port::{ANY_V4, ANY_V6};
use proxy_abi::{Endpoint, FrontendKey, Ip, Port, protocol};
use serde_json::Value;

use crate::error::Error;
use crate::field::field;

const KEY: &str = "runtimeConfig.portMappings";
const HOST_PORT: &str = "runtimeConfig.portMappings[].hostPort";
const CONTAINER_PORT: &str = "runtimeConfig.portMappings[].containerPort";
const PROTOCOL: &str = "runtimeConfig.portMappings[].protocol";
const HOST_IP: &str = "runtimeConfig.portMappings[].hostIP";

/// The mappings of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mappings(Vec<Mapping>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    /// The node's address; `None` for all of each family.
    host_ip: Option<IpAddr>,
    host_port: Port,
    container_port: Port,
    protocol: u8,
}

impl Mappings {
    /// Reads the list. An entry without a host port says only which port the container has.
    ///
    /// # Errors
    /// When it is no list of mappings, by the name of the field.
    pub(crate) fn read(list: &Value) -> Result<Self, Error> {
        let mappings = match list {
            Value::Null => Vec::new(),
            Value::Array(list) => list
                .iter()
                .filter_map(|entry| Mapping::read(entry).transpose())
                .collect::<Result<_, _>>()?,
            other => return Err(unfit(KEY, other, "is no list")),
        };
        Ok(Self(mappings))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges them for a pod that has an address of these families or has not.
    ///
    /// # Errors
    /// When one is for an address of a family that the pod does not speak, or two give one port
    /// away.
    pub(crate) fn judge(&self, ipv4: bool, ipv6: bool) -> Result<(), Error> {
        let mut given = BTreeMap::new();
        for mapping in &self.0 {
            if let Some(host_ip) = mapping.host_ip
                && !(if host_ip.is_ipv4() { ipv4 } else { ipv6 })
            {
                let why = "is of a family of which the pod has no address";
                return Err(unfit(HOST_IP, host_ip, why));
            }
            let keys = [(ipv4, ANY_V4), (ipv6, ANY_V6)]
                .into_iter()
                .filter(|(speaks, any)| *speaks && mapping.is_for(*any))
                .map(|(_, any)| mapping.key(any));
            for key in keys {
                let before = given.insert(key, mapping.container_port);
                if before.is_some_and(|port| port != mapping.container_port) {
                    let why = "is mapped twice, to different container ports";
                    return Err(unfit(HOST_PORT, mapping.host_port.number(), why));
                }
            }
        }
        Ok(())
    }

    /// What the programs are to know of a pod with these addresses.
    pub(crate) fn entries(&self, addresses: &[IpAddr]) -> BTreeMap<FrontendKey, Endpoint> {
        let pairs = self.0.iter().flat_map(|mapping| {
            let theirs = addresses.iter().filter_map(|address| {
                let any = if address.is_ipv4() { ANY_V4 } else { ANY_V6 };
                let endpoint = Endpoint::new((*address).into(), mapping.container_port);
                mapping.is_for(any).then(|| (mapping.key(any), endpoint))
            });
            theirs.collect::<Vec<_>>()
        });
        pairs.collect()
    }
}

impl Mapping {
    fn read(entry: &Value) -> Result<Option<Self>, Error> {
        if !entry.is_object() {
            return Err(unfit(KEY, entry, "is no mapping of a port"));
        }
        let Some(host_port) = port(HOST_PORT, field(entry, "hostPort"))? else {
            return Ok(None);
        };
        let container_port = port(CONTAINER_PORT, field(entry, "containerPort"))?;
        let container_port =
            container_port.ok_or_else(|| unfit(CONTAINER_PORT, 0, "must be a port: 1 to 65535"))?;
        Ok(Some(Self {
            host_ip: host_ip(field(entry, "hostIP"))?,
            host_port,
            container_port,
            protocol: protocol_number(field(entry, "protocol"))?,
        }))
    }

    /// Whether it says something of the family that this unspecified address is of.
    fn is_for(&self, any: Ip) -> bool {
        self.host_ip
            .is_none_or(|host_ip| host_ip.is_ipv4() == (any == ANY_V4))
    }

    fn key(&self, any: Ip) -> FrontendKey {
        let address = self.host_ip.map_or(any, Ip::from);
        FrontendKey::new(address, self.host_port, self.protocol)
    }
}

/// `None` for 0 and for none given.
fn port(key: &'static str, value: &Value) -> Result<Option<Port>, Error> {
    if value.is_null() {
        return Ok(None);
    }
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    let number = number.ok_or_else(|| unfit(key, value, "must be a port: 1 to 65535"))?;
    Ok((number != 0).then(|| Port::new(number)))
}

fn protocol_number(value: &Value) -> Result<u8, Error> {
    let name = match value {
        Value::Null => "",
        other => other.as_str().unwrap_or("no text"),
    };
    match name.to_ascii_lowercase().as_str() {
        "tcp" | "" => Ok(protocol::TCP),
        "udp" => Ok(protocol::UDP),
        "sctp" => Ok(protocol::SCTP),
        _ => Err(unfit(PROTOCOL, value, "must be tcp, udp or sctp")),
    }
}

fn host_ip(value: &Value) -> Result<Option<IpAddr>, Error> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        other => {
            let parsed = other.as_str().and_then(|text| text.parse().ok());
            let address: IpAddr =
                parsed.ok_or_else(|| unfit(HOST_IP, other, "is no IP address"))?;
            Ok(Some(address.to_canonical()))
        }
    }
}

fn unfit(key: &'static str, value: impl ToString, why: &'static str) -> Error {
    Error::Config {
        key,
        value: value.to_string(),
        why,
    }
}

#[cfg(test)]
mod tests;
