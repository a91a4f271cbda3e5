//! Running one test program: its output passed on as it comes, read on the way, and an end put
//! to it when it hangs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::failure::Failure;
use super::suite::Suite;
use super::tally::{Reader, Tally};

/// How long one suite may take. The slowest (the lab) takes a few minutes on two cores.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Runs `command`, which is the program of `suite`.
///
/// # Errors
/// When it cannot be started. A program that dies or hangs is a failure in the tally instead.
pub(super) fn run(command: &mut Command, suite: &Suite) -> anyhow::Result<Tally> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start the tests of {}", suite.name))?;
    let lines = lines_of(&mut child)?;
    let mut reader = Reader::default();
    let ended = read_until(&lines, Instant::now() + PATIENCE, |line| {
        if reader.line(line, |test| suite.name.path(test)) {
            println!("{line}");
        }
    });
    let has_result = reader.has_result();
    let mut tally = reader.finish();
    if !ended {
        child
            .kill()
            .with_context(|| format!("cannot stop the tests of {}", suite.name))?;
    }
    let status = child.wait().context("cannot wait for a test program")?;
    if !ended {
        count_as_failure(
            &mut tally,
            format!("{}: no end after {PATIENCE:?}", suite.name),
        );
    } else if !status.success() && (tally.failed == 0 || !has_result) {
        // It aborted, was killed, or exited before libtest could sum up.
        count_as_failure(
            &mut tally,
            format!("{}: {status} without a result", suite.name),
        );
    }
    Ok(tally)
}

pub(crate) fn count_as_failure(tally: &mut Tally, what: String) {
    tally.failed += 1;
    tally.failures.push(Failure::new(what));
}

/// The child's stdout, read by a thread of its own: a grandchild that outlives the test may hold
/// the pipe open, and must not hold us.
pub(crate) fn lines_of(child: &mut Child) -> anyhow::Result<Receiver<String>> {
    let stdout = child
        .stdout
        .take()
        .context("a test program has no stdout")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });
    Ok(lines)
}

/// Hands each line to `each` until the pipe closes (true) or the deadline passes (false).
pub(crate) fn read_until(
    lines: &Receiver<String>,
    deadline: Instant,
    mut each: impl FnMut(&str),
) -> bool {
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_until_the_pipe_closes_or_patience_ends() {
        let (sender, lines) = mpsc::channel();
        assert!(
            !read_until(&lines, Instant::now(), |_| ()),
            "an open pipe with nothing in it"
        );
        for line in ["one", "two"] {
            sender.send(line.to_owned()).expect("a receiver is there");
        }
        drop(sender);
        let mut seen = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        assert!(read_until(&lines, deadline, |line| seen.push(line.to_owned())));
        assert_eq!(seen, ["one", "two"]);
    }
}
