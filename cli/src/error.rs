//! Why a command could not tell what it was asked.

use std::io;

use proxy_agent::kernel::maps::MapsError;
use proxy_agent::kernel::pins::PinsError;
use proxy_agent::local::kernel::LookError;

use crate::agent::AskError;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// No node answers.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// There is no bpffs to read from.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The kernel's maps.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The kernel's programs.
    #[error(transparent)]
    Look(#[from] LookError),
    /// A file, folder or socket.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// What was asked for does not exist.
    #[error("{0}")]
    NotFound(String),
}

impl CliError {
    /// Names what was being done.
    pub(crate) fn doing(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
