//! What only the API server knows: which addresses a pod or Deployment has, and what a Service
//! selects. Optional: addresses can be given instead of names.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use cluster_watch::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::CliError;

/// How to reach the API server.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// URL of the API server.
    #[arg(long, env = "FLATNET_API_SERVER")]
    api_server: Option<String>,
    /// A kubeconfig file.
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
}

/// A list of objects.
#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

/// A pod, as far as it is read here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) metadata: Meta,
    pub(crate) spec: PodSpec,
    pub(crate) status: PodStatus,
}

/// Names and labels.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: std::collections::BTreeMap<String, String>,
    pub(crate) deletion_timestamp: Option<String>,
}

/// Where it runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) node_name: String,
    pub(crate) host_network: bool,
}

/// Its addresses, and whether it is ready.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodStatus {
    #[serde(rename = "podIPs")]
    pub(crate) pod_ips: Vec<PodIp>,
    pub(crate) phase: String,
    pub(crate) conditions: Vec<Condition>,
}

/// An address.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PodIp {
    pub(crate) ip: IpAddr,
}

/// A condition of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) message: String,
}

/// Objects with labels that select pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Selecting {
    pub(crate) spec: SelectingSpec,
}

/// A Service has plain labels, a Deployment has them one level below.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SelectingSpec {
    pub(crate) selector: serde_json::Value,
}

impl Pod {
    /// Its addresses.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.status.pod_ips.iter().map(|one| one.ip).collect()
    }

    /// Whether it is ready and stays.
    pub(crate) fn is_ready(&self) -> bool {
        let ready = |one: &Condition| one.kind == "Ready" && one.status == "True";
        self.metadata.deletion_timestamp.is_none() && self.status.conditions.iter().any(ready)
    }
}

impl Server {
    /// A client, if anything says where the API server is.
    pub(crate) async fn client(&self) -> Option<Client> {
        let kubeconfig = self.kubeconfig.clone().or_else(|| {
            let home = PathBuf::from(std::env::var_os("HOME")?).join(".kube/config");
            (self.api_server.is_none() && home.exists()).then_some(home)
        });
        cluster_watch::client(self.api_server.as_deref(), kubeconfig.as_deref())
            .await
            .ok()
    }
}

/// Every pod of the cluster that has not ended.
///
/// # Errors
/// [`CliError`].
pub(crate) async fn pods(client: &Client) -> Result<Vec<Pod>, CliError> {
    let List { items } = get::<List<Pod>>(client, "/api/v1/pods").await?;
    let lives = |pod: &Pod| !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
    Ok(items.into_iter().filter(lives).collect())
}

/// The labels that a Deployment or Service selects pods by; empty if it selects none.
///
/// # Errors
/// [`CliError`], also if there is no such object.
pub(crate) async fn selector(
    client: &Client,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<Vec<(String, String)>, CliError> {
    let path = match kind {
        "deploy" => format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"),
        _ => format!("/api/v1/namespaces/{namespace}/services/{name}"),
    };
    let found = get::<Selecting>(client, &path).await?.spec.selector;
    let labels = found.get("matchLabels").unwrap_or(&found);
    let pairs = labels.as_object().into_iter().flatten();
    let pair = |(key, value): (&String, &serde_json::Value)| {
        let value = value.as_str()?;
        Some((key.clone(), value.to_owned()))
    };
    Ok(pairs.filter_map(pair).collect())
}

/// Whether a pod has all of these labels.
pub(crate) fn selects(selector: &[(String, String)], pod: &Pod) -> bool {
    let labels = &pod.metadata.labels;
    !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, CliError> {
    let failed = |reason: String| CliError::NotFound(format!("the API server: {path}: {reason}"));
    let request = http::Request::get(path).body(Vec::new());
    let request = request.map_err(|error| failed(error.to_string()))?;
    client
        .request(request)
        .await
        .map_err(|error| failed(error.to_string()))
}
