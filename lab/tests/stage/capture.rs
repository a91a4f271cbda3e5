//! What really passes: `tcpdump` in a pod, on a node or on the outside client.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use lab::Lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A capture on an `eth0`.
pub(crate) struct Capture {
    tcpdump: Child,
}

impl Capture {
    /// Begins to capture what matches `filter`, in the words of pcap-filter(7).
    pub(crate) fn start(lab: &Lab, pod: &str, filter: &str) -> Self {
        Self::at(|argv| lab.in_pod(pod, argv), filter)
    }

    /// The same on the `eth0` of where commands made of an argv run.
    pub(crate) fn at(place: impl Fn(&[&str]) -> Command, filter: &str) -> Self {
        let options = "-n -l --immediate-mode -i eth0".split(' ');
        let argv: Vec<_> = ["tcpdump"]
            .into_iter()
            .chain(options)
            .chain([filter])
            .collect();
        let mut command = place(&argv);
        let mut tcpdump = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump runs");
        // It says so once the socket is open; packets before that would be missed.
        let mut said = BufReader::new(tcpdump.stderr.take().expect("piped")).lines();
        let listening = said.any(|line| line.expect("text").contains("listening on"));
        assert!(listening, "tcpdump listens");
        // Kept open: tcpdump writes its totals there in the end.
        std::thread::spawn(move || said.for_each(drop));
        Self { tcpdump }
    }

    /// Ends the capture; returns its lines, one a packet.
    pub(crate) fn finish(self) -> Vec<String> {
        let pid = i32::try_from(self.tcpdump.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("asked to end");
        let output = self.tcpdump.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        // Beside its packets tcpdump prints an empty line when it is ended.
        text.lines()
            .filter(|line| line.contains("IP ") || line.contains("IP6 "))
            .map(str::to_owned)
            .collect()
    }
}
