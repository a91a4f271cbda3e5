//! How a path is written: for a terminal, in a word a hop, as a Mermaid diagram, as a picture.

mod mermaid;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub(super) use mermaid::mermaid;
pub(super) use svg::svg;
pub(super) use text::text;

use super::path::{Hop, Observed, Outcome, Trace};

/// A word a hop, on two lines, and the outcome.
pub(super) fn short(trace: &Trace) -> String {
    let words = |hops: &[Hop]| {
        let words: Vec<String> = hops.iter().map(Hop::code).collect();
        words.join(" ")
    };
    let mut text = format!("{}\n", words(&trace.forward));
    if !trace.back.is_empty() {
        text += &format!("{}\n", words(&trace.back));
    }
    text + &format!("{}\n", outcome(&trace.outcome))
}

/// How it ends, on one line.
fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reached => "reached".to_owned(),
        Outcome::NotReached {
            reason,
            words,
            object,
        } => format!("not reached ({reason}): {words}; look at {object}"),
        Outcome::NotKnown { words } => format!("not known: {words}"),
    }
}

/// What the packet did, a line a fact.
fn observed(observed: &Observed) -> Vec<String> {
    let probe = &observed.probe;
    let mut lines = vec![format!(
        "a packet of our own was {} after {:.1} ms{}",
        match probe.answer.as_str() {
            "silent" => "not answered",
            answer => answer,
        },
        probe.milliseconds,
        match &probe.words {
            Some(words) => format!(" ({words})"),
            None => String::new(),
        }
    )];
    let drops = observed.drops.iter();
    lines.extend(drops.map(|drop| {
        let (node, count, reason) = (&drop.node, drop.count, &drop.reason);
        format!(
            "{node} counted {reason} {count} times meanwhile: {}",
            drop.words
        )
    }));
    lines.extend(
        observed
            .difference
            .iter()
            .map(|words| format!("differs: {words}")),
    );
    lines
}
