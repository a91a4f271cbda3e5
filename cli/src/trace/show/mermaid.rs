//! A path as a Mermaid flowchart: a box a hop, a frame a node.

use super::{outcome, pointed, seen};
use crate::trace::path::{Hop, Trace};

/// The diagram.
pub(in crate::trace) fn mermaid(trace: &Trace) -> String {
    let mut text = "flowchart TD\n".to_owned();
    text += &chain("f", &trace.forward);
    text += &chain("b", &trace.back);
    if let (Some(_), false) = (trace.forward.last(), trace.back.is_empty()) {
        text += &format!("    f{} -. answer .-> b0\n", trace.forward.len() - 1);
    }
    let last = match trace.back.len() {
        0 => format!("f{}", trace.forward.len().saturating_sub(1)),
        count => format!("b{}", count - 1),
    };
    text + &format!(
        "    {last} --> end_([\"{}\"])\n",
        quoted(&outcome(&trace.outcome))
    )
}

/// The hops one after the other; those next to each other on one node in a frame.
fn chain(prefix: &str, hops: &[Hop]) -> String {
    let mut text = String::new();
    let numbered: Vec<(usize, &Hop)> = hops.iter().enumerate().collect();
    for (frame, run) in numbered
        .chunk_by(|one, next| one.1.node == next.1.node)
        .enumerate()
    {
        let node = run.first().and_then(|(_, hop)| hop.node.as_deref());
        if let Some(node) = node {
            text += &format!("    subgraph {prefix}n{frame}[\"{}\"]\n", quoted(node));
        }
        for (index, hop) in run {
            text += &format!("    {prefix}{index}[\"{}\"]\n", label(hop));
        }
        if node.is_some() {
            text += "    end\n";
        }
    }
    for index in 1..hops.len() {
        text += &format!("    {prefix}{} --> {prefix}{index}\n", index - 1);
    }
    text
}

fn label(hop: &Hop) -> String {
    let mut lines = vec![
        format!("<b>{}</b> ({})", quoted(&hop.place), quoted(&hop.owner)),
        quoted(&hop.does),
    ];
    if let Some(change) = hop.change {
        lines.push(quoted(&format!("{} => {}", change.before, change.after)));
    }
    lines.extend(pointed(hop).map(|line| quoted(&line)));
    match hop.not_seen {
        true => lines.push("<b>not seen here</b>".to_owned()),
        false => lines.extend(seen(hop)),
    }
    lines.join("<br/>")
}

/// Characters that would end a label.
fn quoted(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
