//! Running `ip -batch`: what the lab does to links and addresses is text one can paste.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::namespaces::Placement;

/// Runs the lines in the network namespace kept at `netns`.
///
/// # Errors
/// When `ip` is not installed or a line fails; the error holds the lines and ip's own words.
pub(crate) fn ip_batch_in(netns: &Path, lines: &[String]) -> io::Result<()> {
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Placement::default().netns(netns)?.apply(&mut command);
    let mut child = command
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run `ip`: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.join("\n").as_bytes())?;
        stdin.write_all(b"\n")?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "`ip -batch` failed: {}\n{}",
        said.trim(),
        lines.join("\n")
    )))
}
