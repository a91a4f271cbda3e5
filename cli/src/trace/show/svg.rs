//! A path as a picture: two columns, the way there and the way of the answer, a box a hop, a
//! coloured band a node.

use super::outcome;
use crate::trace::path::{Hop, Outcome, Trace};

const BOX_WIDTH: usize = 560;
const BOX_HEIGHT: usize = 66;
const GAP: usize = 18;
const MARGIN: usize = 24;
const TOP: usize = 70;
/// Letters of the small text that fit a box.
const LETTERS: usize = 88;
/// Bands of nodes, in the order in which they are met; what is no node's is grey.
const BANDS: [&str; 4] = ["#2b6cb0", "#2f855a", "#b7791f", "#6b46c1"];

/// The picture.
pub(in crate::trace) fn svg(trace: &Trace) -> String {
    let columns = if trace.back.is_empty() { 1 } else { 2 };
    let rows = trace.forward.len().max(trace.back.len());
    let width = 2 * MARGIN + columns * BOX_WIDTH + (columns - 1) * 2 * MARGIN;
    let height = TOP + rows * (BOX_HEIGHT + GAP) + 2 * MARGIN;
    let nodes = nodes(trace);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"DejaVu Sans, Helvetica, sans-serif\">\n\
         <defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#4a5568\"/></marker></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let title = format!(
        "{} \u{2192} {} ({})",
        trace.from,
        trace.to,
        trace.protocol.name()
    );
    text += &words(MARGIN, 34, 20, "#1a202c", &title);
    text += &words(MARGIN, 56, 12, "#4a5568", "the way there");
    text += &column(&trace.forward, MARGIN, &nodes);
    if columns == 2 {
        let left = 3 * MARGIN + BOX_WIDTH;
        text += &words(left, 56, 12, "#4a5568", "the answer");
        text += &column(&trace.back, left, &nodes);
    }
    let colour = match trace.outcome {
        Outcome::Reached => "#2f855a",
        Outcome::NotReached { .. } => "#c53030",
        Outcome::NotKnown { .. } => "#b7791f",
    };
    text += &words(
        MARGIN,
        height - MARGIN,
        14,
        colour,
        &outcome(&trace.outcome),
    );
    text + "</svg>\n"
}

/// The nodes in the order in which they are met.
fn nodes(trace: &Trace) -> Vec<&str> {
    let mut nodes = Vec::new();
    for node in trace
        .forward
        .iter()
        .chain(&trace.back)
        .filter_map(|hop| hop.node.as_deref())
    {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    nodes
}

fn column(hops: &[Hop], left: usize, nodes: &[&str]) -> String {
    let mut text = String::new();
    for (index, hop) in hops.iter().enumerate() {
        let top = TOP + index * (BOX_HEIGHT + GAP);
        let found = nodes
            .iter()
            .position(|node| hop.node.as_deref() == Some(*node));
        let band = found
            .and_then(|at| BANDS.get(at % BANDS.len()))
            .unwrap_or(&"#718096");
        text += &hop_box(hop, (left, top), band);
        if index + 1 < hops.len() {
            let (x, from) = (left + BOX_WIDTH / 2, top + BOX_HEIGHT);
            text += &format!(
                "<line x1=\"{x}\" y1=\"{from}\" x2=\"{x}\" y2=\"{}\" stroke=\"#4a5568\" \
                 marker-end=\"url(#to)\"/>\n",
                from + GAP
            );
        }
    }
    text
}

fn hop_box(hop: &Hop, (left, top): (usize, usize), band: &str) -> String {
    let fill = if hop.change.is_some() {
        "#fffbeb"
    } else {
        "#f7fafc"
    };
    let mut text = format!(
        "<rect x=\"{left}\" y=\"{top}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\" \
         fill=\"{fill}\" stroke=\"#cbd5e0\"/>\n\
         <rect x=\"{left}\" y=\"{top}\" width=\"8\" height=\"{BOX_HEIGHT}\" rx=\"3\" fill=\"{band}\"/>\n"
    );
    let inner = left + 18;
    let node = hop
        .node
        .as_deref()
        .map(|node| format!("{node}: "))
        .unwrap_or_default();
    text += &words(
        inner,
        top + 19,
        13,
        "#1a202c",
        &format!("{node}{}", hop.place),
    );
    let owner = escaped(&hop.owner);
    text += &format!(
        "<text x=\"{}\" y=\"{}\" font-size=\"11\" fill=\"{band}\" text-anchor=\"end\">{owner}</text>\n",
        left + BOX_WIDTH - 10,
        top + 19
    );
    if let Some((colour, seen)) = seen(hop) {
        text += &format!(
            "<text x=\"{}\" y=\"{}\" font-size=\"10\" fill=\"{colour}\" text-anchor=\"end\">{seen}</text>\n",
            left + BOX_WIDTH - 10,
            top + 56
        );
    }
    text += &words(inner, top + 38, 11, "#4a5568", &cut(&hop.does));
    if let Some(change) = hop.change {
        let change = format!("{}  \u{21d2}  {}", change.before, change.after);
        text += &words(inner, top + 56, 11, "#975a16", &cut(&change));
    } else if let Some(command) = &hop.shown_by {
        text += &words(
            inner,
            top + 56,
            10,
            "#718096",
            &cut(&format!("$ {command}")),
        );
    }
    text
}

/// Whether our packet was seen there, and when.
fn seen(hop: &Hop) -> Option<(&'static str, String)> {
    match (hop.not_seen, hop.seen_after_nanoseconds) {
        (true, _) => Some(("#c53030", "not seen here".to_owned())),
        (false, after) => Some(("#2f855a", format!("seen after {} us", after? / 1_000))),
    }
}

fn words(x: usize, y: usize, size: usize, colour: &str, text: &str) -> String {
    let text = escaped(text);
    format!("<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\">{text}</text>\n")
}

/// What does not fit ends in dots: the text has it whole.
fn cut(text: &str) -> String {
    match text.chars().count() <= LETTERS {
        true => text.to_owned(),
        false => text.chars().take(LETTERS - 1).chain(['\u{2026}']).collect(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
