//! The steps, in the order they are shown. Each shows what it sees, with the addresses in it, and
//! fails by saying what was expected and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

use super::answers::{self, Answer, Summary};
use super::request_loop::RequestLoop;
use super::say;
use crate::error::LabError;
use crate::handle::{Lab, RunningPod};
use crate::store::Kind;

/// A step: its title and what it does.
type Step = (&'static str, fn(&Lab) -> Result<(), LabError>);

/// All of them.
pub(super) const ALL: [Step; 7] = [
    ("Pods run on three nodes", pods_run),
    (
        "The frontend reaches http://backend by name",
        reached_by_name,
    ),
    ("Requests spread over the endpoints", requests_spread),
    (
        "The backend sees the frontend pod's own address",
        no_translation,
    ),
    (
        "Scaling 2 -> 5 -> 2 under a request loop fails no request",
        scaling_is_not_noticed,
    ),
    (
        "A pod is deleted and replaced, and traffic follows",
        traffic_follows,
    ),
    (
        "A Service without endpoints refuses at once",
        refused_at_once,
    ),
];

const URL: &str = "http://backend";
const PATIENCE: Duration = Duration::from_secs(30);
/// Sooner than any time-out: what is refused is answered.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long the loop runs before and after a change, so that both sides of it are seen.
const MARGIN: Duration = Duration::from_secs(1);

fn pods_run(lab: &Lab) -> Result<(), LabError> {
    say("waiting until two backend and two frontend pods are ready");
    let mut pods = lab.wait_pods("backend", 2, PATIENCE)?;
    pods.extend(lab.wait_pods("frontend", 2, PATIENCE)?);
    for RunningPod {
        name,
        address,
        node,
        ..
    } in &pods
    {
        say(format_args!("{name:32} {address:12} {node}"));
    }
    let nodes: BTreeSet<_> = pods.iter().map(|pod| pod.node.as_str()).collect();
    let wanted = lab.nodes().len().min(3);
    check(
        nodes.len() >= wanted,
        "pods_run",
        format!("pods on {wanted} nodes"),
        || format!("pods on {nodes:?}"),
    )
}

fn reached_by_name(lab: &Lab) -> Result<(), LabError> {
    let frontend = frontend(lab)?;
    let service = lab
        .api()
        .find(Kind::Service, "default", "backend")?
        .unwrap_or_default();
    let cluster_ip = service["spec"]["clusterIP"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let resolved = answers::resolve(lab, &frontend.name, "backend")?;
    let seen = resolved
        .as_ref()
        .map_or_else(Clone::clone, ToString::to_string);
    say(format_args!(
        "{}: the name backend is {seen}",
        frontend.name
    ));
    check(
        seen == cluster_ip,
        "reached_by_name",
        format!("the cluster IP {cluster_ip}"),
        || seen,
    )?;
    let answer = ask(lab, "reached_by_name", &frontend, 1)?.remove(0);
    say(format_args!(
        "{URL} answers: {} at {} on {}",
        answer.pod, answer.address, answer.node
    ));
    Ok(())
}

fn requests_spread(lab: &Lab) -> Result<(), LabError> {
    let frontend = frontend(lab)?;
    let backends = names(lab.wait_pods("backend", 2, PATIENCE)?);
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for answer in ask(lab, "requests_spread", &frontend, 100)? {
        *shares.entry(answer.pod).or_default() += 1;
    }
    for (pod, share) in &shares {
        say(format_args!("{share:3} of 100 by {pod}"));
    }
    // Chance alone leaves one of two with fewer than 20 of 100 less than once in a thousand million runs.
    let fair = backends
        .iter()
        .all(|pod| shares.get(pod).is_some_and(|share| *share >= 20));
    check(
        fair,
        "requests_spread",
        format!("20 or more each by {backends:?}"),
        || format!("{shares:?}"),
    )
}

fn no_translation(lab: &Lab) -> Result<(), LabError> {
    for frontend in lab.wait_pods("frontend", 2, PATIENCE)? {
        let mut shown = BTreeSet::new();
        for answer in ask(lab, "no_translation", &frontend, 20)? {
            let seen = answer.client.ip().to_string();
            let route = format!(
                "{} on {} -> {} on {}: seen as {seen}",
                frontend.address, frontend.node, answer.address, answer.node
            );
            let own = format!("the frontend's own address {}", frontend.address);
            check(seen == frontend.address, "no_translation", own, || {
                route.clone()
            })?;
            if shown.insert(answer.pod) {
                say(route);
            }
        }
    }
    Ok(())
}

fn scaling_is_not_noticed(lab: &Lab) -> Result<(), LabError> {
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
    check_none_failed("scaling_is_not_noticed", &summary)?;
    let served = five.iter().all(|pod| summary.by_endpoint.contains_key(pod));
    check(
        served,
        "scaling_is_not_noticed",
        format!("answers by all of {five:?}"),
        || format!("{:?}", summary.by_endpoint),
    )
}

fn traffic_follows(lab: &Lab) -> Result<(), LabError> {
    let frontend = frontend(lab)?;
    let before = lab.wait_pods("backend", 2, PATIENCE)?;
    let requests = RequestLoop::start(lab, &frontend.name, URL)?;
    sleep(MARGIN);
    let gone = before[0].clone();
    say(format_args!("deleting {} at {}", gone.name, gone.address));
    lab.api().delete(Kind::Pod, "default", &gone.name)?;
    say("waiting until it is replaced and has ended");
    wait_until_gone(lab, std::slice::from_ref(&gone.name), 0)?;
    let after = lab.wait_pods("backend", 2, PATIENCE)?;
    sleep(MARGIN);
    let summary = requests.finish()?;
    tell(&summary);
    check_none_failed("traffic_follows", &summary)?;
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
    let answered = ask(lab, "traffic_follows", &frontend, 50)?;
    let by: BTreeSet<_> = answered.into_iter().map(|answer| answer.pod).collect();
    let follows = !by.contains(&gone.name) && new.iter().all(|pod| by.contains(&pod.name));
    check(
        follows,
        "traffic_follows",
        format!("answers by {:?}", names(new)),
        || format!("answers by {by:?}"),
    )
}

fn refused_at_once(lab: &Lab) -> Result<(), LabError> {
    let frontend = frontend(lab)?;
    lab.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: nobody},\n \
         spec: {selector: {app: nobody}, ports: [{port: 80}]}}\n",
    )?;
    // Until the name is known, the failure would be another one.
    let known = || Ok(answers::resolve(lab, &frontend.name, "nobody")?.ok());
    let address = lab.wait("the name nobody", PATIENCE, known)?;
    let outcome = answers::get(lab, &frontend.name, "http://nobody", 1)?;
    lab.api().delete(Kind::Service, "default", "nobody")?;
    let (words, after) = match outcome {
        Ok(answers) => (format!("an answer: {answers:?}"), Duration::ZERO),
        Err(refusal) => (refusal.words, refusal.after),
    };
    say(format_args!(
        "http://nobody at {address}: {words}, after {} ms",
        after.as_millis()
    ));
    let refused = words.contains("refused") && after < AT_ONCE;
    check(
        refused,
        "refused_at_once",
        format!("refused within {AT_ONCE:?}"),
        || format!("{words} after {after:?}"),
    )
}

fn frontend(lab: &Lab) -> Result<RunningPod, LabError> {
    Ok(lab.wait_pods("frontend", 2, PATIENCE)?.remove(0))
}

fn names(pods: Vec<RunningPod>) -> Vec<String> {
    pods.into_iter().map(|pod| pod.name).collect()
}

/// Asks the backend from `pod`; every question must be answered.
fn ask(lab: &Lab, step: &str, pod: &RunningPod, count: u32) -> Result<Vec<Answer>, LabError> {
    answers::get(lab, &pod.name, URL, count)?.map_err(|refusal| LabError::Step {
        step: step.to_owned(),
        expected: format!("{count} answers of {URL}"),
        seen: refusal.words,
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

fn check_none_failed(step: &str, summary: &Summary) -> Result<(), LabError> {
    let none = summary.failed == 0 && summary.ok > 0;
    check(none, step, "not one failed request".to_owned(), || {
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

fn check(
    holds: bool,
    step: &str,
    expected: String,
    seen: impl FnOnce() -> String,
) -> Result<(), LabError> {
    if holds {
        return Ok(());
    }
    Err(LabError::Step {
        step: step.to_owned(),
        expected,
        seen: seen(),
    })
}
