//! The labs of this machine, living and dead.

use std::fs;
use std::path::Path;

use crate::error::LabError;
use crate::lock;
use crate::places::{LabName, Places};

/// Prints one line for each lab.
pub(super) fn print() -> Result<(), LabError> {
    let base = Places::base_dir();
    for name in names(&base) {
        let places = super::places(&name)?;
        let state = match lock::holder(&places).map_err(LabError::doing("lock"))? {
            Some(pid) => format!("up (process {pid})"),
            None => "dead; `flatnet-lab down` removes what it left".to_owned(),
        };
        println!("{name}\t{state}\t{}", places.state().display());
    }
    Ok(())
}

/// Every name for which there is a state directory or a lock file.
fn names(base: &Path) -> Vec<LabName> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .trim_end_matches(".lock")
                .to_owned()
        })
        .collect();
    names.sort();
    names.dedup();
    names.iter().filter_map(|name| name.parse().ok()).collect()
}
