//! The command line: what is typed, and the one place where it is turned into exit statuses.

mod args;
mod enter;
mod list;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

use crate::client::Client;
use crate::demo;
use crate::error::LabError;
use crate::exercise::Exercise;
use crate::launch::{self, Lifetime};
use crate::places::{LabName, Places};
use crate::serve;

/// The status of a command that could not be run at all, as shells have it.
const NOT_RUN: u8 = 126;

/// Runs the command that was typed.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let enters = arguments.command.enters();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("flatnet-lab: {error}");
            if enters {
                ExitCode::from(NOT_RUN)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, LabError> {
    match arguments.command {
        Command::Up(start) => up(start)?,
        Command::Serve(start) => serve_here(start)?,
        Command::Down { name } => launch::down(&places(&name)?)?,
        Command::Demo { start, keep } => return demo::run(&own_exe()?, &start.options()?, keep),
        Command::Exec {
            name,
            namespace,
            container,
            pod,
            command,
        } => {
            let target = enter::Target::Pod {
                namespace,
                pod,
                container,
            };
            return Err(enter::enter(&up_places(&name)?, &target, &command));
        }
        Command::Node {
            name,
            node,
            command,
        } => {
            let target = enter::Target::Node(node);
            return Err(enter::enter(&up_places(&name)?, &target, &command));
        }
        Command::Client { name, command } => {
            return Err(enter::enter(
                &up_places(&name)?,
                &enter::Target::Client,
                &command,
            ));
        }
        Command::Exercise {
            name,
            number,
            answer,
        } => return exercise(&up_places(&name)?, number, answer.as_deref()),
        Command::Kubeconfig { name } => println!("{}", up_places(&name)?.kubeconfig().display()),
        Command::List => list::print()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(start: args::Start) -> Result<(), LabError> {
    let options = start.options()?;
    let places = options.places()?;
    let mut serve = launch::spawn(&own_exe()?, &options, Lifetime::Own)?;
    launch::wait_ready(&mut serve, &places, |line| eprintln!("{line}"))?;
    println!("export KUBECONFIG={}", places.kubeconfig().display());
    println!("export FLATNET_SOCKETS={}", places.sockets().display());
    Ok(())
}

fn serve_here(start: args::Start) -> Result<(), LabError> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let options = start.options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(LabError::doing("starting threads"))?
        .block_on(serve::serve(options))
}

/// Asks, or says whether a word is the answer.
fn exercise(places: &Places, number: usize, word: Option<&str>) -> Result<ExitCode, LabError> {
    let exercise = Exercise::numbered(number)?;
    match word {
        None => {
            exercise.set_up(&Client::of_kubeconfig(&places.kubeconfig())?)?;
            println!("{}\n", exercise.question);
            println!("export KUBECONFIG={}", places.kubeconfig().display());
            println!("export FLATNET_SOCKETS={}", places.sockets().display());
        }
        Some(word) if word == exercise.answer => println!("Yes.\n\n{}", exercise.solution),
        Some(word) => {
            println!("{word} is not it.");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn own_exe() -> Result<PathBuf, LabError> {
    std::env::current_exe().map_err(LabError::doing("finding flatnet-lab itself"))
}

fn places(name: &LabName) -> Result<Places, LabError> {
    Places::of(name).map_err(LabError::doing("cgroup2"))
}

/// The places of a lab that is up.
fn up_places(name: &LabName) -> Result<Places, LabError> {
    let places = places(name)?;
    if places.settings().exists() {
        Ok(places)
    } else {
        Err(LabError::NotUp(name.to_string()))
    }
}
