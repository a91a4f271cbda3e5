//! The virtual machine: started, listened to, and stopped when it takes too long.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::kernel::Kernel;
use super::report::Report;
use crate::process::Step;
use crate::test::run::{lines_of, read_until};
use crate::test::suite::Suite;
use crate::test::tally::Tally;

/// How a processor is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Processor {
    /// By this machine's own.
    Virtual,
    /// By qemu, instruction by instruction.
    Emulated,
}

impl Processor {
    /// What this machine can do. `/dev/kvm` alone does not tell: there are hypervisors behind it
    /// that boot only kernels made for them.
    pub(super) fn look() -> Self {
        let has = |path: &str| Path::new(path).exists();
        let boots_anything = has("/sys/module/kvm_intel") || has("/sys/module/kvm_amd");
        if boots_anything && has("/dev/kvm") {
            return Self::Virtual;
        }
        eprintln!(
            "no virtualisation by the processor here, so qemu emulates one, which takes longer \
             (remedy: modprobe kvm_intel or kvm_amd; in a virtual machine, allow nesting)"
        );
        Self::Emulated
    }

    fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Virtual => ["-accel", "kvm", "-cpu", "host"],
            Self::Emulated => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }

    /// How many times as long as elsewhere things take.
    pub(super) fn slowness(self) -> u32 {
        match self {
            Self::Virtual => 1,
            Self::Emulated => 8,
        }
    }

    /// How long boot and tests may take, if nothing else is said.
    pub(super) fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Virtual => 5 * 60,
            Self::Emulated => 30 * 60,
        })
    }
}

/// What is booted, and where it leaves its messages.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) processor: Processor,
    pub(super) kernel: &'a Kernel,
    pub(super) initramfs: &'a Path,
    pub(super) folder: &'a Path,
}

impl Machine<'_> {
    /// Boots it; what became of the suites.
    ///
    /// # Errors
    /// When qemu cannot be started. A machine that hangs or dies is a failure in the tally instead.
    pub(super) fn run(&self, suites: &[Suite], patience: Duration) -> anyhow::Result<Tally> {
        let log = self.folder.join("console.log");
        let release = &self.kernel.release;
        let step = Step::start(format!("Linux {release} in a virtual machine"));
        let mut child = self
            .command(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start qemu-system-x86_64")?;
        let lines = lines_of(&mut child)?;
        let mut report = Report::new(suites);
        let ended = read_until(&lines, Instant::now() + patience, |line| {
            let line = line.trim_end_matches('\r');
            if report.line(line) {
                println!("{line}");
            }
        });
        if !ended {
            child.kill().context("cannot stop qemu")?;
            eprintln!("stopped after {patience:?}");
        }
        child.wait().context("cannot wait for qemu")?;
        step.done();
        let (tally, is_complete) = report.finish();
        if !is_complete {
            eprintln!("the end of the kernel's messages ({}):", log.display());
            eprintln!("{}", end_of(&log));
        }
        Ok(tally)
    }

    fn command(&self, log: &Path) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(self.processor.arguments())
            .args(["-smp", "2", "-m", "3G", "-no-reboot"])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .arg("-kernel")
            .arg(self.kernel.image())
            .arg("-initrd")
            .arg(self.initramfs)
            // A panic ends the machine (with -no-reboot) rather than our patience. What guards
            // against processors' bugs costs an emulated one much.
            .args(["-append", "console=ttyS0 panic=-1 mitigations=off"])
            .arg("-serial")
            .arg(format!("file:{}", log.display()))
            .args(["-serial", "stdio"])
            .args([
                "-virtfs",
                "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
            ]);
        command
    }
}

fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
