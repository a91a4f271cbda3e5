//! Environment and configuration together: from raw input to a request in which everything has
//! been judged. What comes out of here is acted upon; nothing before here touches the node.

use serde_json::Value;

use crate::arguments::Arguments;
use crate::attachment::{Attachment, ContainerId, InterfaceName, Mac};
use crate::config::{Config, Places, valid_attachments};
use crate::error::Error;
use crate::input::Input;
use crate::lease::Pool;
use crate::mappings::Mappings;
use crate::previous::Previous;
use crate::program::Attach;
use crate::range::RangeSet;
use crate::version::{self, CniVersion};

/// What the runtime wants, in full and valid.
#[derive(Debug)]
pub(crate) enum Request {
    /// Which versions are spoken; answered in this one.
    Version(CniVersion),
    /// Put a pod on the network.
    Add(Box<Add>),
    /// Take it off.
    Del(Del),
    /// Is it still as it was put?
    Check(Box<Check>),
    /// Remove all of the network's but these.
    Gc(Gc),
    /// Would an ADD be carried out?
    Status(Status),
}

/// An interface as it is to be.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Which interface of which container.
    pub(crate) attachment: Attachment,
    /// File that stands for the pod's network namespace, as text: the result repeats it.
    pub(crate) netns: String,
    /// Leases and pins.
    pub(crate) places: Places,
    /// MTU of both ends in bytes; `None` for the kernel's default.
    pub(crate) mtu: Option<u32>,
    /// MAC address of the interface in the pod.
    pub(crate) mac: Mac,
    /// How the program is attached.
    pub(crate) attach: Attach,
    /// Whether a later plugin limits its bandwidth, on the node's stack.
    pub(crate) shaped: bool,
    /// Whether its sockets are left alone by the programs at connect().
    pub(crate) packets_only: bool,
    /// The node's ports that are the pod's.
    pub(crate) mappings: Mappings,
}

/// A valid ADD.
#[derive(Debug)]
pub(crate) struct Add {
    /// Version of the result.
    pub(crate) version: CniVersion,
    /// What to make.
    pub(crate) shape: Shape,
    /// One address is taken from each.
    pub(crate) pools: Vec<Pool>,
    /// Handed through to the result.
    pub(crate) dns: Value,
    /// The result of the plugins before this one, which this one's is added to.
    pub(crate) previous: Option<Value>,
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

/// A valid CHECK.
#[derive(Debug)]
pub(crate) struct Check {
    /// What should be there, but for the addresses.
    pub(crate) shape: Shape,
    /// The result of the ADD.
    pub(crate) previous: Previous,
}

/// A valid GC.
#[derive(Debug)]
pub(crate) struct Gc {
    /// What is to stay.
    pub(crate) valid: Vec<Attachment>,
    /// Leases and pins.
    pub(crate) places: Places,
}

/// A valid STATUS.
#[derive(Debug)]
pub(crate) struct Status {
    /// Leases and pins.
    pub(crate) places: Places,
    /// What pods get addresses from.
    pub(crate) range_sets: Vec<RangeSet>,
}

/// Judges a request as a whole.
///
/// # Errors
/// The first thing found wrong, by the name the runtime knows it by.
pub(crate) fn parse(input: &Input) -> Result<Request, Error> {
    match input.required("CNI_COMMAND")? {
        "VERSION" => Ok(Request::Version(spoken(input)?)),
        "ADD" => parse_add(input).map(|add| Request::Add(add.into())),
        "DEL" => parse_del(input).map(Request::Del),
        "CHECK" => parse_check(input).map(|check| Request::Check(check.into())),
        "GC" => parse_gc(input).map(Request::Gc),
        "STATUS" => parse_status(input).map(Request::Status),
        other => Err(Error::Environment {
            name: "CNI_COMMAND",
            value: other.to_owned(),
            expected: "ADD, DEL, CHECK, GC, STATUS or VERSION; the specification has no other verb",
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
    let arguments = Arguments::of(input)?;
    let config = Config::decode(input.stdin()?)?;
    let version = config.version()?;
    config.refuse_unsupported()?;
    let range_sets = config.range_sets()?;
    let wishes = config.wishes(&arguments)?;
    let has = |ipv4| range_sets.iter().any(|set| set.is_ipv4() == ipv4);
    let mappings = config.mappings()?;
    mappings.judge(has(true), has(false))?;
    Ok(Add {
        version,
        shape: Shape {
            netns,
            places: config.places()?,
            mtu: config.mtu(has(false))?,
            mac: wishes.mac.unwrap_or_else(|| attachment.pod_mac()),
            attach: config.attach(),
            shaped: config.shaped(),
            packets_only: config.packets_only()?,
            mappings,
            attachment,
        },
        pools: wishes.pools(range_sets)?,
        dns: config.dns(),
        previous: config.previous()?.cloned(),
    })
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

fn parse_check(input: &Input) -> Result<Check, Error> {
    let attachment = attachment(input)?;
    let netns = input.required("CNI_NETNS")?.to_owned();
    let config = Config::decode(input.stdin()?)?;
    config.version()?.must_have("CHECK", CniVersion::V0_4_0)?;
    let previous = Previous::decode(config.previous()?.ok_or(Error::Config {
        key: "prevResult",
        value: String::new(),
        why: "must be given: CHECK compares with it",
    })?)?;
    Ok(Check {
        shape: Shape {
            netns,
            places: config.places()?,
            mtu: config.mtu(false)?,
            mac: attachment.pod_mac(),
            attach: config.attach(),
            shaped: config.shaped(),
            packets_only: config.packets_only()?,
            mappings: config.mappings()?,
            attachment,
        },
        previous,
    })
}

fn parse_gc(input: &Input) -> Result<Gc, Error> {
    let stdin = input.stdin()?;
    let config = Config::decode(stdin)?;
    config.version()?.must_have("GC", CniVersion::V1_1_0)?;
    Ok(Gc {
        valid: valid_attachments(stdin)?,
        places: config.places()?,
    })
}

fn parse_status(input: &Input) -> Result<Status, Error> {
    let config = Config::decode(input.stdin()?)?;
    config.version()?.must_have("STATUS", CniVersion::V1_1_0)?;
    let range_sets = config.range_sets()?;
    config.mtu(range_sets.iter().any(|set| !set.is_ipv4()))?;
    Ok(Status {
        places: config.places()?,
        range_sets,
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
