//! dnsperf: the load, and what it says of it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use super::servers::{HOST, Server};
use crate::bench::quantile::quantile;
use crate::process::{capture, find_program};

/// Seconds of one measurement at full speed.
const SECONDS: &str = "2";
/// Questions a second at the fixed pace, of which the 99th percentile is taken: far below what
/// either server can do, so that it is the servers' time and not that of queues.
const PACE: &str = "5000";
/// Sockets of dnsperf: enough for the kernel to spread them evenly over a server's sockets.
const CLIENTS: &str = "16";

/// Questions, and how many cores the server has.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) file: PathBuf,
    pub(super) cores: usize,
}

impl Load {
    /// Rate, 99th percentile, CPU time a question and memory, in the order of the bench's metrics.
    ///
    /// # Errors
    /// When dnsperf fails or loses questions.
    pub(super) fn measure(&self, server: &Server) -> anyhow::Result<Vec<f64>> {
        let before = server.cpu()?;
        let report = Report::read(&capture(&mut self.dnsperf(server, &[])?)?)?;
        let used = server.cpu()? - before;
        let cpu_us = used.as_secs_f64() * 1e6 / report.completed;
        let paced = capture(&mut self.dnsperf(server, &["-Q", PACE, "-l", "1", "-v"])?)?;
        let p99 = quantile(&latencies(&paced), 0.99) * 1e6;
        Ok(vec![report.per_second, p99, cpu_us, server.mib()?])
    }

    fn dnsperf(&self, server: &Server, more: &[&str]) -> anyhow::Result<Command> {
        let program = find_program("dnsperf").context("no program `dnsperf` found")?;
        // Beside a server of one core, on the other.
        let cpus = if self.cores == 1 { "1" } else { "0-1" };
        let mut command = Command::new("taskset");
        command.args(["-c", cpus]).arg(program);
        command.args(["-s", HOST, "-p", &server.port.to_string()]);
        command
            .args(["-c", CLIENTS, "-l", SECONDS, "-d"])
            .arg(&self.file);
        command.args(more);
        Ok(command)
    }
}

/// What dnsperf says at its end, as far as it is used here.
#[derive(Debug, PartialEq)]
struct Report {
    completed: f64,
    per_second: f64,
}

impl Report {
    fn read(text: &str) -> anyhow::Result<Self> {
        let number = |label: &str| -> anyhow::Result<f64> {
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(label));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            let number = word.and_then(|word| word.parse().ok());
            number.with_context(|| format!("dnsperf does not say {label:?}"))
        };
        let lost = number("Queries lost:")?;
        let completed = number("Queries completed:")?;
        ensure!(
            completed > 0.0 && lost <= completed / 1000.0,
            "{lost} of {completed} questions lost"
        );
        Ok(Self {
            completed,
            per_second: number("Queries per second:")?,
        })
    }
}

/// Seconds that each answer took: the last word of the lines that `-v` adds.
fn latencies(text: &str) -> Vec<f64> {
    let answers = text.lines().filter(|line| line.starts_with("> "));
    answers
        .filter_map(|line| line.split_whitespace().last()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dnsperf_is_understood() {
        let said = |lost: u32| {
            format!(
                "Statistics:\n\n  Queries sent:         2000\n  Queries completed:    1999 (99.95%)\n  \
                 Queries lost:         {lost} (0.05%)\n\n  Queries per second:   95238.095238\n"
            )
        };
        let wanted = Report {
            completed: 1999.0,
            per_second: 95_238.095_238,
        };
        assert_eq!(Report::read(&said(1)).expect("a report"), wanted);
        assert!(Report::read(&said(100)).is_err(), "too many lost");
        assert!(Report::read("").is_err());
        let lines = "[Status] x\n> NOERROR a.example A 0.000120\n> NXDOMAIN b A 0.5\n";
        assert_eq!(latencies(lines), [0.000_12, 0.5]);
    }
}
