//! The test programs cargo built, and the tests in each.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;
use cargo_metadata::{Artifact, Message, Package, Target};

use crate::process::{self, capture, cargo};
use crate::workspace::Workspace;

/// Which crate a suite tests, and through which of its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SuiteName {
    krate: String,
    /// The target, where the crate's own name does not already say it.
    target: Option<String>,
}

impl SuiteName {
    /// The full name of one of its tests, which `--list` shows and `--filter` searches.
    pub(crate) fn path(&self, test: &str) -> String {
        format!("{self}::{test}")
    }
}

impl fmt::Display for SuiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.krate)?;
        self.target
            .as_ref()
            .map_or(Ok(()), |target| write!(f, "::{target}"))
    }
}

/// How a suite is started.
#[derive(Debug)]
enum Program {
    /// A test program, in the folder of its crate as cargo would start it.
    Binary {
        executable: PathBuf,
        folder: PathBuf,
    },
    /// The examples in the documentation of every library. One command for all: cargo resolves
    /// features for the packages it is given, and one package alone would have all its
    /// dependencies compiled anew.
    Doc,
}

/// One test program and the names of the tests in it.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) name: SuiteName,
    pub(crate) tests: Vec<String>,
    program: Program,
}

impl Suite {
    /// The command that runs the suite; with `exact`, only the tests still in `self.tests`.
    pub(crate) fn command(&self, workspace: &Workspace, exact: bool) -> Command {
        let mut command = self.program.command(workspace);
        command.arg("--show-output");
        if exact {
            command.arg("--exact").args(&self.tests);
        }
        command
    }
}

impl Program {
    fn command(&self, workspace: &Workspace) -> Command {
        match self {
            Self::Binary { executable, folder } => {
                let mut command = Command::new(executable);
                command
                    .current_dir(folder)
                    .env("CARGO_MANIFEST_DIR", folder);
                command
            }
            Self::Doc => {
                let mut command = cargo(workspace.root());
                command.args(["test", "--quiet", "--doc", "--"]);
                command
            }
        }
    }
}

/// Builds the tests of every default member and asks each program for its tests.
///
/// # Errors
/// When a test does not compile; cargo has then printed why.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Vec<Suite>> {
    let binaries = artifacts(workspace)?.into_iter().filter_map(|artifact| {
        let executable = artifact.executable?.into_std_path_buf();
        let package = workspace.package(&artifact.package_id)?;
        let folder = package.manifest_path.parent()?.as_std_path().to_path_buf();
        Some((
            suite_name(package, &artifact.target),
            Program::Binary { executable, folder },
        ))
    });
    // Its tests are named by file: `packet/src/lib.rs - checksum (line 3)`.
    let docs = (
        SuiteName {
            krate: "doc".to_owned(),
            target: None,
        },
        Program::Doc,
    );
    let suites: anyhow::Result<Vec<_>> = binaries
        .chain([docs])
        .map(|(name, program)| {
            let mut command = program.command(workspace);
            let listing = capture(command.args(["--list", "--format", "terse"]))
                .with_context(|| format!("cannot list the tests of {name}"))?;
            Ok(Suite {
                name,
                tests: test_names(&listing),
                program,
            })
        })
        .collect();
    let mut suites = suites?;
    // Cargo names them in the order in which they happened to be compiled.
    suites.sort_by_key(|suite| suite.name.to_string());
    Ok(suites)
}

/// Every test program cargo knows how to build, in cargo's order.
fn artifacts(workspace: &Workspace) -> anyhow::Result<Vec<Artifact>> {
    let mut command = cargo(workspace.root());
    command
        .args([
            "test",
            "--quiet",
            "--no-run",
            "--message-format",
            "json-render-diagnostics",
        ])
        .stdout(Stdio::piped());
    let line = process::command_line(&command);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut artifacts = Vec::new();
    for message in Message::parse_stream(std::io::BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message.context("cargo's JSON is broken")?
            && artifact.profile.test
        {
            artifacts.push(artifact);
        }
    }
    let status = child
        .wait()
        .with_context(|| format!("`{line}` cannot be waited for"))?;
    anyhow::ensure!(status.success(), "`{line}` ended with {status}");
    Ok(artifacts)
}

fn suite_name(package: &Package, target: &Target) -> SuiteName {
    let krate = package.name.to_string();
    let is_the_crate = target.is_lib() || target.name == krate;
    SuiteName {
        target: (!is_the_crate).then(|| target.name.clone()),
        krate,
    }
}

/// The tests in the output of libtest's `--list --format terse`.
fn test_names(listing: &str) -> Vec<String> {
    listing
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_holds_tests_and_other_lines() {
        let listing = "parse::tests::a: test\nb: test\nslow: benchmark\n\n2 tests\n";
        assert_eq!(test_names(listing), ["parse::tests::a", "b"]);
    }

    #[test]
    fn a_full_name_starts_with_the_crate() {
        let name = |target: Option<&str>| SuiteName {
            krate: "lab".to_owned(),
            target: target.map(str::to_owned),
        };
        assert_eq!(name(None).path("lock::tests::x"), "lab::lock::tests::x");
        assert_eq!(name(Some("e2e")).path("x"), "lab::e2e::x");
    }
}
