//! The steps, in the order they are shown. Each shows what it sees, with the addresses in it, and
//! fails by saying what was expected and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::answers;
use super::changes::{scaling_is_not_noticed, traffic_follows};
use super::check::{PATIENCE, URL, ask, check, frontend, names};
use super::say;
use crate::error::LabError;
use crate::handle::{Lab, RunningPod};
use crate::patience::longer;
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

/// Sooner than any time-out: what is refused is answered.
const AT_ONCE: Duration = Duration::from_secs(1);

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
        format!("the cluster IP {cluster_ip}"),
        || seen,
    )?;
    let answer = ask(lab, &frontend, 1)?.remove(0);
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
    for answer in ask(lab, &frontend, 100)? {
        *shares.entry(answer.pod).or_default() += 1;
    }
    for (pod, share) in &shares {
        say(format_args!("{share:3} of 100 by {pod}"));
    }
    // Chance alone leaves one of two with fewer than 20 of 100 less often than once in a thousand
    // million runs.
    let fair = backends
        .iter()
        .all(|pod| shares.get(pod).is_some_and(|share| *share >= 20));
    check(fair, format!("20 or more each by {backends:?}"), || {
        format!("{shares:?}")
    })
}

fn no_translation(lab: &Lab) -> Result<(), LabError> {
    for frontend in lab.wait_pods("frontend", 2, PATIENCE)? {
        let mut shown = BTreeSet::new();
        for answer in ask(lab, &frontend, 20)? {
            let seen = answer.client.ip().to_string();
            let route = format!(
                "{} on {} -> {} on {}: seen as {seen}",
                frontend.address, frontend.node, answer.address, answer.node
            );
            let own = format!("the frontend's own address {}", frontend.address);
            check(seen == frontend.address, own, || route.clone())?;
            if shown.insert(answer.pod) {
                say(route);
            }
        }
    }
    Ok(())
}

fn refused_at_once(lab: &Lab) -> Result<(), LabError> {
    let frontend = frontend(lab)?;
    lab.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: nobody},\n \
         spec: {selector: {app: nobody}, ports: [{port: 80}]}}\n",
    )?;
    // DNS and the agents hear of the Service a moment after it is made.
    let known = || Ok(answers::resolve(lab, &frontend.name, "nobody")?.ok());
    let address = lab.wait("the name nobody", PATIENCE, known)?;
    let ask = || answers::get(lab, &frontend.name, "http://nobody", 1);
    lab.wait("a refusal", PATIENCE, || {
        Ok(ask()?.err().filter(|no| no.words.contains("refused")))
    })?;
    let outcome = ask()?;
    lab.api().delete(Kind::Service, "default", "nobody")?;
    let (words, after) = match outcome {
        Ok(answers) => (format!("an answer: {answers:?}"), Duration::ZERO),
        Err(refusal) => (refusal.words, refusal.after),
    };
    say(format_args!(
        "http://nobody at {address}: {words}, after {} ms",
        after.as_millis()
    ));
    let at_once = longer(AT_ONCE);
    let refused = words.contains("refused") && after < at_once;
    check(refused, format!("refused within {at_once:?}"), || {
        format!("{words} after {after:?}")
    })
}
