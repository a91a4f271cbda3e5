//! The network configuration on stdin: read as the runtime sends it, then judged key by key.
//! ADD needs all of it to be right; DEL only what says where things were put.

mod ipam;
mod valid;

use std::path::PathBuf;

use proxy_abi::ownership::map::Pin;
use proxy_abi::ownership::{
    ANNOTATIONS_CAPABILITY, DEFAULT_BPFFS, PIN_LINKS, PIN_MAPS, PIN_PROGRAMS, PIN_ROOT,
    SOCKET_PATH_ANNOTATION,
};
use serde::Deserialize;
use serde_json::Value;

use crate::attachment::is_plain_name;
use crate::error::Error;
use crate::field::field;
use crate::mappings::Mappings;
use crate::plan::SMALLEST_IPV6_MTU;
use crate::program::{Attach, HOOKS};
use crate::range::RangeSet;

use crate::arguments::Arguments;
use crate::version::CniVersion;
use crate::wishes::Wishes;
use ipam::Ipam;

pub(crate) use valid::valid_attachments;

/// Where `host-local` keeps its leases unless told otherwise.
const DEFAULT_DATA_DIR: &str = "/var/lib/cni/networks";
/// The smallest MTU that Linux lets IPv4 run on (RFC 791: 68 octets without fragmentation).
const SMALLEST_MTU: u32 = 68;
/// The largest MTU of a veth (`ETH_MAX_MTU`).
const LARGEST_MTU: u32 = 65535;

/// The configuration as it came. Keys not named here are the runtime's or another plugin's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    cni_version: Option<String>,
    name: Option<String>,
    mtu: Option<u32>,
    bpffs: Option<PathBuf>,
    ip_masq: Option<bool>,
    #[serde(default)]
    ipam: Ipam,
    dns: Option<Value>,
    #[serde(default)]
    runtime_config: Value,
    #[serde(default)]
    args: Value,
    prev_result: Option<Value>,
}

/// Where this network keeps what outlives a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// The network's name.
    pub(crate) network: String,
    /// Folder of the lease files: `<dataDir>/<network name>`.
    pub(crate) leases: PathBuf,
    /// Mount point of the bpffs that holds flatnet's pins.
    pub(crate) bpffs: PathBuf,
}

impl Places {
    /// Pin of a program that the agent loaded.
    pub(crate) fn program_pin(&self, program: &str) -> PathBuf {
        self.bpffs.join(PIN_ROOT).join(PIN_PROGRAMS).join(program)
    }

    /// Pin of a map that the agent made.
    pub(crate) fn map_pin(&self, map: &str) -> PathBuf {
        self.bpffs
            .join(PIN_ROOT)
            .join(PIN_MAPS)
            .join(Pin::of(map).to_string())
    }

    /// Folder of the pinned links.
    pub(crate) fn links(&self) -> PathBuf {
        self.bpffs.join(PIN_ROOT).join(PIN_LINKS)
    }

    /// Pins of the links between the programs and one interface, in the order of [`HOOKS`].
    pub(crate) fn link_pins(&self, interface: &str) -> [PathBuf; HOOKS.len()] {
        HOOKS.map(|hook| self.links().join(format!("{}-{interface}", hook.program)))
    }
}

impl Config {
    /// Decodes the bytes on stdin.
    ///
    /// # Errors
    /// When they are not JSON, or a key has a value of the wrong type.
    pub(crate) fn decode(stdin: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(stdin).map_err(Error::Decode)
    }

    /// The version to speak. A configuration without one means 0.1.0 by the specification's
    /// history, which this plugin does not speak.
    ///
    /// # Errors
    /// When this plugin does not speak it.
    pub(crate) fn version(&self) -> Result<CniVersion, Error> {
        let asked = self.cni_version.as_deref().unwrap_or("0.1.0");
        CniVersion::parse(asked).ok_or_else(|| Error::Version(asked.to_owned()))
    }

    /// Where the state of the network is kept.
    ///
    /// # Errors
    /// When the network's name is missing or unfit for a folder, or a path is relative.
    pub(crate) fn places(&self) -> Result<Places, Error> {
        let name = self.name.as_deref().unwrap_or_default();
        if !is_plain_name(name) {
            return Err(invalid(
                "name",
                name,
                "must be a letter or digit, then letters, digits, '_', '.' or '-'",
            ));
        }
        let data_dir = absolute(
            "ipam.dataDir",
            self.ipam.data_dir.as_ref(),
            DEFAULT_DATA_DIR,
        )?;
        let bpffs = absolute("bpffs", self.bpffs.as_ref(), DEFAULT_BPFFS)?;
        Ok(Places {
            network: name.to_owned(),
            leases: data_dir.join(name),
            bpffs,
        })
    }

    /// The interface MTU in bytes; `None` leaves the kernel's default, 1500.
    ///
    /// # Errors
    /// When no veth takes it, or IPv6 is to run on it and does not.
    pub(crate) fn mtu(&self, ipv6: bool) -> Result<Option<u32>, Error> {
        match self.mtu {
            Some(mtu @ 1..SMALLEST_IPV6_MTU) if ipv6 => Err(invalid(
                "mtu",
                mtu,
                "must be 1280 or more where pods have IPv6 addresses",
            )),
            // 0 is how configurations of the reference plugins say "default".
            None | Some(0) => Ok(None),
            Some(mtu @ SMALLEST_MTU..=LARGEST_MTU) => Ok(Some(mtu)),
            Some(mtu) => Err(invalid(
                "mtu",
                mtu,
                "must be between 68 and 65535, or 0 for the default",
            )),
        }
    }

    /// The range sets a pod gets an address from, one of each.
    ///
    /// # Errors
    /// When there is none, when one is malformed, or when a family has more than one.
    pub(crate) fn range_sets(&self) -> Result<Vec<RangeSet>, Error> {
        self.ipam.range_sets()
    }

    /// How the program is to be attached. The `bandwidth` plugin, later in the list, limits what
    /// a pod sends with an `ingress` qdisc on the host end, and finds no room for it beside
    /// clsact. It acts on what the runtime says under this key, as this plugin does when its
    /// entry in the list has the capability `bandwidth`.
    pub(crate) fn attach(&self) -> Attach {
        if self.limits("egressRate") {
            Attach::Link
        } else {
            Attach::Filter
        }
    }

    /// Whether the `bandwidth` plugin is to limit what the pod sends or receives.
    pub(crate) fn shaped(&self) -> bool {
        self.limits("egressRate") || self.limits("ingressRate")
    }

    fn limits(&self, rate: &str) -> bool {
        let rate = field(&self.runtime_config["bandwidth"], rate).as_f64();
        rate.is_some_and(|bits_a_second| bits_a_second > 0.0)
    }

    /// Whether the pod's sockets are to be left alone, as its annotation says. The runtime hands
    /// annotations over with the request, so that it holds from the pod's first connection on.
    ///
    /// # Errors
    /// When the annotation says neither yes nor no.
    pub(crate) fn packets_only(&self) -> Result<bool, Error> {
        let annotations = &self.runtime_config[ANNOTATIONS_CAPABILITY];
        match annotations[SOCKET_PATH_ANNOTATION].as_str() {
            Some("false") => Ok(true),
            None | Some("true") => Ok(false),
            Some(other) => Err(invalid(
                SOCKET_PATH_ANNOTATION,
                other,
                "is an annotation that says true or false",
            )),
        }
    }

    /// The node's ports that are to be the pod's.
    ///
    /// # Errors
    /// See [`Mappings::read`].
    pub(crate) fn mappings(&self) -> Result<Mappings, Error> {
        Mappings::read(&self.runtime_config["portMappings"])
    }

    /// The `dns` section, which ADD hands through to its result.
    pub(crate) fn dns(&self) -> Value {
        self.dns
            .clone()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }

    /// Addresses and a MAC address that the runtime asks for.
    ///
    /// # Errors
    /// See [`Wishes::gather`].
    pub(crate) fn wishes(&self, arguments: &Arguments) -> Result<Wishes, Error> {
        Wishes::gather(&self.runtime_config, &self.args, arguments)
    }

    /// The result of the plugins before this one, or for CHECK that of all; `None` where there is
    /// none.
    ///
    /// # Errors
    /// When it is no object.
    pub(crate) fn previous(&self) -> Result<Option<&Value>, Error> {
        let given = self.prev_result.as_ref().filter(|value| !value.is_null());
        match given {
            Some(other) if !other.is_object() => Err(invalid("prevResult", other, "is no result")),
            result => Ok(result),
        }
    }

    /// Refuses what this plugin knows of and cannot do, rather than attach a pod in another way
    /// than was asked for.
    ///
    /// # Errors
    /// Names the first such key.
    pub(crate) fn refuse_unsupported(&self) -> Result<(), Error> {
        if self.ip_masq == Some(true) {
            return Err(unsupported(
                "ipMasq",
                true,
                "the agent decides about masquerading, for the whole node",
            ));
        }
        let ranges = &self.runtime_config["ipRanges"];
        if ranges.as_array().is_some_and(|list| !list.is_empty()) {
            return Err(unsupported(
                "runtimeConfig.ipRanges",
                ranges,
                "ranges come from the ipam section",
            ));
        }
        Ok(())
    }
}

fn absolute(key: &'static str, given: Option<&PathBuf>, default: &str) -> Result<PathBuf, Error> {
    let path = given
        .filter(|path| !path.as_os_str().is_empty())
        .cloned()
        .unwrap_or_else(|| default.into());
    if path.is_relative() {
        return Err(invalid(key, path.display(), "must be an absolute path"));
    }
    Ok(path)
}

fn invalid(key: &'static str, value: impl ToString, why: &'static str) -> Error {
    Error::Config {
        key,
        value: value.to_string(),
        why,
    }
}

fn unsupported(key: &'static str, value: impl ToString, why: &'static str) -> Error {
    Error::Unsupported {
        key,
        value: value.to_string(),
        why,
    }
}

#[cfg(test)]
mod tests;
