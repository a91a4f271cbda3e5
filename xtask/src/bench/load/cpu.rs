//! Processors: where a load runs, and the time that it costs.
//!
//! The time is counted as far as it can be attributed: the threads that make the load, and the
//! kernel's `ksoftirqd`, which takes over when they fall behind. Packets between
//! namespaces travel in soft interrupts on the sender's time, so a quiet thread's work for
//! others is in there too; what else the machine does is not.

use std::ffi::CString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::prctl;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// One CPU for all threads that take turns. Left to the scheduler, they now share one and now
/// have one each, and a wake-up of another CPU, which a hypervisor may have put to sleep, costs
/// several times the path that is to be measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedCpu(usize);

impl SharedCpu {
    /// The CPU that the calling thread is on.
    ///
    /// # Errors
    /// Never, on a kernel that counts its CPUs.
    pub(super) fn here() -> anyhow::Result<Self> {
        Ok(Self(sched_getcpu().context("which CPU is this?")?))
    }

    /// Keeps the calling thread there for good.
    ///
    /// # Errors
    /// When this process may not run there (any more).
    pub(super) fn stay(self) -> anyhow::Result<()> {
        let mut only = CpuSet::new();
        only.set(self.0)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &only))
            .with_context(|| format!("cannot stay on CPU {}", self.0))
    }
}

/// Names the calling thread, and those that it starts, after the variant for which they work: so a
/// profile of a run tells the variants apart (`perf record -a`, `perf report --sort comm,symbol`).
///
/// # Errors
/// When the name holds a zero.
pub(super) fn work_for(variant: &str) -> anyhow::Result<()> {
    Ok(prctl::set_name(&CString::new(variant)?)?)
}

/// What the calling thread has used so far.
///
/// # Errors
/// Never, on a kernel that has the clock.
pub(super) fn of_this_thread() -> anyhow::Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("no clock of the thread")?;
    Ok(time.into())
}

/// The kernel's threads for soft interrupts, one a CPU.
pub(super) struct SoftInterrupts(Vec<PathBuf>);

impl SoftInterrupts {
    /// Finds them; none where this process sees no threads of the kernel.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub(super) fn find() -> anyhow::Result<Self> {
        let mut threads = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let process = entry?.path();
            let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
            if comm.starts_with("ksoftirqd/") {
                threads.push(process.join("schedstat"));
            }
        }
        Ok(Self(threads))
    }

    /// What they have used so far.
    ///
    /// # Errors
    /// When the kernel does not say (CONFIG_SCHED_INFO).
    pub(super) fn used(&self) -> anyhow::Result<Duration> {
        let used = |file: &PathBuf| {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            running(&text).with_context(|| format!("{}: {text:?}", file.display()))
        };
        self.0.iter().map(used).sum()
    }
}

/// The first number of a schedstat: nanoseconds on a CPU (Documentation/scheduler/sched-stats).
fn running(schedstat: &str) -> Option<Duration> {
    let first = schedstat.split_whitespace().next()?;
    first.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedstat_begins_with_the_time_on_a_cpu() {
        for (text, expected) in [
            ("2500000000 17 4\n", Some(Duration::from_millis(2500))),
            ("0 0 0\n", Some(Duration::ZERO)),
            ("", None),
            ("no 1 2\n", None),
        ] {
            assert_eq!(running(text), expected, "{text:?}");
        }
    }

    #[test]
    fn threads_that_take_turns_share_a_cpu() {
        let cpu = SharedCpu::here().expect("a CPU");
        let stayed = std::thread::spawn(move || {
            cpu.stay().expect("it may run where this test does");
            sched_getcpu().expect("a CPU")
        });
        assert_eq!(stayed.join().expect("no panic"), cpu.0);
    }

    #[test]
    fn threads_are_named_after_whom_they_work_for() {
        let name = std::thread::spawn(|| {
            work_for("ptp").expect("a name");
            let child = std::thread::spawn(|| fs::read_to_string("/proc/thread-self/comm"));
            child.join().expect("no panic").expect("a name")
        });
        assert_eq!(name.join().expect("no panic"), "ptp\n");
    }

    #[test]
    fn a_thread_that_works_uses_time() {
        let before = of_this_thread().expect("a clock");
        let work: u64 = (0..200_000).map(std::hint::black_box).sum();
        assert!(of_this_thread().expect("a clock") > before, "{work}");
    }
}
