//! Sockets of the test's own, in a pod, a node or on the outside client: they are made on a thread
//! that enters the network namespace, and belong there for ever.
//!
//! They are not in the place's cgroup, so the programs at connect() do not see them: for Services
//! and host ports a test asks by a command.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use lab::Lab;
use nix::sched::{CloneFlags, setns};

use super::output;

/// A network namespace of the lab.
#[derive(Debug)]
pub(crate) struct Place(File);

impl Place {
    /// That of a node (`node1`), of the outside client (`client`) or of what joins them (`fabric`).
    pub(crate) fn member(lab: &Lab, name: &str) -> Self {
        let path = lab.state_dir().join("netns").join(name);
        Self(File::open(path).expect("its namespace"))
    }

    /// That of a pod.
    pub(crate) fn pod(lab: &Lab, name: &str) -> Self {
        let link = output(lab.in_pod(name, &["readlink", "/proc/self/ns/net"]));
        let number = link
            .trim()
            .trim_start_matches("net:[")
            .trim_end_matches(']');
        let number: u64 = number.parse().expect("the number of a namespace");
        let kept = fs::read_dir(lab.state_dir().join("netns")).expect("namespaces");
        let mut kept = kept.map(|entry| entry.expect("a namespace").path());
        let own =
            |path: &std::path::PathBuf| fs::metadata(path).is_ok_and(|found| found.ino() == number);
        let path = kept.find(own).expect("the pod's namespace");
        Self(File::open(path).expect("the pod's namespace"))
    }

    /// Runs `work` there.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).expect("entered");
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join()).expect("it ends well")
    }
}

/// A command on the wire between the members.
pub(crate) fn on_fabric(lab: &Lab, words: &str) -> Command {
    let netns: &Path = &lab.state_dir().join("netns/fabric");
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.display()));
    command.args(words.split(' '));
    command
}
