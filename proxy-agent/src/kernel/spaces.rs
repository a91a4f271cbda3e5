//! The network namespaces of pods, found from the node's side: the kernel says in which namespace
//! the other end of an interface is, and processes say which they are in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use futures::{StreamExt as _, TryStreamExt as _};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::nsid::{NsidAttribute, NsidMessage};

use super::routes::{Netlink, NetlinkError};

/// A network namespace that processes are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Its inode number, as `readlink /proc/PID/ns/net` shows it.
    pub inode: u64,
    /// The processes in it, ascending.
    pub pids: Vec<u32>,
}

/// Every network namespace of this machine that a process is in. (Processes that other users may
/// not look at, or that end meanwhile, are left out.)
#[must_use]
pub fn all() -> Vec<Space> {
    let mut spaces: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Ok(found) = fs::metadata(format!("/proc/{pid}/ns/net")) {
            spaces.entry(found.ino()).or_default().insert(pid);
        }
    }
    let space = |(inode, pids): (u64, BTreeSet<u32>)| Space {
        inode,
        pids: pids.into_iter().collect(),
    };
    spaces.into_iter().map(space).collect()
}

/// The namespace that this process is in.
#[must_use]
pub fn own(all: &[Space]) -> Option<&Space> {
    let inode = fs::metadata("/proc/self/ns/net").ok()?.ino();
    all.iter().find(|space| space.inode == inode)
}

impl Netlink {
    /// The namespace of the other end of the interface with this index.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn space_behind(
        &self,
        ifindex: u32,
        all: &[Space],
    ) -> Result<Option<Space>, NetlinkError> {
        let failed = |source| NetlinkError::new("look at an interface", source);
        let mut links = self.handle().link().get().match_index(ifindex).execute();
        let Some(link) = links.try_next().await.map_err(failed)? else {
            return Ok(None);
        };
        let number = link.attributes.iter().find_map(|one| match one {
            LinkAttribute::LinkNetNsId(number) => Some(*number),
            _ => None,
        });
        let Some(number) = number else {
            return Ok(None);
        };
        for space in all {
            let Some(pid) = space.pids.first() else {
                continue;
            };
            if self.number_of(*pid).await == Some(number) {
                return Ok(Some(space.clone()));
            }
        }
        Ok(None)
    }

    /// The number by which this namespace knows that of a process, if it has met it.
    async fn number_of(&self, pid: u32) -> Option<i32> {
        let mut question = NsidMessage::default();
        question.attributes.push(NsidAttribute::Pid(pid));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNsId(question));
        request.header.flags = NLM_F_REQUEST;
        let mut handle = self.handle();
        let mut answers = handle.request(request).ok()?;
        while let Some(answer) = answers.next().await {
            let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(answer)) = answer.payload
            else {
                continue;
            };
            return answer.attributes.iter().find_map(|one| match one {
                NsidAttribute::Id(number) => Some(*number),
                _ => None,
            });
        }
        None
    }
}
