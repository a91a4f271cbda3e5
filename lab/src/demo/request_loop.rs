//! A request loop in a pod, running while something is changed around it.

use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::answers::Summary;
use crate::error::LabError;
use crate::handle::Lab;
use crate::patience::longer;

/// Between two requests.
const INTERVAL: Duration = Duration::from_millis(10);
/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A running loop; dropping it ends it.
#[derive(Debug)]
pub(super) struct RequestLoop {
    child: Child,
    running: bool,
}

impl RequestLoop {
    /// Starts asking `url` from `pod`, a hundred times a second (less often on a
    /// slow machine).
    pub(super) fn start(lab: &Lab, pod: &str, url: &str) -> Result<Self, LabError> {
        let ms = |usual: Duration| longer(usual).as_millis().to_string();
        let (interval, timeout) = (ms(INTERVAL), ms(TIMEOUT));
        let argv = ["flatnet-demo", "loop", url, "--interval-ms", &interval];
        let mut command = lab.in_pod(pod, &[&argv[..], &["--timeout-ms", &timeout]].concat());
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
