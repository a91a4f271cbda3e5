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
enum Processor {
    /// By this machine's own.
    Virtual,
    /// By qemu, instruction by instruction.
    Emulated,
}

impl Processor {
    /// What this machine can do. `/dev/kvm` alone does not tell: there are hypervisors behind it
    /// that boot only kernels made for them.
    fn look() -> Self {
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

    /// How long boot and tests may take.
    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Virtual => 5 * 60,
            Self::Emulated => 30 * 60,
        })
    }
}

/// Boots it; what became of the suites.
///
/// # Errors
/// When qemu cannot be started. A machine that hangs or dies is a failure in the tally instead.
pub(super) fn boot(
    kernel: &Kernel,
    initramfs: &Path,
    folder: &Path,
    suites: &[Suite],
) -> anyhow::Result<Tally> {
    let processor = Processor::look();
    let log = folder.join("console.log");
    let step = Step::start(format!("Linux {} in a virtual machine", kernel.release));
    let mut child = command(processor, kernel, initramfs, &log)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start qemu-system-x86_64")?;
    let lines = lines_of(&mut child)?;
    let mut report = Report::new(suites);
    let patience = processor.patience();
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

fn command(processor: Processor, kernel: &Kernel, initramfs: &Path, log: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(processor.arguments())
        .args(["-smp", "2", "-m", "3G", "-no-reboot"])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(initramfs)
        // A panic ends the machine (with -no-reboot) rather than our patience.
        .args(["-append", "console=ttyS0 panic=-1"])
        .arg("-serial")
        .arg(format!("file:{}", log.display()))
        .args(["-serial", "stdio"])
        .args([
            "-virtfs",
            "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        ]);
    command
}

fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
