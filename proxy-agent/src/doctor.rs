//! `doctor`: what keeps a node from working, each thing in one sentence with its remedy.
//!
//! Facts are observed ([`facts`]), judged ([`judge`], pure), and told. Nothing is changed, so it
//! may run beside an agent, and before there is one.

pub mod facts;
pub mod judge;

use std::process::ExitCode;

use crate::args::DoctorOptions;
use judge::Severity;

/// Looks, and prints a line for each finding.
///
/// Its exit status: 0 if there is none, 1 if the node works but not in full, 2 if it does not.
pub async fn doctor(options: &DoctorOptions) -> ExitCode {
    let facts = facts::observe(options).await;
    let findings = judge::findings(&facts);
    for finding in &findings {
        println!("{finding}");
    }
    let worst = findings.iter().map(|finding| finding.severity).max();
    if worst.is_none() {
        println!("ok: nothing keeps this node from working");
    }
    ExitCode::from(match worst {
        None => 0,
        Some(Severity::Warning) => 1,
        Some(Severity::Error) => 2,
    })
}
