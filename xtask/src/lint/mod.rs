//! `cargo xtask lint`: what rustfmt, clippy and our own house rules say about the sources.
//!
//! Clippy runs twice, because the kernel half only compiles for its own target. The house rules
//! that no other tool knows are in [`rules`], one pure function a rule.

mod rules;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use self::rules::{Finding, Weight};
use crate::build::ebpf_cargo;
use crate::process::{self, Step, capture, cargo};
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// Arguments of `cargo xtask lint`.
#[derive(Args, Debug)]
pub(crate) struct LintArgs {
    /// Check the house rules only (no rustfmt, no clippy): takes a moment.
    #[arg(long)]
    rules_only: bool,
}

/// Runs every check, also after one has failed, so that one run shows all there is to mend.
///
/// # Errors
/// When any check fails; its own output has said why.
pub(crate) fn run(workspace: &Workspace, args: &LintArgs) -> anyhow::Result<ExitCode> {
    let LintArgs { rules_only } = *args;
    let mut failed = Vec::new();
    let mut check = |what: &'static str, result: anyhow::Result<()>| {
        if let Err(error) = result {
            eprintln!("    {error:#}");
            failed.push(what);
        }
    };
    if !rules_only {
        setup::ensure(Scope::Lint)?;
        check("rustfmt", rustfmt(workspace));
        check("clippy", clippy(workspace));
        check("clippy of proxy-ebpf", clippy_ebpf(workspace));
    }
    check("house rules", house_rules(workspace.root()));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn rustfmt(workspace: &Workspace) -> anyhow::Result<()> {
    timed(
        "rustfmt",
        cargo(workspace.root()).args(["fmt", "--all", "--", "--check"]),
    )
}

fn clippy(workspace: &Workspace) -> anyhow::Result<()> {
    let mut command = cargo(workspace.root());
    command.args([
        "clippy",
        "--all-targets",
        "--keep-going",
        "--",
        "-D",
        "warnings",
    ]);
    timed("clippy, every target of the default members", &mut command)
}

fn clippy_ebpf(workspace: &Workspace) -> anyhow::Result<()> {
    let mut command = ebpf_cargo(workspace, "clippy")?;
    timed(
        "clippy of proxy-ebpf",
        command.args(["--", "-D", "warnings"]),
    )
}

fn timed(what: &str, command: &mut Command) -> anyhow::Result<()> {
    let step = Step::start(what);
    process::run(command)?;
    step.done();
    Ok(())
}

/// Applies [`rules`] to every file git knows or would add.
fn house_rules(root: &Path) -> anyhow::Result<()> {
    let step = Step::start("house rules");
    let mut findings = Vec::new();
    for path in files(root)? {
        // A file that is no text (or a link to nowhere) has no lines to judge.
        if let Ok(text) = fs::read_to_string(root.join(&path)) {
            findings.extend(rules::check(&path, &text));
        }
    }
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings
        .iter()
        .filter(|Finding { weight, .. }| *weight == Weight::Error)
        .count();
    if errors > 0 {
        bail!("{errors} breaches of the house rules (CONTRIBUTING.md)");
    }
    step.done();
    Ok(())
}

fn files(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]);
    let listing = capture(&mut git).context("cannot list the repository's files")?;
    Ok(listing.split_terminator('\0').map(str::to_owned).collect())
}
