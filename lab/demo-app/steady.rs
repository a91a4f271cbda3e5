//! A steady loop of questions, and what became of them: the witness of every change that must
//! not be noticed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::answer::Answer;
use crate::http::Url;

/// How fast and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) interval: Duration,
    pub(crate) duration: Option<Duration>,
    pub(crate) timeout: Duration,
}

/// What is printed in the end. Times are milliseconds since the loop began.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Summary {
    ok: u64,
    failed: u64,
    /// Answers by the pod that gave them.
    by_endpoint: BTreeMap<String, u64>,
    /// Client addresses the servers saw.
    seen_as: BTreeMap<String, u64>,
    failures: Vec<Failure>,
    slowest_ms: u64,
    milliseconds: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Failure {
    at_ms: u64,
    cause: String,
}

/// One question: when it was asked, how long it took, what came of it.
type Outcome = (Duration, Duration, anyhow::Result<Answer>);

impl Summary {
    /// Causes are kept for the first failures only: a summary stays one readable line.
    const MOST_CAUSES: usize = 20;

    fn count(&mut self, (at, took, outcome): Outcome) {
        self.slowest_ms = self.slowest_ms.max(whole_ms(took));
        match outcome {
            Ok(answer) => {
                self.ok += 1;
                *self.by_endpoint.entry(answer.pod).or_default() += 1;
                *self
                    .seen_as
                    .entry(answer.client.ip().to_string())
                    .or_default() += 1;
            }
            Err(error) => {
                self.failed += 1;
                if self.failures.len() < Self::MOST_CAUSES {
                    self.failures.push(Failure {
                        at_ms: whole_ms(at),
                        cause: format!("{error:#}"),
                    });
                }
            }
        }
    }
}

/// Runs until its time is over or a signal ends it; whether nothing failed.
pub(crate) async fn run(url: &Url, pace: Pace) -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let began = Instant::now();
    let mut ticks = interval(pace.interval);
    // A slow machine must not be followed by a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asking = JoinSet::new();
    let mut summary = Summary::default();
    let over = async {
        match pace.duration {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                asking.spawn(ask(url.clone(), began, pace.timeout));
            }
            Some(Ok(outcome)) = asking.join_next() => summary.count(outcome),
            () = &mut over => break,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    while let Some(outcome) = asking.join_next().await {
        summary.count(outcome?);
    }
    summary.milliseconds = whole_ms(began.elapsed());
    println!("{}", serde_json::to_string(&summary)?);
    Ok(summary.failed == 0)
}

async fn ask(url: Url, began: Instant, timeout: Duration) -> Outcome {
    let asked = Instant::now();
    let outcome = url.ask(timeout).await;
    (asked - began, asked.elapsed(), outcome)
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_answers_and_names_failures() {
        let ms = Duration::from_millis;
        let answer = |pod: &str| Answer {
            pod: pod.into(),
            address: String::new(),
            node: String::new(),
            client: ([10, 244, 1, 2], 1).into(),
        };
        let mut summary = Summary::default();
        summary.count((ms(1), ms(2), Ok(answer("a"))));
        summary.count((ms(2), ms(9), Ok(answer("b"))));
        summary.count((
            ms(3),
            ms(4),
            Err(anyhow::anyhow!("refused").context("connect")),
        ));
        summary.count((ms(4), ms(1), Ok(answer("a"))));
        assert_eq!((summary.ok, summary.failed, summary.slowest_ms), (3, 1, 9));
        assert_eq!(summary.by_endpoint["a"], 2);
        assert_eq!(
            summary.failures,
            [Failure {
                at_ms: 3,
                cause: "connect: refused".into()
            }]
        );
    }
}
