//! The processor time that a load costs, as far as it can be attributed: the threads that make
//! it, and the kernel's `ksoftirqd`, which takes over when they fall behind. Packets between
//! namespaces travel in soft interrupts on the sender's time, so a quiet thread's work for
//! others is in there too; what else the machine does is not.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};

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
    fn a_thread_that_works_uses_time() {
        let before = of_this_thread().expect("a clock");
        let work: u64 = (0..200_000).map(std::hint::black_box).sum();
        assert!(of_this_thread().expect("a clock") > before, "{work}");
    }
}
