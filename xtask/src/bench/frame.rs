//! The frame of every bench: ours and each peer measured in turn, round after round, and the
//! median of each taken.
//!
//! A machine warms up, throttles and has neighbours. Measured one after the other, two contenders
//! see two different machines; measured in turn they see the same one, and the ratio of their
//! medians says something about them. Pure: what a contender measures is a closure, so the
//! frame is tested with a made-up clock.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::Serialize;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    /// Less is better: a latency.
    Lower,
    /// More is better: a rate.
    Higher,
}

/// One thing a measurement yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
}

/// Measures once; unless said otherwise, one value for each metric of the case, in their order.
pub(super) type Measure<'a, T = Vec<f64>> = Box<dyn FnMut() -> anyhow::Result<T> + 'a>;

/// Who is measured, by name.
pub(super) type Contender<'a, T = Vec<f64>> = (String, Measure<'a, T>);

/// One situation in which flatnet is compared with its peers.
pub(super) struct Case<'a> {
    pub(super) name: String,
    pub(super) metrics: &'static [Metric],
    pub(super) ours: Measure<'a>,
    pub(super) peers: Vec<Contender<'a>>,
}

/// One line of the result: the medians of one metric in one case.
///
/// The field names are the format of `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) bench: String,
    pub(super) case: String,
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) better: Better,
    pub(super) ours: f64,
    pub(super) peers: BTreeMap<String, f64>,
    /// How many measurements each median is taken over.
    pub(super) runs: usize,
}

/// What flatnet is called among the contenders.
const OURS: &str = "ours";

/// Measures a case and takes the medians.
///
/// # Errors
/// When a measurement fails or yields another number of values than the case has metrics.
pub(super) fn measure(bench: &str, case: Case<'_>, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let Case {
        name,
        metrics,
        ours,
        peers,
    } = case;
    let contenders = std::iter::once((OURS.to_owned(), ours)).chain(peers);
    let contenders = contenders.map(|(contender, measure)| {
        let checked = checked(name.clone(), contender.clone(), metrics.len(), measure);
        (contender, checked)
    });
    let mut samples = alternate(&name, contenders.collect(), rounds)?.into_iter();
    let (_, ours) = samples.next().context("nobody was measured")?;
    let peers: Vec<_> = samples.collect();
    let row = |(index, metric): (usize, &Metric)| Row {
        bench: bench.to_owned(),
        case: name.clone(),
        metric: metric.name.to_owned(),
        unit: metric.unit.to_owned(),
        better: metric.better,
        ours: median(&ours, index),
        peers: peers
            .iter()
            .map(|(peer, samples)| (peer.clone(), median(samples, index)))
            .collect(),
        runs: rounds,
    };
    Ok(metrics.iter().enumerate().map(row).collect())
}

fn checked(
    case: String,
    contender: String,
    metrics: usize,
    mut measure: Measure<'_>,
) -> Measure<'_> {
    Box::new(move || {
        let values = measure()?;
        ensure!(
            values.len() == metrics,
            "{case}: {contender} yields {} values for {metrics} metrics",
            values.len(),
        );
        Ok(values)
    })
}

/// Measures the contenders in turn: a round to warm up, of which nothing is kept, then `rounds`
/// that count. In every round each is measured once, by turns in the order given and in the
/// opposite one: whoever always came after the one most like it would find the caches warm.
/// Returns what each yielded.
///
/// # Errors
/// When a measurement fails.
pub(super) fn alternate<T>(
    case: &str,
    mut contenders: Vec<Contender<'_, T>>,
    rounds: usize,
) -> anyhow::Result<Vec<(String, Vec<T>)>> {
    ensure!(rounds > 0, "a median needs at least one round");
    let mut kept: Vec<Vec<T>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let (name, measure) = &mut contenders[index];
            let value = measure().with_context(|| format!("{case}: cannot measure {name}"))?;
            kept[index].extend((round > 0).then_some(value));
        }
    }
    let names = contenders.into_iter().map(|(name, _)| name);
    Ok(names.zip(kept).collect())
}

/// The median of metric number `index` over all samples; of an even number, the mean of the two
/// in the middle.
fn median(samples: &[Vec<f64>], index: usize) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(|sample| sample[index]).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    const METRICS: &[Metric] = &[
        Metric {
            name: "rate",
            unit: "1/s",
            better: Better::Higher,
        },
        Metric {
            name: "p50",
            unit: "us",
            better: Better::Lower,
        },
    ];

    fn case<'a>(ours: Measure<'a>, peers: Vec<(&str, Measure<'a>)>) -> Case<'a> {
        let peers = peers
            .into_iter()
            .map(|(name, measure)| (name.to_owned(), measure))
            .collect();
        Case {
            name: "same-node".to_owned(),
            metrics: METRICS,
            ours,
            peers,
        }
    }

    #[test]
    fn contenders_take_turns() {
        let order = RefCell::new(String::new());
        let note = |name: char| -> Measure<'_> {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(vec![1.0, 1.0])
            })
        };
        let rows = measure(
            "b",
            case(note('A'), vec![("b", note('B')), ("c", note('C'))]),
            3,
        )
        .expect("nothing fails");
        assert_eq!(
            *order.borrow(),
            "ABCCBAABCCBA",
            "one round to warm up, three that count"
        );
        assert!(rows.iter().all(|row| row.runs == 3));
    }

    #[test]
    fn drift_of_the_machine_cancels_out() {
        // A clock that makes everything 10 % slower with each measurement, whoever it is.
        let now = Cell::new(0.0);
        let contender = |cost: f64| -> Measure<'_> {
            let now = &now;
            Box::new(move || {
                now.set(now.get() + 1.0);
                let slowed = cost * (1.0 + 0.1 * now.get());
                Ok(vec![1.0 / slowed, slowed])
            })
        };
        let rows = measure(
            "b",
            case(contender(100.0), vec![("direct", contender(100.0))]),
            21,
        )
        .expect("ok");
        let ratio = rows[1].ours / rows[1].peers["direct"];
        assert!((0.95..1.05).contains(&ratio), "{ratio}");
    }

    #[test]
    fn the_warm_up_does_not_count_and_medians_ignore_outliers() {
        let values = RefCell::new(vec![1000.0, 1.0, 900.0, 3.0, 2.0, 4.0].into_iter());
        let ours: Measure<'_> = Box::new(|| {
            values
                .borrow_mut()
                .next()
                .map(|v| vec![v, v])
                .context("used up")
        });
        let rows = measure("b", case(ours, vec![]), 5).expect("six values");
        assert_eq!(rows[0].ours.to_bits(), 3.0_f64.to_bits());
    }

    #[test]
    fn an_even_number_of_rounds_has_a_median_too() {
        let samples = vec![vec![4.0], vec![1.0], vec![2.0], vec![100.0]];
        assert_eq!(median(&samples, 0).to_bits(), 3.0_f64.to_bits());
    }

    #[test]
    fn a_failing_measurement_names_case_and_contender() {
        let fails: Measure<'_> = Box::new(|| anyhow::bail!("refused"));
        let fine: Measure<'_> = Box::new(|| Ok(vec![1.0, 1.0]));
        let error = measure("b", case(fine, vec![("direct", fails)]), 1).expect_err("it failed");
        assert_eq!(
            format!("{error:#}"),
            "same-node: cannot measure direct: refused"
        );
        let short: Measure<'_> = Box::new(|| Ok(vec![1.0]));
        assert!(measure("b", case(short, vec![]), 1).is_err());
        let fine: Measure<'_> = Box::new(|| Ok(vec![1.0, 1.0]));
        assert!(measure("b", case(fine, vec![]), 0).is_err());
    }

    #[test]
    fn the_json_of_a_row_is_exactly_the_agreed_one() {
        let row = Row {
            bench: "connect".to_owned(),
            case: "same-node".to_owned(),
            metric: "p50".to_owned(),
            unit: "us".to_owned(),
            better: Better::Lower,
            ours: 42.5,
            peers: BTreeMap::from([("direct".to_owned(), 40.0)]),
            runs: 5,
        };
        assert_eq!(
            serde_json::to_string(&row).expect("a row is JSON"),
            r#"{"bench":"connect","case":"same-node","metric":"p50","unit":"us","better":"lower","ours":42.5,"peers":{"direct":40.0},"runs":5}"#
        );
    }
}
