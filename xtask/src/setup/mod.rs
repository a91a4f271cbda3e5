//! `cargo xtask setup`: find what a developer command needs, install what can be installed, and
//! name the rest with its remedy, one line each.
//!
//! The order is parse -> decide -> act: [`toolchain`], [`tools`] and [`kernel`] look and return
//! [`Need`]s, [`remedy::commands`] turns the missing ones into command lines (pure), and this
//! file runs them. Nothing is installed that a table here does not name.

mod need;
mod toolchain;
mod tools;
mod kernel;
mod bpf;
mod remedy;

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

pub(crate) use self::bpf::is_root;
pub(crate) use self::kernel::cgroup2_root;
pub(crate) use self::need::Scope;
use self::need::{Need, State};
pub(crate) use self::toolchain::STATIC_TARGET;
pub(crate) use self::tools::cni_plugin;
use crate::process::{self, Step};

/// Arguments of `cargo xtask setup`.
#[derive(Args, Debug)]
pub(crate) struct SetupArgs {
    /// Install nothing: name what is missing and the command that would bring it.
    #[arg(long)]
    check: bool,
}

/// Shows every need with its state; installs what is missing unless `--check`.
///
/// # Errors
/// When something is missing and was not or could not be installed.
pub(crate) fn run(args: &SetupArgs) -> anyhow::Result<ExitCode> {
    let SetupArgs { check } = *args;
    let needs = find(Scope::Test);
    for need in &needs {
        println!("{need}");
    }
    if check {
        complain(&needs)?;
    } else {
        repair(Scope::Test, &needs)?;
    }
    println!("nothing is missing");
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that everything up to `scope` is here, installing what is missing; silent when
/// nothing was.
///
/// # Errors
/// When something is missing that cannot be installed from here; each such thing was printed as
/// one line with its remedy.
pub(crate) fn ensure(scope: Scope) -> anyhow::Result<()> {
    let needs = find(scope);
    for need in needs.iter().filter(|need| need.is_missing()) {
        eprintln!("{need}");
    }
    repair(scope, &needs)
}

/// Every need of `scope`, in the order in which they are met.
fn find(scope: Scope) -> Vec<Need> {
    let mut needs = toolchain::needs();
    needs.extend(tools::needs());
    needs.extend(kernel::needs());
    needs.retain(|need| scope.includes(need.scope));
    needs
}

fn repair(scope: Scope, needs: &[Need]) -> anyhow::Result<()> {
    if !needs.iter().any(Need::is_missing) {
        return Ok(());
    }
    for action in remedy::commands(needs, remedy::Machine::look()) {
        let step = Step::start(action.what.as_str());
        let result = process::run(&mut action.command());
        if !action.may_fail {
            result?;
        }
        step.done();
    }
    complain(&find(scope))
}

fn complain(needs: &[Need]) -> anyhow::Result<()> {
    let missing: Vec<_> = needs
        .iter()
        .filter(|need| matches!(need.state, State::Missing { .. }))
        .map(|need| need.name.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if let Some(line) = remedy::by_hand(needs, remedy::Machine::look()) {
        eprintln!("to install by hand: {line}");
    }
    bail!("missing: {}", missing.join(", "))
}
