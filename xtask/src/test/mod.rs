//! `cargo xtask test`: everything built, every test of every crate run, one closing line.
//!
//! Cargo builds the test programs; this room starts them itself, because then a test has one
//! full name (`crate::module::test`) to list and filter by, a suite that hangs is stopped and
//! named, and the sums are right also when a program dies without a result.

pub(crate) mod failure;
pub(crate) mod suite;
pub(crate) mod run;
pub(crate) mod tally;

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use self::suite::Suite;
use self::tally::Tally;
use crate::process::Step;
use crate::setup::{self, Scope, is_root};
use crate::workspace::Workspace;
use crate::{build, image, lab};

/// The tests that install the product from an image.
const IMAGE_SUITE: &str = "lab::install";

/// Arguments of `cargo xtask test`.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Run only the tests whose full name (`crate::module::test`) contains this word.
    #[arg(long, value_name = "WORD")]
    filter: Option<String>,
    /// Print the full name of every test and run none.
    #[arg(long)]
    list: bool,
}

/// Builds and runs the tests; the last line on stdout is `N passed, N failed`.
///
/// # Errors
/// When something needed is missing, a build fails, or no test matches the filter.
pub(crate) fn run(workspace: &Workspace, args: &TestArgs) -> anyhow::Result<ExitCode> {
    let TestArgs { filter, list } = args;
    if !list {
        prepare(workspace)?;
    }
    let step = Step::start("building the tests");
    let mut suites = suite::build(workspace)?;
    step.done();
    if let Some(word) = filter {
        for suite in &mut suites {
            suite
                .tests
                .retain(|test| suite.name.path(test).contains(word));
        }
        suites.retain(|suite| !suite.tests.is_empty());
        if suites.is_empty() {
            bail!("no test's name contains {word:?} (`cargo xtask test --list` shows them all)");
        }
    }
    if *list {
        print_names(&suites);
        return Ok(ExitCode::SUCCESS);
    }
    if suites
        .iter()
        .any(|suite| suite.name.to_string() == IMAGE_SUITE)
    {
        image::build(workspace, false)?;
    }
    let tally = run_all(workspace, &suites, filter.is_some())?;
    println!("\n{tally}");
    Ok(if tally.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn prepare(workspace: &Workspace) -> anyhow::Result<()> {
    let step = Step::start("checking what the tests need");
    setup::ensure(Scope::Test)?;
    step.done();
    if !is_root() {
        eprintln!("not root: tests that need namespaces or programs skip themselves");
    }
    build::ebpf(workspace)?;
    build::binaries(workspace, false)
}

fn print_names(suites: &[Suite]) {
    for suite in suites {
        for test in &suite.tests {
            println!("{}", suite.name.path(test));
        }
    }
}

fn run_all(workspace: &Workspace, suites: &[Suite], exact: bool) -> anyhow::Result<Tally> {
    let mut total = Tally::default();
    for suite in suites.iter().filter(|suite| !suite.tests.is_empty()) {
        let step = Step::start(format!("{}: {} tests", suite.name, suite.tests.len()));
        let mut command = suite.command(workspace, exact);
        command.envs(lab::environment(workspace));
        command.env("FLATNET_IMAGE", image::archive_of(workspace, false));
        // Where CI itself runs in a pod, its cluster is none of the tests' business.
        command
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env_remove("KUBERNETES_SERVICE_PORT");
        total.add(run::run(&mut command, suite)?);
        step.done();
    }
    for failure in &total.failures {
        eprintln!("{failure}");
    }
    Ok(total)
}
