//! `cargo xtask`: every developer command of flatnet.
//!
//! This crate drives other programs (cargo, rustup, apt-get, the lab) by their command lines and
//! links none of the product's crates, so that it compiles in seconds and works in a tree that
//! does not. Each command states what it needs before it starts.

mod process;
mod workspace;
mod setup;
mod build;
mod image;
mod kind;
mod lab;
mod test;
mod vm;
mod fuzz;
mod lint;
mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Every developer command of flatnet.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the eBPF object, then every binary.
    Build(build::BuildArgs),
    /// Find what is needed, install what is missing, name the rest.
    Setup(setup::SetupArgs),
    /// Run the demonstration in a lab on this machine, or talk to a lab.
    #[command(disable_help_flag = true)]
    Lab(lab::LabArgs),
    /// Build everything that is shipped, static, into one image archive.
    Image(image::ImageArgs),
    /// A kind cluster with flatnet, where docker and kind are.
    Kind(kind::KindArgs),
    /// Build everything and run every test of every crate.
    Test(test::TestArgs),
    /// Run the kernel's tests on another kernel, in a virtual machine.
    Vm(vm::VmArgs),
    /// Look for inputs that the CNI plugin or the packets' parsers cannot take.
    Fuzz(fuzz::FuzzArgs),
    /// Check formatting, clippy (both halves) and the house rules.
    Lint(lint::LintArgs),
    /// Measure flatnet and its peers in turn.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Build(args) => build::run(&workspace, &args),
        Command::Setup(args) => setup::run(&args),
        Command::Lab(args) => lab::run(&workspace, &args),
        Command::Image(args) => image::run(&workspace, &args),
        Command::Kind(args) => kind::run(&workspace, &args),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Vm(args) => vm::run(&workspace, &args),
        Command::Fuzz(args) => fuzz::run(&workspace, &args),
        Command::Lint(args) => lint::run(&workspace, &args),
        Command::Bench(args) => bench::run(&workspace, &args),
    }
}
