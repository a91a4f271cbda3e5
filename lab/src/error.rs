//! Why a lab's command fails, in words for the person who typed it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::places::InvalidName;
use crate::store::ApiError;

/// A lab's command failed.
#[derive(Debug, Error)]
pub enum LabError {
    /// The name given is not one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A lab of that name is being served.
    #[error(
        "the lab {name:?} is up already (process {pid}); `flatnet-lab down --name {name}` ends it"
    )]
    AlreadyUp {
        /// The lab.
        name: String,
        /// The serving process.
        pid: u32,
    },
    /// No lab of that name is being served.
    #[error("the lab {0:?} is not up; `flatnet-lab up --name {0}` starts it")]
    NotUp(String),
    /// Programs that a lab runs are not there.
    #[error("missing in {}: {}; build them, or say where they are with --bin-dir", .dir.display(), .programs.join(", "))]
    MissingPrograms {
        /// Where they were looked for.
        dir: PathBuf,
        /// Their names.
        programs: Vec<String>,
    },
    /// The lab is to have IPv6 on a kernel without it.
    #[error("this kernel has no IPv6; `--families ipv4` makes a lab without it")]
    NoIpv6,
    /// Something did not happen in time.
    #[error("{what} (waited {seconds} s); see {}", .log.display())]
    NotInTime {
        /// What did not happen.
        what: String,
        /// How long it was given.
        seconds: u64,
        /// Where the reason is likely to be found.
        log: PathBuf,
    },
    /// The serving process ended while it was starting.
    #[error("the lab did not start: {reason}; see {}", .log.display())]
    DidNotStart {
        /// Its last words.
        reason: String,
        /// All of them.
        log: PathBuf,
    },
    /// A controller, a kubelet or a listener ended, which none of them does by itself.
    #[error("a part of the lab ended, and the lab with it; see {}", .log.display())]
    PartEnded {
        /// Where the reason is to be found.
        log: PathBuf,
    },
    /// A node, pod or object that is not there.
    #[error("{0}")]
    NotFound(String),
    /// A manifest that cannot be read.
    #[error("manifest: {0}")]
    Manifest(String),
    /// The API server refuses.
    #[error("API server: {0}")]
    Api(String),
    /// What the demonstration shows is not so.
    #[error("expected {expected}, saw {seen}")]
    NotHeld {
        /// What should have been.
        expected: String,
        /// What was.
        seen: String,
    },
    /// The machine refuses.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the machine said.
        source: io::Error,
    },
}

impl LabError {
    /// Adds what was being done to an I/O error.
    pub(crate) fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl From<ApiError> for LabError {
    fn from(error: ApiError) -> Self {
        Self::Api(error.to_string())
    }
}
