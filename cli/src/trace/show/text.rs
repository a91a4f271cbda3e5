//! A path for a terminal: 100 columns, coloured only on a terminal.

use std::io::IsTerminal as _;

use super::{lines, observed, outcome, pointed, seen};
use crate::trace::observed::Ran;
use crate::trace::path::{Change, Hop, Outcome, Trace};

/// Columns of a line.
const WIDTH: usize = 100;
/// Where what happens begins.
const INDENT: usize = 11;

/// The text.
pub(in crate::trace) fn text(trace: &Trace) -> String {
    written(trace, Paint(std::io::stdout().is_terminal()))
}

pub(super) fn written(trace: &Trace, paint: Paint) -> String {
    let mut text = paint.bold(&format!(
        "{} -> {}, {}",
        trace.from,
        trace.to,
        trace.protocol.name()
    ));
    text += "\n\n";
    let mut number = 0;
    for hop in &trace.forward {
        number += 1;
        text += &one(number, hop, paint);
    }
    if !trace.back.is_empty() {
        text += "\n   the answer:\n";
    }
    for hop in &trace.back {
        number += 1;
        text += &one(number, hop, paint);
    }
    if let Some(seen) = &trace.observed {
        text.push('\n');
        for line in observed(seen) {
            text += &format!("{}\n", paint.bold(&wrapped(&line, 0)));
        }
    }
    let end = wrapped(&outcome(&trace.outcome), 0);
    let end = match trace.outcome {
        Outcome::Reached => paint.green(&end),
        Outcome::NotReached { .. } => paint.red(&end),
        Outcome::NotKnown { .. } => paint.yellow(&end),
    };
    format!("{text}\n{end}\n")
}

fn one(number: usize, hop: &Hop, paint: Paint) -> String {
    let node = hop.node.as_deref().unwrap_or("-");
    let head = format!("{number:>2} {node:<8}{:<60} {}", hop.place, hop.owner);
    let mut text = paint.bold(head.trim_end()) + "\n";
    text += &format!("{}\n", wrapped(&hop.does, INDENT));
    if let Some(change) = hop.change {
        text += &format!("{}\n", paint.yellow(&changed(change)));
    }
    if let Some(seen) = seen(hop) {
        text += &format!("{}\n", paint.green(&format!("{:INDENT$}{seen}", "")));
    }
    if let Some(line) = pointed(hop) {
        let line = wrapped(&line, INDENT);
        text += &format!("{}\n", paint.green(&line));
    }
    if let Some(ran) = &hop.ran {
        let Ran {
            nanoseconds,
            verdict,
            counters,
        } = ran;
        let counters = counters.join(", ");
        let line = format!("ran {nanoseconds} ns: {verdict} {counters}");
        let line = format!("{:INDENT$}{}", "", line.trim_end());
        text += &format!("{}\n", paint.green(&line));
    }
    if hop.not_seen {
        text += &format!(
            "{}\n",
            paint.red(&format!("{:>INDENT$}NOT SEEN HERE", ">> "))
        );
    }
    if let Some(command) = &hop.shown_by {
        text += &format!("{}\n", paint.dim(&format!("{:INDENT$}$ {command}", "")));
    }
    text
}

/// On one line where it fits, else on two.
fn changed(change: Change) -> String {
    let Change { before, after } = change;
    let line = format!("{:INDENT$}{before}  =>  {after}", "");
    match line.chars().count() <= WIDTH {
        true => line,
        false => format!("{:INDENT$}{before}\n{:>INDENT$}{after}", "", "=> "),
    }
}

/// Lines of words, none longer than there is room for.
fn wrapped(words: &str, indent: usize) -> String {
    let lines = lines(words, WIDTH - indent);
    let lines: Vec<_> = lines
        .iter()
        .map(|line| format!("{:indent$}{line}", ""))
        .collect();
    lines.join("\n")
}

/// Colours, or none.
#[derive(Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}
