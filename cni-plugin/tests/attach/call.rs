//! One call of a plugin, ours or another, as a container runtime makes it.

use std::io::{Seek, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// One run of a plugin.
pub(crate) struct Call {
    /// Which one.
    pub(crate) binary: PathBuf,
    /// `CNI_*`.
    pub(crate) environment: Vec<(String, String)>,
    /// Stdin.
    pub(crate) config: Value,
}

impl Call {
    /// Changes a variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(kept, _)| kept != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Changes a key of the configuration, given as a JSON pointer.
    pub(crate) fn configured(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.config.pointer_mut(parent).unwrap()[key] = value;
        self
    }

    /// Speaks another version of the specification.
    pub(crate) fn version(self, version: &str) -> Self {
        self.configured("/cniVersion", Value::from(version))
    }

    /// Starts it without waiting. Its stdin is a file, so nothing depends on who reads when.
    pub(crate) fn start(&self) -> std::process::Child {
        let mut stdin = tempfile::tempfile().unwrap();
        stdin.write_all(self.config.to_string().as_bytes()).unwrap();
        stdin.rewind().unwrap();
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs it; what it printed, or null for nothing. Panics unless it succeeds.
    pub(crate) fn succeed(&self) -> Value {
        let Output {
            status,
            stdout,
            stderr,
        } = self.start().wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&stdout).into_owned();
        assert!(
            status.success(),
            "{:?}: {printed}{}",
            self.environment,
            String::from_utf8_lossy(&stderr)
        );
        if printed.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&printed).unwrap()
        }
    }

    /// Runs it; the error it printed. Panics unless it fails with exit status 1.
    pub(crate) fn fail(&self) -> Value {
        let Output {
            status,
            stdout,
            stderr,
        } = self.start().wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&stdout).into_owned();
        assert_eq!(status.code(), Some(1), "{printed}");
        assert_eq!(
            String::from_utf8_lossy(&stderr),
            "",
            "nothing went wrong while undoing"
        );
        serde_json::from_str(&printed).unwrap()
    }
}
