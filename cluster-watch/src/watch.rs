//! One kind followed: list, watch, list again when the server has forgotten where we were.

use std::error::Error as _;
use std::fmt::Debug;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use cluster_model::{
    ClusterIndex, EndpointSlice, Node, Pod, PodName, Service, ServiceCidr, ServiceName, SliceName,
};
use futures::StreamExt;
use kube::runtime::watcher as events_of;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;

use crate::contact::{Contact, observed};
use crate::feed::Shared;
use crate::retry::{self, Failure, Retry};
use crate::trim::{self, LeftOut};
use crate::wire::{NodeObject, PodObject, ServiceCidrObject, ServiceObject, SliceObject};

/// A kind that feeds the index: how it is trimmed, and where it goes.
pub(crate) trait Watched:
    kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static
{
    type Model: Send;

    /// What is lost without this kind, if it may be missing: an older API server does not have it,
    /// or an older ClusterRole does not let us read it.
    const LOST_WITHOUT: Option<&'static str> = None;

    fn trim(self, left_out: &mut Vec<LeftOut>) -> Option<Self::Model>;
    fn apply(index: &mut ClusterIndex, model: Self::Model);
    fn delete(index: &mut ClusterIndex, namespace: &str, name: &str);
    fn replace(index: &mut ClusterIndex, models: Vec<Self::Model>);
}

/// Feeds the index with the objects of one kind, for ever.
pub(crate) async fn follow<K: Watched>(
    client: Client,
    selector: Option<&'static str>,
    shared: Arc<Shared>,
) {
    let kind = K::plural(&());
    let contact = shared.contact(&kind);
    let api = Api::<K>::all(observed(&client, contact.clone()));
    let config = watcher::Config {
        label_selector: selector.map(str::to_owned),
        ..watcher::Config::default()
    };
    let mut intake = Intake {
        shared,
        listed: Vec::new(),
        synced: false,
    };
    let mut retry = Retry::new();
    let mut failed_at = None;
    loop {
        // Begins with a list.
        let mut events = pin!(events_of(api.clone(), config.clone()));
        while let Some(event) = events.next().await {
            let error = match event {
                Ok(event) => {
                    intake.take(event);
                    continue;
                }
                Err(error) => error,
            };
            if let Some(lost) = K::LOST_WITHOUT.filter(|_| is_missing(&error)) {
                intake.do_without(lost, &error);
                tokio::time::sleep(retry::of_missing(fastrand::f64())).await;
                break;
            }
            let failure = judge(&error, &contact, failed_at);
            failed_at = Some(Instant::now());
            let pause = retry.pause(failure, fastrand::f64());
            tracing::warn!(%kind, error = said(&error), retry_in = ?pause, "watch interrupted");
            tokio::time::sleep(pause).await;
            if failure == Failure::Gone {
                break;
            }
        }
    }
}

/// What an error means for the next try.
///
/// "Gone" comes as the answer to a watch or to a page of a list, or as an event in a watch that
/// had started, which is how a server that was started anew says it. kube lists again by itself
/// only in the last case.
fn judge(error: &watcher::Error, contact: &Contact, failed_at: Option<Instant>) -> Failure {
    let gone = match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == 410,
        _ => false,
    };
    if gone {
        return Failure::Gone;
    }
    let since = |at: Instant| contact.age().is_some_and(|age| age < at.elapsed());
    Failure::Other {
        heard_since: failed_at.is_none_or(since),
    }
}

/// Whether the server has no such kind, or keeps it from us.
fn is_missing(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::InitialListFailed(kube::Error::Api(status))
            if matches!(status.code, 403 | 404)
    )
}

/// The error with its causes: kube's own words stop at "client error (Connect)".
fn said(error: &watcher::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Where the events of one kind arrive.
struct Intake<K: Watched> {
    shared: Arc<Shared>,
    /// What a list has brought so far. It replaces the index's objects at once and at its end,
    /// so that a list that breaks off takes nothing away.
    listed: Vec<K::Model>,
    synced: bool,
}

impl<K: Watched> Intake<K> {
    fn take(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => self.listed.extend(trimmed(object)),
            Event::InitDone => self.list_done(),
            Event::Apply(object) => {
                let (namespace, name) = full_name(&object);
                match trimmed(object) {
                    Some(model) => self.shared.update(|index| K::apply(index, model)),
                    // No longer for us, or no longer usable: the next list would drop it too.
                    None => self
                        .shared
                        .update(|index| K::delete(index, &namespace, &name)),
                }
            }
            Event::Delete(object) => {
                let (namespace, name) = full_name(&object);
                self.shared
                    .update(|index| K::delete(index, &namespace, &name));
            }
        }
    }

    /// Goes on without a kind that is missing, as with one of which there is nothing.
    fn do_without(&mut self, lost: &str, error: &watcher::Error) {
        if !self.synced {
            tracing::info!(kind = %K::plural(&()), error = said(error), "done without: {lost}");
        }
        self.listed.clear();
        self.shared.missing(&K::plural(&()));
        self.list_done();
    }

    fn list_done(&mut self) {
        let listed = mem::take(&mut self.listed);
        tracing::debug!(kind = %K::plural(&()), objects = listed.len(), "listed");
        self.shared.update(|index| K::replace(index, listed));
        if !mem::replace(&mut self.synced, true) {
            self.shared.kind_synced();
        }
    }
}

fn full_name<K: Watched>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The object's model, after naming in the log what was left out of it.
fn trimmed<K: Watched>(object: K) -> Option<K::Model> {
    let (namespace, name) = full_name(&object);
    let mut left_out = Vec::new();
    let model = object.trim(&mut left_out);
    for what in left_out {
        tracing::warn!(kind = %K::kind(&()), %namespace, %name, %what, "left out");
    }
    model
}

impl Watched for ServiceObject {
    type Model = Service;

    fn trim(self, left_out: &mut Vec<LeftOut>) -> Option<Service> {
        trim::service(self, left_out)
    }
    fn apply(index: &mut ClusterIndex, model: Service) {
        index.apply_service(model);
    }
    fn delete(index: &mut ClusterIndex, namespace: &str, name: &str) {
        index.delete_service(&ServiceName::new(namespace, name));
    }
    fn replace(index: &mut ClusterIndex, models: Vec<Service>) {
        index.replace_services(models);
    }
}

impl Watched for SliceObject {
    type Model = EndpointSlice;

    fn trim(self, left_out: &mut Vec<LeftOut>) -> Option<EndpointSlice> {
        trim::slice(self, left_out)
    }
    fn apply(index: &mut ClusterIndex, model: EndpointSlice) {
        index.apply_slice(model);
    }
    fn delete(index: &mut ClusterIndex, namespace: &str, name: &str) {
        index.delete_slice(&SliceName::new(namespace, name));
    }
    fn replace(index: &mut ClusterIndex, models: Vec<EndpointSlice>) {
        index.replace_slices(models);
    }
}

impl Watched for NodeObject {
    type Model = Node;

    fn trim(self, left_out: &mut Vec<LeftOut>) -> Option<Node> {
        trim::node(self, left_out)
    }
    fn apply(index: &mut ClusterIndex, model: Node) {
        index.apply_node(model);
    }
    fn delete(index: &mut ClusterIndex, _namespace: &str, name: &str) {
        index.delete_node(name);
    }
    fn replace(index: &mut ClusterIndex, models: Vec<Node>) {
        index.replace_nodes(models);
    }
}

impl Watched for ServiceCidrObject {
    type Model = ServiceCidr;

    const LOST_WITHOUT: Option<&'static str> = Some(
        "cluster IPs that no Service has are not refused, unless --service-cidr says which they are",
    );

    fn trim(self, left_out: &mut Vec<LeftOut>) -> Option<ServiceCidr> {
        trim::service_cidr(self, left_out)
    }
    fn apply(index: &mut ClusterIndex, model: ServiceCidr) {
        index.apply_service_cidr(model);
    }
    fn delete(index: &mut ClusterIndex, _namespace: &str, name: &str) {
        index.delete_service_cidr(name);
    }
    fn replace(index: &mut ClusterIndex, models: Vec<ServiceCidr>) {
        index.replace_service_cidrs(models);
    }
}

impl Watched for PodObject {
    type Model = Pod;

    fn trim(self, left_out: &mut Vec<LeftOut>) -> Option<Pod> {
        trim::pod(self, left_out)
    }
    fn apply(index: &mut ClusterIndex, model: Pod) {
        index.apply_pod(model);
    }
    fn delete(index: &mut ClusterIndex, namespace: &str, name: &str) {
        index.delete_pod(&PodName::new(namespace, name));
    }
    fn replace(index: &mut ClusterIndex, models: Vec<Pod>) {
        index.replace_pods(models);
    }
}
