//! What a process has used, as /proc shows it.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// CPU time of all its threads so far.
///
/// # Errors
/// When it is gone.
pub(super) fn cpu(process: u32) -> anyhow::Result<Duration> {
    let tasks = format!("/proc/{process}/task");
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(&tasks).with_context(|| tasks.clone())? {
        // Nanoseconds on a CPU come first (Documentation/scheduler/sched-stats).
        let file = task?.path().join("schedstat");
        // A thread that has just ended is not worth failing for.
        let text = fs::read_to_string(&file).unwrap_or_default();
        let first = text.split_whitespace().next().unwrap_or("0");
        sum += Duration::from_nanos(first.parse().context("schedstat")?);
    }
    Ok(sum)
}

/// Memory that it holds, in MiB.
///
/// # Errors
/// When it is gone.
pub(super) fn mib(process: u32) -> anyhow::Result<f64> {
    status(process, "VmRSS:")
}

/// The most that it ever held, in MiB.
///
/// # Errors
/// When it is gone.
pub(super) fn peak_mib(process: u32) -> anyhow::Result<f64> {
    status(process, "VmHWM:")
}

/// A line of /proc/PID/status that says KiB (proc_pid_status(5)), as MiB.
fn status(process: u32, label: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(label));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("no {label}"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_memory_and_at_its_peak_no_less() {
        let own = std::process::id();
        let now = mib(own).expect("it is here");
        assert!(
            now > 0.5 && peak_mib(own).expect("it is here") >= now,
            "{now}"
        );
        assert!(cpu(own).expect("it is here") > Duration::ZERO);
        assert!(mib(u32::MAX).is_err());
    }
}
