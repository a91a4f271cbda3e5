//! STATUS: whether an ADD would be carried out, from the same facts that an ADD meets. Runtimes
//! ask every few seconds, and a node is Ready only while the answer is yes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use nix::unistd::{AccessFlags, access};
use proxy_abi::ownership::map::PODS;

use crate::error::Error;
use crate::lease::Leases;
use crate::observe;
use crate::owned;
use crate::program::Program;
use crate::range::RangeSet;
use crate::reply::Reply;
use crate::request::Status;
use crate::table::Pods;

/// The setting without which the kernel forwards no IPv6 packet, whatever an interface's says.
const IPV6_FORWARDING: &str = "net/ipv6/conf/all/forwarding";

/// Says yes, or why not.
///
/// # Errors
/// [`Error::Unavailable`] with what an ADD would fail for. [`Error::Limited`] when the pods there
/// are suffer from it too: without what the agent pins nobody tells the programs of changes, and
/// where nothing is forwarded nothing arrives.
pub(crate) fn status(request: &Status) -> Result<Reply, Error> {
    let common = prepared(request).and_then(|()| forwarding(&request.range_sets));
    if let Err(error) = common {
        let ends = owned::host_ends()?;
        let mut ends = ends.iter();
        let limited = ends.any(|link| owned::is_of(link, &request.places.network));
        return Err(error.unavailable(limited));
    }
    let own = room(request).and_then(|()| writable(&request.places.leases));
    own.map_err(|error| error.unavailable(false))?;
    Ok(Reply::Done)
}

/// The agent has pinned its programs and its map.
fn prepared(request: &Status) -> Result<(), Error> {
    Program::open_all(&request.places)?;
    Pods::open(&request.places.map_pin(PODS)).map(drop)
}

fn forwarding(range_sets: &[RangeSet]) -> Result<(), Error> {
    let ipv6 = range_sets.iter().any(|set| !set.is_ipv4());
    let on = || observe::setting(Path::new(IPV6_FORWARDING)).as_deref() == Some("1");
    if !ipv6 || on() {
        return Ok(());
    }
    Err(Error::Node {
        setting: IPV6_FORWARDING,
        wanted: "1",
        why: "pods have IPv6 addresses and the kernel would forward none of their packets; \
              flatnet-agent sets it",
    })
}

/// There is an address left in each range set, and an entry in the map.
fn room(request: &Status) -> Result<(), Error> {
    let folder = &request.places.leases;
    let leases = Leases::of(folder).list()?;
    let taken: BTreeSet<IpAddr> = leases.iter().map(|lease| lease.address).collect();
    for ranges in &request.range_sets {
        let mut candidates = ranges.candidates(None);
        if candidates.all(|address| taken.contains(&address)) {
            return Err(Error::Exhausted {
                ranges: ranges.to_string(),
                folder: folder.clone(),
            });
        }
    }
    let pin = request.places.map_pin(PODS);
    if Pods::open(&pin)?.is_full()? {
        return Err(Error::Full(pin));
    }
    Ok(())
}

/// The lease folder can be written to, or made.
fn writable(folder: &Path) -> Result<(), Error> {
    let existing = folder.ancestors().find(|ancestor| ancestor.exists());
    let existing = existing.unwrap_or(folder);
    let all = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    access(existing, all).map_err(|errno| Error::file("write to", existing)(errno.into()))?;
    if existing.is_dir() {
        return Ok(());
    }
    Err(Error::file("write to", existing)(
        nix::errno::Errno::ENOTDIR.into(),
    ))
}
