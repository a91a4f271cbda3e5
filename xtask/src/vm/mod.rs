//! `cargo xtask vm`: the tests that use the kernel, on another kernel than this machine's.
//!
//! A virtual machine boots a kernel of Debian's, by default the oldest one we claim, and sees this
//! machine's files as they are, read-only: the very test programs that `cargo xtask test` runs,
//! with all the programs and libraries these need. What the guest writes it writes to its memory.
//! It has no network.

mod kernel;
mod initramfs;
mod guest;
mod machine;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use self::kernel::{Kernel, Wanted};
use self::machine::{Machine, Processor};
use crate::build;
use crate::process::Step;
use crate::setup::{self, Scope};
use crate::test::suite::{self, Suite};
use crate::workspace::Workspace;

/// Whose tests are run without a filter: those who speak to the kernel.
const CRATES: [&str; 2] = ["proxy-agent", "cni-plugin"];
/// What of theirs asks the kernel nothing, but how fast and how large the machine is.
const LEFT_OUT: [&str; 1] = ["proxy-agent::size"];

/// Arguments of `cargo xtask vm`.
#[derive(Args, Debug)]
pub(crate) struct VmArgs {
    /// The newest kernel of this version among Debian's packages.
    #[arg(long, value_name = "VERSION", default_value = "6.1")]
    kernel: String,
    /// The kernel in this Debian package file (`linux-image-*.deb`) instead.
    #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
    image: Option<std::path::PathBuf>,
    /// Run only the tests whose full name (as `cargo xtask test --list` has them) contains this
    /// word, whichever crate's they are. Given more than once: one of these words.
    #[arg(long, value_name = "WORD")]
    filter: Vec<String>,
    /// How long boot and tests may take; by default 5, or 30 where the processor is emulated.
    #[arg(long, value_name = "NUMBER")]
    minutes: Option<u64>,
}

/// Builds the tests, boots the machine, and reads from its console what became of them; the last
/// line on stdout is `N passed, N failed`.
///
/// # Errors
/// When something needed is missing, a build fails, or no test matches the filter.
pub(crate) fn run(workspace: &Workspace, args: &VmArgs) -> anyhow::Result<ExitCode> {
    let VmArgs {
        kernel,
        image,
        filter,
        minutes,
    } = args;
    setup::ensure(Scope::Vm)?;
    let wanted = match image {
        Some(file) => Wanted::Package(file.canonicalize()?),
        None => Wanted::Version(kernel.clone()),
    };
    let folder = workspace.target().join("vm");
    let kernel = Kernel::find(&wanted, &folder)?;
    build::ebpf(workspace)?;
    build::binaries(workspace, false)?;
    let step = Step::start("building the tests");
    let suites = select(suite::build(workspace)?, filter)?;
    step.done();
    let script = folder.join("tests.sh");
    let processor = Processor::look();
    std::fs::write(&script, guest::script(workspace, processor, &suites)?)?;
    let initramfs = initramfs::make(&kernel, &folder, &script)?;
    let patience = minutes.map_or(processor.patience(), |minutes| {
        Duration::from_secs(minutes.saturating_mul(60))
    });
    let machine = Machine {
        processor,
        kernel: &kernel,
        initramfs: &initramfs,
        folder: &folder,
    };
    let tally = machine.run(&suites, patience)?;
    for failure in &tally.failures {
        eprintln!("{failure}");
    }
    println!("\nLinux {}: {tally}", kernel.release);
    Ok(if tally.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The suites to run, with the tests to run in each.
fn select(mut suites: Vec<Suite>, filter: &[String]) -> anyhow::Result<Vec<Suite>> {
    for suite in &mut suites {
        let name = suite.name.to_string();
        let speaks_to_the_kernel = CRATES
            .iter()
            .any(|krate| name.split("::").next() == Some(krate))
            && !LEFT_OUT.contains(&name.as_str());
        suite.tests.retain(|test| {
            let path = suite.name.path(test);
            let mut words = filter.iter();
            words.any(|word| path.contains(word)) || (filter.is_empty() && speaks_to_the_kernel)
        });
    }
    // The examples in the documentation are compiled when they run.
    suites.retain(|suite| !suite.tests.is_empty() && suite.name.to_string() != "doc");
    if suites.is_empty() {
        bail!("no test's name contains that word (`cargo xtask test --list` shows them all)");
    }
    Ok(suites)
}
