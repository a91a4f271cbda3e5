//! `cargo xtask fuzz`: every target of the workspace `fuzz/`, one after another, with the nightly
//! toolchain (the coverage and the sanitizer that libFuzzer needs are no stable compiler's).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use crate::process::{self, Step};
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// Arguments of `cargo xtask fuzz`.
#[derive(Args, Debug)]
pub(crate) struct FuzzArgs {
    /// How long to look for findings, all targets together.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Run this target only.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// Builds the targets and runs each for its share of the time; libFuzzer prints what it did and,
/// at a finding, the input and how to run it again.
///
/// # Errors
/// When something needed is missing, a build fails, or there is a finding.
pub(crate) fn run(workspace: &Workspace, args: &FuzzArgs) -> anyhow::Result<ExitCode> {
    let FuzzArgs { minutes, target } = args;
    setup::ensure(Scope::Fuzz)?;
    let fuzz = Fuzz {
        folder: workspace.root().join("fuzz"),
        build: workspace.target().join("fuzz"),
    };
    let mut targets = fuzz.targets()?;
    if let Some(name) = target {
        targets.retain(|target| target == name);
    }
    if targets.is_empty() {
        bail!("there is no such target in {}", fuzz.folder.display());
    }
    let step = Step::start("building the fuzz targets");
    process::run(&mut fuzz.cargo_fuzz("build"))?;
    step.done();
    let seconds = (minutes * 60).div_ceil(targets.len() as u64);
    let mut failed = Vec::new();
    // A finding of one target does not keep the others from looking.
    for target in targets {
        let step = Step::start(format!("{target}: {seconds} s"));
        if let Err(error) = process::run(&mut fuzz.run(&target, seconds)?) {
            eprintln!("    {error:#}");
            failed.push(target);
        }
        step.done();
    }
    if !failed.is_empty() {
        bail!("findings: {}", failed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the targets are and where they are built.
struct Fuzz {
    folder: PathBuf,
    build: PathBuf,
}

impl Fuzz {
    /// Their names: each is one file.
    fn targets(&self) -> anyhow::Result<Vec<String>> {
        let folder = self.folder.join("fuzz_targets");
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name().into_string().ok();
            names.extend(name.and_then(|name| name.strip_suffix(".rs").map(str::to_owned)));
        }
        names.sort();
        Ok(names)
    }

    fn cargo_fuzz(&self, command: &str) -> Command {
        let mut cargo = Command::new("rustup");
        cargo
            .args(["run", "nightly", "cargo", "fuzz", command, "--fuzz-dir"])
            .arg(&self.folder)
            .arg("--target-dir")
            .arg(&self.build)
            .current_dir(&self.folder)
            // Those of the toolchain that runs us.
            .env_remove("CARGO")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("LD_LIBRARY_PATH");
        cargo
    }

    /// What it finds of use goes into the corpus, which is this machine's; the seeds are the
    /// repository's.
    fn run(&self, target: &str, seconds: u64) -> anyhow::Result<Command> {
        let corpus = self.folder.join("corpus").join(target);
        make(&corpus)?;
        let mut command = self.cargo_fuzz("run");
        command
            .arg(target)
            .arg(corpus)
            .arg(self.folder.join("seeds").join(target))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!(
                "-dict={}",
                self.folder.join("words.dict").display()
            ))
            .arg("-print_final_stats=1");
        Ok(command)
    }
}

fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}
