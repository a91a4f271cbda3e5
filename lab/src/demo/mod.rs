//! The demonstration: an ordinary manifest is applied, and then it is shown and checked, step by
//! step, that a Service answers by name across nodes.

mod steps;

mod changes;
mod request_loop;

mod answers;
mod check;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use crate::error::LabError;
use crate::handle::Lab;
use crate::launch::{Lifetime, Options};
use crate::manifest;

/// Starts a lab, shows every step, ends the lab. Success only if all held.
pub(crate) fn run(exe: &Path, options: &Options, keep: bool) -> Result<ExitCode, LabError> {
    let began = Instant::now();
    println!(
        "Starting a cluster of {} nodes on this machine",
        options.nodes
    );
    let lifetime = if keep {
        Lifetime::Own
    } else {
        Lifetime::OfCaller
    };
    let lab = Lab::start_as(exe, options, lifetime, |step| say(step))?;
    let outcome = show(&lab);
    match &outcome {
        Ok(()) => println!("\nAll held, in {:.1} s.", began.elapsed().as_secs_f64()),
        Err(error) => {
            println!("   NOT HELD: {error}");
            println!("\nLogs: {}", kept_logs(&lab, keep).display());
        }
    }
    if keep {
        println!("{}", what_to_try(&lab));
        lab.keep();
    } else {
        println!("Removing the lab");
    }
    Ok(if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(lab: &Lab) -> Result<(), LabError> {
    lab.apply(manifest::TWO_TIER)?;
    for (index, (title, step)) in steps::ALL.iter().enumerate() {
        println!("\n{}. {title}", index + 1);
        let began = Instant::now();
        step(lab)?;
        println!("   held ({:.1} s)", began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// One line of what a step sees or waits for.
fn say(line: impl std::fmt::Display) {
    println!("   {line}");
}

/// Where the logs can be read: where they are, or a copy if the lab is about to go.
fn kept_logs(lab: &Lab, keep: bool) -> PathBuf {
    if keep {
        return lab.logs();
    }
    let copy = std::env::temp_dir().join(format!("flatnet-lab-{}-logs", lab.name()));
    match copy_tree(&lab.logs(), &copy) {
        Ok(()) => copy,
        Err(error) => {
            eprintln!("the logs could not be copied: {error}");
            lab.logs()
        }
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn what_to_try(lab: &Lab) -> String {
    let (exe, name) = (lab.exe().display().to_string(), lab.name());
    let flatnet = lab.exe().with_file_name("flatnet").display().to_string();
    let which = if name == "default" {
        String::new()
    } else {
        format!(" --name {name}")
    };
    format!(
        "\nThe lab goes on. Four things to try:\n\
         \n   export KUBECONFIG={} FLATNET_SOCKETS={}\
         \n   kubectl get nodes,pods,svc,endpointslices -A -o wide\
         \n   kubectl scale deploy/backend --replicas=4 && kubectl get pods -w\
         \n   {flatnet} trace deploy/frontend svc/backend\
         \n   {exe} exec{which} deploy/frontend -- flatnet-demo get http://backend --count 5\n\
         \nEnd it: {exe} down{which}",
        lab.kubeconfig().display(),
        lab.sockets().display(),
    )
}
