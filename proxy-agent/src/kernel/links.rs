//! Observes and changes which program is attached where.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use aya::programs::cgroup_sock_addr::CgroupSockAddr;
use aya::programs::links::FdLink;
use aya::programs::tc::{SchedClassifier, TcAttachOptions};
use aya::programs::{CgroupAttachMode, CgroupSockAddrAttachType, LinkOrder, TcAttachType};
use aya::util::KernelVersion;
use proxy_abi::ownership::program;

use super::bpf;
use super::pins::Pins;
use crate::plan::interfaces::{Interface, Interfaces};
use crate::plan::links::{Hook, Observed, Operation, Wanted};

/// A link could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {reason}")]
pub struct LinksError {
    doing: String,
    reason: String,
}

impl LinksError {
    fn new(doing: impl ToString, reason: impl ToString) -> Self {
        Self {
            doing: doing.to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Whether the kernel has tcx. (Asked by its version, as aya does.)
#[must_use]
pub fn has_tcx() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0))
}

/// The kernel's id of a cgroup: the inode number of its folder.
///
/// # Errors
/// [`LinksError`] if there is none.
pub fn cgroup_id(path: &Path) -> Result<u64, LinksError> {
    let metadata = fs::metadata(path)
        .map_err(|error| LinksError::new(format!("use cgroup {}", path.display()), error))?;
    Ok(metadata.ino())
}

/// Every pinned link by the name of its pin. A folder that is not there holds none.
///
/// # Errors
/// [`LinksError`].
pub fn observe(
    pins: &Pins,
    interfaces: &Interfaces,
) -> Result<BTreeMap<String, Observed>, LinksError> {
    let folder = pins.links();
    let failed = |error: io::Error| LinksError::new(format!("list {}", folder.display()), error);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(error)),
    };
    let by_index: BTreeMap<u32, &Interface> = interfaces
        .values()
        .map(|interface| (interface.ifindex, interface))
        .collect();
    let name_of = |ifindex| {
        let interface = by_index.get(&ifindex)?;
        Some(interface.name.clone())
    };
    let mut links = BTreeMap::new();
    for entry in entries {
        let name = entry
            .map_err(failed)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        match read(&pins.link(&name), name_of) {
            Ok(link) => {
                links.insert(name, link);
            }
            // A CNI DEL removed it between the listing and now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(LinksError::new(format!("read link {name}"), error)),
        }
    }
    Ok(links)
}

fn read(pin: &Path, name_of: impl Fn(u32) -> Option<String>) -> io::Result<Observed> {
    bpf::link(&bpf::open_pin(pin)?, name_of)
}

/// Carries out one operation.
///
/// # Errors
/// [`LinksError`], naming the operation.
pub fn apply(operation: &Operation, pins: &Pins, cgroup: &Path) -> Result<(), LinksError> {
    let failed = |reason: String| LinksError::new(operation, reason);
    match operation {
        Operation::Attach { pin, wanted } => {
            let link = attach(pins, wanted, cgroup).map_err(failed)?;
            link.pin(pins.link(pin))
                .map_err(|error| failed(error.to_string()))?;
        }
        Operation::Swap { pin, program } => match swap(&pins.link(pin), &pins.program(program)) {
            // A CNI DEL removed pin or interface since they were looked at.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {}
            other => other.map_err(|error| failed(error.to_string()))?,
        },
        Operation::Detach { pin } => match fs::remove_file(pins.link(pin)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(error.to_string()));
            }
            _ => {}
        },
    }
    Ok(())
}

fn swap(link: &Path, program: &Path) -> io::Result<()> {
    bpf::swap_program(&bpf::open_pin(link)?, &bpf::open_pin(program)?)
}

fn attach(pins: &Pins, wanted: &Wanted, cgroup: &Path) -> Result<FdLink, String> {
    let program = pins.program(wanted.program);
    match &wanted.hook {
        Hook::Ingress(interface) => attach_interface(&program, interface, TcAttachType::Ingress),
        Hook::Egress(interface) => attach_interface(&program, interface, TcAttachType::Egress),
        Hook::Cgroup(_) => attach_cgroup(&program, wanted.program, cgroup),
        Hook::Gone => Err("there is nothing to attach to".into()),
    }
}

fn attach_interface(pin: &Path, interface: &str, side: TcAttachType) -> Result<FdLink, String> {
    let mut program = SchedClassifier::from_pin(pin).map_err(text)?;
    let order = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = program
        .attach_with_options(interface, side, order)
        .map_err(text)?;
    program
        .take_link(id)
        .map_err(text)?
        .try_into()
        .map_err(text)
}

fn attach_cgroup(pin: &Path, name: &str, cgroup: &Path) -> Result<FdLink, String> {
    let call = match name {
        program::CONNECT4 => CgroupSockAddrAttachType::Connect4,
        program::CONNECT6 => CgroupSockAddrAttachType::Connect6,
        program::GETPEERNAME4 => CgroupSockAddrAttachType::GetPeerName4,
        program::GETPEERNAME6 => CgroupSockAddrAttachType::GetPeerName6,
        other => return Err(format!("{other} is no program of a cgroup")),
    };
    let mut program = CgroupSockAddr::from_pin(pin, call).map_err(text)?;
    let cgroup = File::open(cgroup).map_err(text)?;
    // The kernel allows other programs beside a link's in any case (BPF_F_ALLOW_MULTI is
    // implied); the mode must be the one that takes no flag.
    let id = program
        .attach(cgroup, CgroupAttachMode::Single)
        .map_err(text)?;
    program
        .take_link(id)
        .map_err(text)?
        .try_into()
        .map_err(text)
}

/// An error with its causes, on one line.
fn text(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
