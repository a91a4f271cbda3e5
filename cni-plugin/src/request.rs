//! Environment and configuration together: from raw input to a request in which everything has
//! been judged. What comes out of here is acted upon; nothing before here touches the node.

use serde_json::Value;

use crate::attachment::{Attachment, ContainerId, InterfaceName};
use crate::config::{Config, Places};
use crate::error::Error;
use crate::input::Input;
use crate::lease::Pool;
use crate::program::Attach;
use crate::range::RangeSet;
use crate::version::{self, CniVersion};

/// What the runtime wants, in full and valid.
#[derive(Debug)]
pub(crate) enum Request {
    /// Which versions are spoken; answered in this one.
    Version(CniVersion),
    /// Put a pod on the network.
    Add(Add),
    /// Take it off.
    Del(Del),
}

/// A valid ADD.
#[derive(Debug)]
pub(crate) struct Add {
    /// Version of the result.
    pub(crate) version: CniVersion,
    /// Which interface of which container.
    pub(crate) attachment: Attachment,
    /// File that stands for the pod's network namespace, as text: the result repeats it.
    pub(crate) netns: String,
    /// Leases and pins.
    pub(crate) places: Places,
    /// One address is taken from each.
    pub(crate) pools: Vec<Pool>,
    /// MTU of both ends in bytes; `None` for the kernel's default.
    pub(crate) mtu: Option<u32>,
    /// How the program is attached.
    pub(crate) attach: Attach,
    /// Handed through to the result.
    pub(crate) dns: Value,
}

/// A valid DEL. Deliberately less than an ADD: a pod must be removable though its namespace is
/// gone and the rest of the configuration no longer makes sense.
#[derive(Debug)]
pub(crate) struct Del {
    /// Which interface of which container.
    pub(crate) attachment: Attachment,
    /// Leases and pins.
    pub(crate) places: Places,
}

/// Judges a request as a whole.
///
/// # Errors
/// The first thing found wrong, by the name the runtime knows it by.
pub(crate) fn parse(input: &Input) -> Result<Request, Error> {
    match input.required("CNI_COMMAND")? {
        "VERSION" => Ok(Request::Version(spoken(input)?)),
        "ADD" => parse_add(input).map(Request::Add),
        "DEL" => parse_del(input).map(Request::Del),
        other => Err(Error::Environment {
            name: "CNI_COMMAND",
            value: other.to_owned(),
            expected: "ADD, DEL or VERSION; this plugin has no other verb",
        }),
    }
}

/// VERSION answers in the version it was asked in where it can, and never refuses over it: it is
/// how a runtime finds out what it may ask in.
fn spoken(input: &Input) -> Result<CniVersion, Error> {
    let asked = version::asked(input.stdin()?);
    Ok(asked
        .and_then(|text| CniVersion::parse(&text))
        .unwrap_or(CniVersion::NEWEST))
}

fn parse_add(input: &Input) -> Result<Add, Error> {
    let attachment = attachment(input)?;
    let netns = input.required("CNI_NETNS")?.to_owned();
    refuse_fixed_address(input)?;
    let config = Config::decode(input.stdin()?)?;
    let version = config.version()?;
    config.refuse_unsupported()?;
    let range_sets = config.range_sets()?;
    let mtu = config.mtu(range_sets.iter().any(|set| !set.is_ipv4()))?;
    Ok(Add {
        version,
        attachment,
        netns,
        places: config.places()?,
        pools: pools(range_sets),
        mtu,
        attach: config.attach(),
        dns: config.dns(),
    })
}

fn pools(sets: Vec<RangeSet>) -> Vec<Pool> {
    let pool = |ranges| Pool { ranges, wish: None };
    sets.into_iter().map(pool).collect()
}

fn parse_del(input: &Input) -> Result<Del, Error> {
    let attachment = attachment(input)?;
    let config = Config::decode(input.stdin()?)?;
    config.version()?;
    Ok(Del {
        attachment,
        places: config.places()?,
    })
}

fn attachment(input: &Input) -> Result<Attachment, Error> {
    let named = |name, expected, value: &str| Error::Environment {
        name,
        value: value.to_owned(),
        expected,
    };
    let id = input.required("CNI_CONTAINERID")?;
    let ifname = input.required("CNI_IFNAME")?;
    Ok(Attachment {
        container: ContainerId::parse(id)
            .ok_or_else(|| named("CNI_CONTAINERID", ContainerId::EXPECTED, id))?,
        interface: InterfaceName::parse(ifname)
            .ok_or_else(|| named("CNI_IFNAME", InterfaceName::EXPECTED, ifname))?,
    })
}

/// `CNI_ARGS` is `KEY=VALUE;KEY=VALUE`. Runtimes put the pod's name there, which is of no use
/// here; `IP=` is `host-local`'s way to ask for an address, and not to be overheard.
fn refuse_fixed_address(input: &Input) -> Result<(), Error> {
    let text = input.variable("CNI_ARGS")?.unwrap_or_default();
    let refused = |expected| Error::Environment {
        name: "CNI_ARGS",
        value: text.to_owned(),
        expected,
    };
    for pair in text.split(';').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| refused("pairs KEY=VALUE separated by ';'"))?;
        if key == "IP" && !value.is_empty() {
            return Err(refused("no IP: a fixed address cannot be asked for"));
        }
    }
    Ok(())
}
