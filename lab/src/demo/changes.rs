//! The steps that change something while requests are made, and find that nobody noticed.

use std::collections::BTreeSet;
use std::slice::from_ref;
use std::thread::sleep;
use std::time::Duration;

use super::answers::Summary;
use super::check::{PATIENCE, URL, ask, check, frontend, names};
use super::request_loop::RequestLoop;
use super::say;
use crate::error::LabError;
use crate::handle::{Lab, RunningPod};
use crate::store::Kind;

/// How long the loop runs before and after a change, so that both sides of it are seen.
const MARGIN: Duration = Duration::from_secs(1);

pub(super) fn scaling_is_not_noticed(lab: &Lab) -> Result<(), LabError> {
    let frontend = frontend(lab)?;
    let requests = RequestLoop::start(lab, &frontend.name, URL)?;
    say(format_args!(
        "100 requests a second from {} begin",
        frontend.address
    ));
    sleep(MARGIN);
    say("scaling to 5: waiting until five pods are ready");
    lab.scale("backend", 5)?;
    let five = names(lab.wait_pods("backend", 5, PATIENCE)?);
    sleep(MARGIN);
    say("scaling to 2: waiting until three pods have ended");
    lab.scale("backend", 2)?;
    wait_until_gone(lab, &five, 2)?;
    sleep(MARGIN);
    let summary = requests.finish()?;
    tell(&summary);
    check_none_failed(&summary)?;
    let served = five.iter().all(|pod| summary.by_endpoint.contains_key(pod));
    check(served, format!("answers by all of {five:?}"), || {
        format!("{:?}", summary.by_endpoint)
    })
}

pub(super) fn traffic_follows(lab: &Lab) -> Result<(), LabError> {
    let frontend = frontend(lab)?;
    let before = lab.wait_pods("backend", 2, PATIENCE)?;
    let requests = RequestLoop::start(lab, &frontend.name, URL)?;
    sleep(MARGIN);
    let gone = before[0].clone();
    say(format_args!("deleting {} at {}", gone.name, gone.address));
    lab.api().delete(Kind::Pod, "default", &gone.name)?;
    say("waiting until it is replaced and has ended");
    wait_until_gone(lab, from_ref(&gone.name), 0)?;
    let after = lab.wait_pods("backend", 2, PATIENCE)?;
    sleep(MARGIN);
    let summary = requests.finish()?;
    tell(&summary);
    check_none_failed(&summary)?;
    let new: Vec<_> = after
        .into_iter()
        .filter(|pod| !before.contains(pod))
        .collect();
    for RunningPod {
        name,
        address,
        node,
        ..
    } in &new
    {
        say(format_args!("new: {name} {address} on {node}"));
    }
    let answered = ask(lab, &frontend, 50)?;
    let by: BTreeSet<_> = answered.into_iter().map(|answer| answer.pod).collect();
    let follows = !by.contains(&gone.name) && new.iter().all(|pod| by.contains(&pod.name));
    check(follows, format!("answers by {:?}", names(new)), || {
        format!("answers by {by:?}")
    })
}

/// Waits until no more than `left` of `pods` exist at all.
fn wait_until_gone(lab: &Lab, pods: &[String], left: usize) -> Result<(), LabError> {
    lab.wait("the end of the pods", PATIENCE, || {
        let present = lab.api().list(Kind::Pod, "default")?;
        let exists = |name: &&String| present.iter().any(|pod| pod["metadata"]["name"] == **name);
        Ok((pods.iter().filter(exists).count() <= left).then_some(()))
    })
}

fn tell(summary: &Summary) {
    let Summary {
        ok,
        failed,
        slowest_ms,
        ..
    } = summary;
    say(format_args!(
        "{ok} requests answered, {failed} failed, the slowest took {slowest_ms} ms"
    ));
}

fn check_none_failed(summary: &Summary) -> Result<(), LabError> {
    let none = summary.failed == 0 && summary.ok > 0;
    check(none, "not one failed request".to_owned(), || {
        let causes = summary
            .failures
            .iter()
            .map(|f| format!("{} ms: {}", f.at_ms, f.cause));
        format!(
            "{} failed of {}: {}",
            summary.failed,
            summary.ok + summary.failed,
            causes.collect::<Vec<_>>().join("; ")
        )
    })
}
