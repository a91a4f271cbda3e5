//! Rows as a person reads them: aligned columns, one line a peer, with the ratio.

use super::frame::{Better, Row};

const HEAD: [&str; 8] = [
    "case",
    "metric",
    "unit",
    "ours",
    "peer",
    "its value",
    "ours/peer",
    "better",
];
/// The columns that hold numbers, which are set flush right.
const NUMBERS: [usize; 3] = [3, 5, 6];

/// The table, each line ended by a newline.
pub(super) fn render(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().flat_map(cells));
    let mut widths = [0; HEAD.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    lines.iter().map(|line| set(line, &widths)).collect()
}

fn cells(row: &Row) -> Vec<[String; HEAD.len()]> {
    let better = match row.better {
        Better::Lower => "lower",
        Better::Higher => "higher",
    };
    let line = |peer: &str, value: String, ratio: String| {
        let (case, metric, unit) = (row.case.clone(), row.metric.clone(), row.unit.clone());
        [
            case,
            metric,
            unit,
            number(row.ours),
            peer.to_owned(),
            value,
            ratio,
            better.to_owned(),
        ]
    };
    if row.peers.is_empty() {
        return vec![line("", String::new(), String::new())];
    }
    row.peers
        .iter()
        .map(|(peer, value)| line(peer, number(*value), ratio(row.ours, *value)))
        .collect()
}

/// As many digits as a measurement deserves: three or four in all.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        value if value > 0.0 && value < 1.0 => format!("{value:.3}"),
        _ => format!("{value:.2}"),
    }
}

/// Ours as a multiple of the peer's; a peer of zero has no multiple.
fn ratio(ours: f64, peer: f64) -> String {
    if peer == 0.0 {
        "-".to_owned()
    } else {
        format!("{:.2}", ours / peer)
    }
}

fn set(line: &[String; HEAD.len()], widths: &[usize; HEAD.len()]) -> String {
    let cells: Vec<_> = line
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, &width))| {
            if NUMBERS.contains(&column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        })
        .collect();
    format!("{}\n", cells.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn columns_are_aligned_and_the_ratio_is_ours_over_the_peers() {
        let row = |case: &str, metric: &str, better, ours, peer| Row {
            bench: "connect".to_owned(),
            case: case.to_owned(),
            metric: metric.to_owned(),
            unit: "us".to_owned(),
            better,
            ours,
            peers: BTreeMap::from([("direct".to_owned(), peer)]),
            runs: 5,
        };
        let table = render(&[
            row("same-node", "p50", Better::Lower, 42.0, 40.0),
            row("cross-node", "rate", Better::Higher, 9_000.0, 0.0),
        ]);
        assert_eq!(
            table,
            "case        metric  unit  ours  peer    its value  ours/peer  better\n\
             same-node   p50     us    42.0  direct       40.0       1.05  lower\n\
             cross-node  rate    us    9000  direct       0.00          -  higher\n"
        );
    }

    #[test]
    fn a_row_without_peers_is_still_a_line() {
        let row = Row {
            bench: "b".to_owned(),
            case: "c".to_owned(),
            metric: "m".to_owned(),
            unit: "us".to_owned(),
            better: Better::Lower,
            ours: 1.0,
            peers: BTreeMap::new(),
            runs: 1,
        };
        assert_eq!(render(&[row]).lines().count(), 2);
    }
}
