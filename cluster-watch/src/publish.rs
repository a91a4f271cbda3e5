//! Notices as Events of the API server (events.k8s.io/v1), where `kubectl get events` and
//! `kubectl describe` show them.

use std::time::Duration;

use cluster_model::{About, Notice};
use k8s_openapi::api::core::v1::{ObjectReference, Service};
use kube::api::ListParams;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use tokio::time::timeout;

/// For an Event to be taken; what takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// A notice did not become an Event.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The API server refused, or cannot be reached.
    #[error("the API server takes no Event: {0}")]
    Refused(Box<kube::Error>),
    /// It did not answer.
    #[error("the API server takes no Event within {PATIENCE:?}")]
    Late,
}

/// Writes Events in the name of one program on one node. What is told again within some minutes
/// is counted in the Event that is there.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    recorder: Recorder,
}

impl Publisher {
    /// One for `program` (`flatnet-agent`) on `node`.
    #[must_use]
    pub fn new(client: Client, program: &str, node: &str) -> Self {
        let reporter = Reporter {
            controller: program.to_owned(),
            instance: Some(node.to_owned()),
        };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder }
    }

    /// Writes one. A notice about a Service that is gone is no longer one.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, notice: &Notice) -> Result<(), PublishError> {
        let write = async {
            let Some(regarding) = self.reference(&notice.about).await? else {
                return Ok(());
            };
            let event = Event {
                type_: EventType::Warning,
                reason: notice.reason.to_owned(),
                note: Some(notice.note.clone()),
                action: notice.action.to_owned(),
                secondary: None,
            };
            self.recorder.publish(&event, &regarding).await
        };
        match timeout(PATIENCE, write).await {
            Ok(written) => written.map_err(|error| PublishError::Refused(Box::new(error))),
            Err(_elapsed) => Err(PublishError::Late),
        }
    }

    /// How an Event names the object: `kubectl describe` finds it by its UID.
    async fn reference(&self, about: &About) -> Result<Option<ObjectReference>, kube::Error> {
        let reference = match about {
            About::Node(name) => ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Node".to_owned()),
                name: Some(name.to_string()),
                // As kubelets do, and `kubectl describe node` asks.
                uid: Some(name.to_string()),
                ..ObjectReference::default()
            },
            About::Service(name) => {
                // The right to list is there already.
                let only = ListParams::default().fields(&format!("metadata.name={}", name.name));
                let services = Api::<Service>::namespaced(self.client.clone(), &name.namespace);
                let Some(found) = services.list_metadata(&only).await?.items.pop() else {
                    return Ok(None);
                };
                ObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Service".to_owned()),
                    namespace: Some(name.namespace.to_string()),
                    name: Some(name.name.to_string()),
                    uid: found.metadata.uid,
                    ..ObjectReference::default()
                }
            }
        };
        Ok(Some(reference))
    }
}
