//! A request loop in a pod, running while something is changed around it.

use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::answers::Summary;
use crate::error::LabError;
use crate::handle::Lab;

/// A running loop; dropping it ends it.
#[derive(Debug)]
pub(super) struct RequestLoop {
    child: Child,
    running: bool,
}

impl RequestLoop {
    /// Starts asking `url` from `pod`, a hundred times a second.
    pub(super) fn start(lab: &Lab, pod: &str, url: &str) -> Result<Self, LabError> {
        let mut command = lab.in_pod(pod, &["flatnet-demo", "loop", url, "--interval-ms", "10"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = child.map_err(LabError::doing("starting the request loop"))?;
        Ok(Self {
            child,
            running: true,
        })
    }

    /// Ends the loop and returns what became of its requests.
    pub(super) fn finish(mut self) -> Result<Summary, LabError> {
        use std::io::Read;
        let io = || LabError::doing("the request loop");
        self.ask_to_end();
        let mut text = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut text).map_err(io())?;
        }
        let status = self.child.wait().map_err(io())?;
        self.running = false;
        serde_json::from_str(text.trim()).map_err(|error| LabError::Io {
            what: format!("the request loop ended with {status} and said {text:?}"),
            source: error.into(),
        })
    }

    fn ask_to_end(&self) {
        // `exec` has become the loop itself, and it is not reaped yet.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default());
        let _ended_already = kill(pid, Signal::SIGTERM);
    }
}

impl Drop for RequestLoop {
    fn drop(&mut self) {
        if self.running {
            let _ended_already = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
