//! A path as a picture: two columns, the way there and the way of the answer, a box a hop, a
//! coloured band a node.

use super::{lines, outcome, pointed, seen};
use crate::trace::path::{Hop, Outcome, Trace};

const BOX_WIDTH: usize = 560;
/// Of a box's title, and of each line under it.
const TITLE: usize = 30;
const LINE: usize = 18;
const GAP: usize = 18;
const MARGIN: usize = 24;
const TOP: usize = 70;
/// Letters of the small text that fit a box.
const LETTERS: usize = 88;
/// Width of a letter of the outcome.
const OUTCOME_LETTER: usize = 9;
/// Bands of nodes, in the order in which they are met; what is no node's is grey.
const BANDS: [&str; 4] = ["#2b6cb0", "#2f855a", "#b7791f", "#6b46c1"];

/// The picture.
pub(in crate::trace) fn svg(trace: &Trace) -> String {
    let columns = if trace.back.is_empty() { 1 } else { 2 };
    let width = 2 * MARGIN + columns * BOX_WIDTH + (columns - 1) * 2 * MARGIN;
    let boxes = |hops: &[Hop]| hops.iter().map(|hop| height(hop) + GAP).sum::<usize>();
    let end = lines(&outcome(&trace.outcome), width / OUTCOME_LETTER);
    let boxes = boxes(&trace.forward).max(boxes(&trace.back));
    let height = TOP + boxes + MARGIN + end.len() * LINE;
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
    for (index, line) in end.iter().enumerate() {
        let y = TOP + boxes + MARGIN + index * LINE;
        text += &words(MARGIN, y, 14, colour, line);
    }
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
    let (mut text, mut top) = (String::new(), TOP);
    for (index, hop) in hops.iter().enumerate() {
        let found = nodes
            .iter()
            .position(|node| hop.node.as_deref() == Some(*node));
        let band = found
            .and_then(|at| BANDS.get(at % BANDS.len()))
            .unwrap_or(&"#718096");
        text += &hop_box(hop, (left, top), band);
        top += height(hop);
        if index + 1 < hops.len() {
            let x = left + BOX_WIDTH / 2;
            text += &format!(
                "<line x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{}\" stroke=\"#4a5568\" \
                 marker-end=\"url(#to)\"/>\n",
                top + GAP
            );
        }
        top += GAP;
    }
    text
}

/// What a box has under its title, a line each with size and colour: what happens, what changes, and
/// the command that shows it.
fn body(hop: &Hop) -> Vec<(usize, &'static str, String)> {
    let mut body = vec![(11, "#4a5568", hop.does.clone())];
    if let Some(change) = hop.change {
        let (before, after) = (change.before, format!("\u{21d2}  {}", change.after));
        let line = format!("{before}  {after}");
        let lines = match line.chars().count() <= LETTERS {
            true => vec![line],
            false => vec![before.to_string(), after],
        };
        body.extend(lines.into_iter().map(|line| (11, "#975a16", line)));
    }
    body.extend(pointed(hop).map(|line| (11, "#2f855a", line)));
    let command = hop.shown_by.as_ref();
    body.extend(command.map(|command| (10, "#718096", format!("$ {command}"))));
    let wrapped = body.into_iter().flat_map(|(size, colour, text)| {
        let lines = lines(&text, LETTERS).into_iter();
        lines.map(move |line| (size, colour, line))
    });
    wrapped.collect()
}

fn height(hop: &Hop) -> usize {
    TITLE + body(hop).len() * LINE
}

fn hop_box(hop: &Hop, (left, top): (usize, usize), band: &str) -> String {
    let fill = if hop.change.is_some() {
        "#fffbeb"
    } else {
        "#f7fafc"
    };
    let height = height(hop);
    let mut text = format!(
        "<rect x=\"{left}\" y=\"{top}\" width=\"{BOX_WIDTH}\" height=\"{height}\" rx=\"6\" \
         fill=\"{fill}\" stroke=\"#cbd5e0\"/>\n\
         <rect x=\"{left}\" y=\"{top}\" width=\"8\" height=\"{height}\" rx=\"3\" fill=\"{band}\"/>\n"
    );
    let (inner, right) = (left + 18, left + BOX_WIDTH - 10);
    let node = hop
        .node
        .as_deref()
        .map(|node| format!("{node}: "))
        .unwrap_or_default();
    let title = format!("{node}{}", hop.place);
    text += &words(inner, top + 19, 13, "#1a202c", &title);
    text += &at_end((right, top + 19), 11, band, &hop.owner);
    for (index, (size, colour, line)) in body(hop).iter().enumerate() {
        text += &words(inner, top + 38 + index * LINE, *size, colour, line);
    }
    let seen = match hop.not_seen {
        true => Some(("#c53030", "not seen here".to_owned())),
        false => seen(hop).map(|seen| ("#2f855a", seen)),
    };
    if let Some((colour, seen)) = seen {
        // Beside the command, which is short where packets are seen.
        text += &at_end((right, top + height - 10), 10, colour, &seen);
    }
    text
}

fn at_end((x, y): (usize, usize), size: usize, colour: &str, text: &str) -> String {
    let text = escaped(text);
    format!(
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"end\">{text}</text>\n"
    )
}

fn words(x: usize, y: usize, size: usize, colour: &str, text: &str) -> String {
    let text = escaped(text);
    format!("<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\">{text}</text>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
