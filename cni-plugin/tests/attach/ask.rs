//! The system's own tools, for what the kernel has.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs `ip`, which must succeed.
pub(crate) fn ip(arguments: &[&str]) {
    run(&[&["ip"], arguments].concat());
}

/// Runs a command, which must succeed.
pub(crate) fn run(words: &[&str]) {
    let (program, arguments) = words.split_first().unwrap();
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What `ip -j` says.
pub(crate) fn ip_json(arguments: &[&str]) -> Value {
    let output = Command::new("ip")
        .args(["-j", "-d"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "ip {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = if output.stdout.is_empty() {
        b"[]"
    } else {
        output.stdout.as_slice()
    };
    serde_json::from_slice(text).unwrap()
}

/// The filters of what comes in on an interface.
pub(crate) fn filters(interface: &str, side: &str) -> Vec<Value> {
    let arguments = ["-j", "-d", "filter", "show", "dev", interface, side];
    let output = Command::new("tc").args(arguments).output().unwrap();
    let filters: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let whole = filters
        .into_iter()
        .filter(|filter| filter["options"].is_object());
    whole.collect()
}

/// What a file says, trimmed.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim().to_owned()
}
