//! How an answer is written: text or JSON, once or again and again.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// What is common to the commands that show something.
#[derive(Clone, Debug, Args)]
pub(crate) struct Form {
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// Show it again each second, until interrupted.
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// How to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Aligned text.
    #[default]
    Text,
    /// The same with more columns.
    Wide,
    /// JSON, as the agent's API has it.
    Json,
}

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

impl Form {
    /// Writes what was found: the text, or the value as JSON.
    pub(crate) fn print(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        match self.output {
            Output::Json => say(&(json(value) + "\n")),
            Output::Text | Output::Wide => say(&text()),
        };
    }

    /// Waits for the next look, and says whether there is one.
    pub(crate) async fn again(&self) -> bool {
        if self.watch {
            tokio::time::sleep(PAUSE).await;
        }
        self.watch && say("\n")
    }
}

/// Writes to standard output, and says whether anybody reads: who has gone (`| head`) is no failure of
/// ours.
pub(crate) fn say(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_ok()
}

/// A value as people read JSON.
pub(crate) fn json(value: &impl Serialize) -> String {
    // What we write are structs with string keys, which serde_json can always write.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
