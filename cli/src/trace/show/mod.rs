//! How a path is written: for a terminal, in a word a hop, as a Mermaid diagram, as a picture.

mod mermaid;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub(super) use mermaid::mermaid;
pub(super) use svg::svg;
pub(super) use text::text;

use std::collections::BTreeMap;

use super::observed::{Freed, NodeClock, Observed, Pointed};
use super::path::{Hop, Outcome, Trace};

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

/// When our packet was seen at a hop: since the first, and since the one before.
fn seen(hop: &Hop) -> Option<String> {
    let micros = |nanoseconds: u64| nanoseconds / 1_000;
    let after = micros(hop.seen_after_nanoseconds?);
    let since = hop.since_before_nanoseconds.map(micros);
    let since = since.map_or(String::new(), |since| format!(" (+{since})"));
    Some(format!("seen after {after} us{since}"))
}

/// Where our own connection was pointed, at connect().
fn pointed(hop: &Hop) -> Option<String> {
    let Pointed { towards, peer } = hop.pointed?;
    Some(format!(
        "seen: the connection goes to {towards}, and getpeername() says {peer}"
    ))
}

/// Words on lines of so many letters.
fn lines(text: &str, letters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > letters {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

/// What the packet did, a line a fact.
fn observed(observed: &Observed) -> Vec<String> {
    let probe = &observed.probe;
    let looked_up = probe.lookup.as_ref().map(|lookup| {
        let addresses: Vec<String> = lookup.addresses.iter().map(ToString::to_string).collect();
        format!(
            "the DNS server says: {} {}",
            lookup.code,
            addresses.join(", ")
        )
    });
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
    lines.extend(looked_up.map(|line| line.trim_end().to_owned()));
    // A conversation that went well has packets that end, too.
    let well = probe.answer == "answered";
    let freed = observed.freed.iter().filter(|_| !well);
    lines.extend(freed.map(|end| {
        let by = end.function.as_ref();
        let by = by.map_or(String::new(), |by| format!(" ({by})"));
        let Freed {
            node,
            place,
            reason,
            words,
            packet,
            ..
        } = end;
        format!("{node} dropped {packet} at {place}: {reason}{by}: {words}")
    }));
    let drops = observed.drops.iter();
    lines.extend(drops.map(|drop| {
        let (node, count, reason) = (&drop.node, drop.count, &drop.reason);
        format!(
            "{node} counted {reason} {count} times meanwhile: {}",
            drop.words
        )
    }));
    lines.extend(clocks(observed));
    lines.extend(gaps(observed));
    lines.extend(
        observed
            .difference
            .iter()
            .map(|words| format!("differs: {words}")),
    );
    lines
}

fn clocks(observed: &Observed) -> impl Iterator<Item = String> {
    let told = |clock: &NodeClock| {
        let micros = clock.ahead_nanoseconds / 1_000;
        let within = clock.within_nanoseconds / 1_000;
        let node = &clock.node;
        format!("the clock of {node} is ahead by {micros} us, give or take {within}: corrected")
    };
    observed.clocks.iter().map(told)
}

/// What was not looked at, and why.
fn gaps(observed: &Observed) -> Vec<String> {
    let mut lines = Vec::new();
    if observed.missed > 0 {
        let missed = observed.missed;
        lines.push(format!(
            "{missed} packets went by too fast to be looked at: ours may have been among them"
        ));
    }
    if observed.lost > 0 {
        let lost = observed.lost;
        lines.push(format!("there was no room for {lost} events of it"));
    }
    // Nodes that say the same say it together.
    let mut by_reason = BTreeMap::<&str, Vec<&str>>::new();
    for line in &observed.blind {
        let (node, why) = line.split_once(": ").unwrap_or(("", line));
        by_reason.entry(why).or_default().push(node);
    }
    let parts = by_reason.into_iter();
    lines.extend(parts.map(|(why, nodes)| format!("seen in part on {}: {why}", nodes.join(", "))));
    lines
}
