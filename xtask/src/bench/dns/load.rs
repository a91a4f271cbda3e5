//! dnsperf: the load, and what it says of it.
//!
//! Rate and CPU time are taken with the server held to a share of its cores (see [`quota`]), and
//! the 99th percentile without a limit, at a pace far below what either server can do.
//!
//! [`quota`]: super::quota

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use super::servers::{HOST, Server};
use crate::bench::quantile::quantile;
use crate::process::{capture, find_program};

/// Seconds of one measurement at full speed.
const SECONDS: &str = "2";
/// What a server gets of each of its cores while its rate is taken: so little that dnsperf keeps
/// up with the rest of two cores.
const SHARE: f64 = 0.2;
/// Below this share of its quota, it was not the server that set the rate.
const BUSY: f64 = 0.9;
/// Questions a second at the fixed pace, of which the 99th percentile is taken, so that it is the
/// servers' time and not that of queues.
const PACE: &str = "5000";
/// Seconds of that.
const PACED: &str = "2";
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
        let quota = SHARE * self.cores as f64;
        server.share.limit(Some(quota))?;
        let before = server.cpu()?;
        let report = Report::read(&capture(&mut self.dnsperf(server, &["-l", SECONDS])?)?)?;
        let used = (server.cpu()? - before).as_secs_f64();
        server.share.limit(None)?;
        let busy = used / (report.seconds * quota);
        if busy < BUSY {
            eprintln!("    the load was the limit: the server used {busy:.2} of its quota");
        }
        let cpu_us = used * 1e6 / report.completed;
        let pace = ["-Q", PACE, "-l", PACED, "-v"];
        let paced = capture(&mut self.dnsperf(server, &pace)?)?;
        let p99 = quantile(&latencies(&paced), 0.99) * 1e6;
        Ok(vec![report.per_second, p99, cpu_us, server.mib()?])
    }

    /// What the server holds once every name was asked for, in MiB.
    ///
    /// # Errors
    /// When dnsperf fails.
    pub(super) fn memory(&self, server: &Server) -> anyhow::Result<Vec<f64>> {
        capture(&mut self.dnsperf(server, &["-n", "1"])?)?;
        Ok(vec![server.mib()?])
    }

    fn dnsperf(&self, server: &Server, more: &[&str]) -> anyhow::Result<Command> {
        let program = find_program("dnsperf").context("no program `dnsperf` found")?;
        // Beside a server of one core, on the other.
        let cpus = if self.cores == 1 { "1" } else { "0-1" };
        let mut command = Command::new("taskset");
        command.args(["-c", cpus]).arg(program);
        command.args(["-s", HOST, "-p", &server.port.to_string()]);
        command.args(["-c", CLIENTS, "-d"]).arg(&self.file);
        command.args(more);
        Ok(command)
    }
}

/// What dnsperf says at its end, as far as it is used here.
#[derive(Debug, PartialEq)]
struct Report {
    completed: f64,
    seconds: f64,
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
            seconds: number("Run time (s):")?,
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
                 Queries lost:         {lost} (0.05%)\n\n  Run time (s):         2.000110\n  \
                 Queries per second:   95238.095238\n"
            )
        };
        let wanted = Report {
            completed: 1999.0,
            seconds: 2.000_11,
            per_second: 95_238.095_238,
        };
        assert_eq!(Report::read(&said(1)).expect("a report"), wanted);
        assert!(Report::read(&said(100)).is_err(), "too many lost");
        assert!(Report::read("").is_err());
        let lines = "[Status] x\n> NOERROR a.example A 0.000120\n> NXDOMAIN b A 0.5\n";
        assert_eq!(latencies(lines), [0.000_12, 0.5]);
    }
}
