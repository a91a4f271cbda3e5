//! How to reach the API server: address, certificates, credentials.
//!
//! Own code never goes through the ClusterIP of the API server (it is what makes ClusterIPs
//! work), so the address can be given and then outranks what the pod environment says.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Longest silence on a connection before it counts as dead. API servers send a bookmark on
/// every watch about once a minute, so that a silent one is a lost one: a node that vanished
/// sends no FIN.
const SILENCE: Duration = Duration::from_secs(150);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig file cannot be read or says nothing usable.
    #[error("kubeconfig {path}: {source}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// The API server's address is no URL.
    #[error("API server address {address:?}: expected a URL such as https://10.0.0.1:6443")]
    Address {
        /// What was given.
        address: String,
    },
    /// Neither an address nor a kubeconfig was given and this is no pod.
    #[error("no API server: give --api-server or --kubeconfig, or run as a pod ({source})")]
    NoServer {
        /// What the pod environment lacks.
        source: Box<InClusterError>,
    },
    /// The credentials or certificates do not make a client.
    #[error("API server client: {source}")]
    Client {
        /// What is wrong with them.
        source: Box<kube::Error>,
    },
}

/// A client of the API server.
///
/// `kubeconfig` gives address and credentials; without it a pod's own service account does.
/// `api_server` overrides the address of either and stands alone where there are no credentials.
/// Nothing is sent yet: a server that is away is no error here.
pub async fn client(
    api_server: Option<&str>,
    kubeconfig: Option<&Path>,
) -> Result<Client, ConnectError> {
    let address = api_server.map(parse_address).transpose()?;
    let found = match kubeconfig {
        Some(path) => from_file(path).await?,
        None => from_pod(address.clone())?,
    };
    let config = finished(found, address);
    tracing::debug!(server = %config.cluster_url, "API server");
    Client::try_from(config).map_err(|source| ConnectError::Client {
        source: source.into(),
    })
}

fn parse_address(address: &str) -> Result<Uri, ConnectError> {
    let wrong = || ConnectError::Address {
        address: address.to_owned(),
    };
    let uri: Uri = address.parse().map_err(|_| wrong())?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| ["http", "https"].contains(scheme));
    // `localhost:6443` is a valid URI of the scheme `localhost`, and `10.0.0.1:6443` of none.
    scheme.ok_or_else(wrong)?;
    Ok(uri)
}

async fn from_file(path: &Path) -> Result<Config, ConnectError> {
    let wrong = |source: KubeconfigError| ConnectError::Kubeconfig {
        path: path.to_owned(),
        source: source.into(),
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
    let options = KubeConfigOptions::default();
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(wrong)
}

/// The pod's own credentials, or none where there are none but an address was given.
fn from_pod(address: Option<Uri>) -> Result<Config, ConnectError> {
    match (Config::incluster_env(), address) {
        (Ok(config), _) => Ok(config),
        (Err(error), Some(address)) => {
            if !is_absent(&error) {
                tracing::warn!(%error, "service account unusable, going on without");
            }
            Ok(Config::new(address))
        }
        (Err(source), None) => Err(ConnectError::NoServer {
            source: source.into(),
        }),
    }
}

/// Whether there is simply no service account here, as outside a pod.
fn is_absent(error: &InClusterError) -> bool {
    match error {
        InClusterError::ReadEnvironmentVariable(_) => true,
        InClusterError::ReadDefaultNamespace(error)
        | InClusterError::ReadCertificateBundle(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn finished(mut config: Config, address: Option<Uri>) -> Config {
    if let Some(address) = address {
        config.cluster_url = address;
    }
    if config.cluster_url.scheme_str() == Some("http") && config.root_cert.is_none() {
        // Else kube loads the machine's trust store, which a small image does not have, for a
        // connection that has no use for it.
        config.root_cert = Some(Vec::new());
    }
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config
}
