//! `cargo xtask lab`: bring everything up to date, then hand over to `flatnet-lab`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use crate::process::{Step, command_line, find_program};
use crate::setup::{self, Scope, is_root};
use crate::workspace::Workspace;
use crate::{build, process};

/// The environment in which the lab and the tests find what was built.
const PROGRAMS: &str = "FLATNET_PROGRAMS";
const BIN_DIR: &str = "FLATNET_BIN_DIR";
/// Subcommands that talk to a lab that is already there: nothing is built for them.
const TALK: &[&str] = &[
    "exec",
    "node",
    "client",
    "down",
    "exercise",
    "kubeconfig",
    "list",
    "help",
];
/// Options about flatnet-lab itself, not about the demonstration.
const ABOUT_ITSELF: &[&str] = &["-h", "--help", "-V", "--version"];

/// Arguments of `cargo xtask lab`.
#[derive(Args, Debug)]
pub(crate) struct LabArgs {
    /// What flatnet-lab is to do, as its own command line; the demonstration by default.
    /// `cargo xtask lab --keep`, `cargo xtask lab down`, `cargo xtask lab -- exec POD -- CMD`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    lab: Vec<OsString>,
}

/// Runs the lab and ends as it ends.
///
/// # Errors
/// When something needed is missing, a build fails, or the lab cannot be started.
pub(crate) fn run(workspace: &Workspace, args: &LabArgs) -> anyhow::Result<ExitCode> {
    let words = lab_words(&args.lab);
    let binary = workspace.binaries(false).join("flatnet-lab");
    let talks = words
        .first()
        .is_some_and(|word| TALK.iter().any(|talk| word == talk));
    // First, because without the rights there is no use in minutes of building.
    let mut command = as_root(&binary, &environment(workspace))?;
    if !talks || !binary.exists() {
        prepare(workspace)?;
    }
    command.args(&words);
    if !talks {
        // Not a Step: this may be a lab that stays up until it is interrupted.
        eprintln!("==> {}", command_line(&command));
    }
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    // `exec` and its like end as the command in the lab did; killed by a signal is a failure.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Setup check and build: all that a lab stands on.
///
/// # Errors
/// When something needed is missing or a build fails.
pub(crate) fn prepare(workspace: &Workspace) -> anyhow::Result<()> {
    let step = Step::start("checking what the lab needs");
    setup::ensure(Scope::Lab)?;
    step.done();
    build::ebpf(workspace)?;
    build::binaries(workspace, false)
}

/// The environment in which the lab and the tests find what was built.
pub(crate) fn environment(workspace: &Workspace) -> [(&'static str, PathBuf); 2] {
    [
        (PROGRAMS, workspace.programs()),
        (BIN_DIR, workspace.binaries(false)),
    ]
}

/// `binary`, started with the rights that namespaces and programs need.
///
/// # Errors
/// When we are not root and there is no sudo.
pub(crate) fn as_root(
    binary: &Path,
    environment: &[(&'static str, PathBuf)],
) -> anyhow::Result<Command> {
    if is_root() {
        let mut command = Command::new(binary);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.env("PATH", process::child_path()?);
        return Ok(command);
    }
    let Some(sudo) = find_program("sudo") else {
        bail!("a lab makes network namespaces and loads programs: run this as root");
    };
    eprintln!("not root: the lab runs through sudo");
    let mut command = Command::new(sudo);
    let pair = |name: &str, value: &OsStr| {
        let mut pair = OsString::from(name);
        pair.push("=");
        pair.push(value);
        pair
    };
    command.arg("env");
    command.args(
        environment
            .iter()
            .map(|(name, value)| pair(name, value.as_os_str())),
    );
    if let Some(level) = env::var_os("RUST_LOG") {
        command.arg(pair("RUST_LOG", &level));
    }
    command.arg(binary);
    Ok(command)
}

/// Our own arguments as flatnet-lab's: options alone, or nothing, mean the demonstration.
fn lab_words(words: &[OsString]) -> Vec<OsString> {
    let is_option = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    match words.first() {
        Some(first) if !is_option(first) || is_one_of(first, ABOUT_ITSELF) => words.to_vec(),
        _ => std::iter::once("demo".into())
            .chain(words.iter().cloned())
            .collect(),
    }
}

fn is_one_of(word: &OsStr, words: &[&str]) -> bool {
    words.iter().any(|other| word == *other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_alone_mean_the_demonstration() {
        for (typed, expected) in [
            (vec![], vec!["demo"]),
            (vec!["--keep"], vec!["demo", "--keep"]),
            (vec!["down"], vec!["down"]),
            (vec!["--help"], vec!["--help"]),
            (
                vec!["exec", "backend", "--", "ip", "route"],
                vec!["exec", "backend", "--", "ip", "route"],
            ),
        ] {
            let typed: Vec<OsString> = typed.into_iter().map(OsString::from).collect();
            assert_eq!(lab_words(&typed), expected, "{typed:?}");
        }
    }

    #[test]
    fn both_ways_to_write_a_command_reach_the_lab_unchanged() {
        use clap::Parser;

        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            args: LabArgs,
        }
        for line in [
            vec!["lab", "exec", "pod", "--", "ip", "-j", "route"],
            vec!["lab", "--", "exec", "pod", "--", "ip", "-j", "route"],
        ] {
            let parsed = Line::parse_from(&line).args.lab;
            assert_eq!(
                parsed,
                ["exec", "pod", "--", "ip", "-j", "route"],
                "{line:?}"
            );
        }
    }
}
