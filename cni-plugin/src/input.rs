//! What the runtime hands over: the `CNI_*` environment variables and the network configuration
//! on stdin, as bytes nobody has judged yet.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};

use crate::error::Error;

/// The raw request.
#[derive(Debug)]
pub struct Input {
    environment: BTreeMap<String, OsString>,
    stdin: io::Result<Vec<u8>>,
}

impl Input {
    /// A request from its parts, as a test or a fuzzer makes them up.
    #[must_use]
    pub fn new(environment: impl IntoIterator<Item = (String, OsString)>, stdin: Vec<u8>) -> Self {
        Self {
            environment: environment.into_iter().collect(),
            stdin: Ok(stdin),
        }
    }

    /// Reads this process's environment and its stdin to the end.
    pub(crate) fn of_this_process() -> Self {
        let mut stdin = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut stdin);
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("CNI_"));
        Self {
            environment: variables.collect(),
            stdin: read.map(|_| stdin),
        }
    }

    /// The value of a variable; an empty one counts as absent, as runtimes pass it that way.
    ///
    /// # Errors
    /// When the value is not UTF-8: everything here ends up in JSON.
    pub(crate) fn variable(&self, name: &'static str) -> Result<Option<&str>, Error> {
        let Some(value) = self.environment.get(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let text = value.to_str().ok_or_else(|| Error::Environment {
            name,
            value: value.to_string_lossy().into_owned(),
            expected: "UTF-8 text",
        })?;
        Ok(Some(text))
    }

    /// A variable the verb cannot do without.
    ///
    /// # Errors
    /// When it is absent, empty, or not UTF-8.
    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Error> {
        self.variable(name)?.ok_or(Error::Environment {
            name,
            value: String::new(),
            expected: "a value",
        })
    }

    /// The bytes that came on stdin.
    ///
    /// # Errors
    /// When stdin could not be read.
    pub(crate) fn stdin(&self) -> Result<&[u8], Error> {
        self.stdin
            .as_deref()
            .map_err(|source| Error::Stdin(io::Error::new(source.kind(), source.to_string())))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request as a runtime would send it.
    pub(crate) fn mk_input(environment: &[(&str, &str)], stdin: &str) -> Input {
        let pairs = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Input::new(pairs, stdin.as_bytes().to_vec())
    }

    #[test]
    fn an_empty_variable_counts_as_absent() {
        let input = mk_input(&[("CNI_NETNS", ""), ("CNI_IFNAME", "eth0")], "");
        assert_eq!(input.variable("CNI_NETNS").unwrap(), None);
        assert_eq!(input.variable("CNI_ARGS").unwrap(), None);
        assert_eq!(input.required("CNI_IFNAME").unwrap(), "eth0");
        let refused = input.required("CNI_NETNS").unwrap_err().to_string();
        assert!(refused.contains("CNI_NETNS"), "{refused}");
    }
}
