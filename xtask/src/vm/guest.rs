//! The script that the guest runs: each test program as `cargo xtask test` starts it, between two
//! marks.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::Context;

use super::machine::Processor;
use crate::lab;
use crate::process::child_path;
use crate::test::suite::Suite;
use crate::workspace::Workspace;

/// Begins a line of the script's own; the number of a suite follows.
pub(super) const BEGINS: &str = "@vm begins ";
/// Likewise; the number of a suite and the exit code of its program follow.
pub(super) const ENDED: &str = "@vm ended ";
/// The whole script came to its end.
pub(super) const DONE: &str = "@vm done";

/// By how much the lab's time-outs are longer.
const LAB_PATIENCE: &str = "FLATNET_LAB_PATIENCE";

/// The script.
///
/// # Errors
/// When a path is not UTF-8.
pub(super) fn script(
    workspace: &Workspace,
    processor: Processor,
    suites: &[Suite],
) -> anyhow::Result<String> {
    let mut text = "stty -F /dev/ttyS1 raw -echo\nip link set lo up\n".to_owned();
    // A tmpfs: tests make overlays in there, whose parts cannot be on the overlay that the root is.
    let mut environment = vec![
        ("PATH", child_path()?),
        ("TMPDIR", "/dev/shm".into()),
        ("HOME", "/root".into()),
        (LAB_PATIENCE, processor.slowness().to_string().into()),
    ];
    environment.extend(lab::environment(workspace).map(|(name, path)| (name, path.into())));
    for (name, value) in environment {
        writeln!(text, "export {name}={}", word(&value)?)?;
    }
    for (number, suite) in suites.iter().enumerate() {
        let mut command = suite.command(workspace, true);
        // The console is a terminal.
        command.args(["--color", "never"]);
        writeln!(text, "echo '{BEGINS}{number}'\n({})", line(&command)?)?;
        writeln!(text, "echo \"{ENDED}{number} $?\"")?;
    }
    writeln!(text, "echo '{DONE}'")?;
    Ok(text)
}

/// A command as a line of the script.
fn line(command: &Command) -> anyhow::Result<String> {
    let mut words = Vec::new();
    if let Some(folder) = command.get_current_dir() {
        words.push(format!("cd {} &&", word(folder.as_os_str())?));
    }
    for (name, value) in command.get_envs() {
        if let (Some(name), Some(value)) = (name.to_str(), value) {
            words.push(format!("{name}={}", word(value)?));
        }
    }
    words.push(word(command.get_program())?);
    for argument in command.get_args() {
        words.push(word(argument)?);
    }
    Ok(words.join(" "))
}

/// A word that the shell takes as it is.
fn word(word: &OsStr) -> anyhow::Result<String> {
    let word = word
        .to_str()
        .with_context(|| format!("{} is not UTF-8", word.display()))?;
    Ok(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_becomes_a_line_of_shell() {
        let mut command = Command::new("/a b/test");
        command
            .args(["--exact", "it's::one"])
            .current_dir("/room")
            .env("KEY", "v w");
        assert_eq!(
            line(&command).expect("UTF-8"),
            r"cd '/room' && KEY='v w' '/a b/test' '--exact' 'it'\''s::one'"
        );
    }
}
