//! The agent's life: wait for the first whole view of the cluster, one full pass, then a pass for
//! each change, an audit from time to time, and another full pass where one is called for. It ends
//! on SIGTERM and leaves everything in place.

mod audits;
mod flows;
mod keeper;
mod notices;

use std::sync::Arc;
use std::time::Duration;

use cluster_model::{Dirty, Here};
use cluster_watch::{Client, ConnectError, Feed, Selection};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::args::Options;
use crate::kernel::events::Events;
use crate::kernel::routes::Netlink;
use crate::local::Local;
use crate::pass::{Node, PassError, Wish};
use crate::serve::Serve;
use audits::Audits;
use flows::{Pending, Sweeper};
use keeper::{Keeper, Scope};
use notices::Notices;

/// First pause after a failed pass; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// How often a start that cannot go on says so.
const REMIND: Duration = Duration::from_secs(10);
/// How long [`diff`] waits for the API server.
const DIFF_PATIENCE: Duration = Duration::from_secs(15);

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The API server's address or credentials.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No view of the cluster.
    #[error(
        "the API server did not list Services, EndpointSlices and Nodes within {DIFF_PATIENCE:?}; \
         see --api-server and --kubeconfig"
    )]
    NoCluster,
    /// The node cannot be used at all.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A socket or signal handler.
    #[error("cannot start: {0}")]
    Io(#[from] std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`] if it cannot start; once started it goes on and says what fails.
pub async fn run(options: Options) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = keep(options) => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Prints what [`run`] would do now.
///
/// # Errors
/// [`StartError`].
pub async fn diff(options: Options) -> Result<(), StartError> {
    let feed = feed(&options).await?;
    let mut node = Node::new(options, Netlink::open()?)?;
    timeout(DIFF_PATIENCE, feed.synced())
        .await
        .map_err(|_elapsed| StartError::NoCluster)?;
    let here = node.here().await?;
    let wish = Wish::of(&feed.read(), &here);
    let (plan, waiting) = node.diff(wish).await?;
    for waiting in waiting {
        println!("waiting: {waiting}");
    }
    println!("{plan}{} operations", plan.len());
    Ok(())
}

async fn keep(options: Options) -> Result<(), StartError> {
    let audits = Audits::every(options.audit_seconds);
    let here = Here::new(options.node_name.as_str());
    let services = options.services.clone();
    let timeouts = options.flows.timeouts();
    let client = client(&options).await?;
    let feed = watch(client.clone(), options.service_cidr.is_empty());
    let events = Events::open()?;
    let netlink = Netlink::open()?;
    let mut node = Node::new(options.clone(), netlink.clone())?;
    let serve = Serve::start(&services, node.pins().clone());
    let local = Local::start(&options, node.pins().clone(), netlink, feed.clone());
    // While the first lists come in: the verifier takes its time, too.
    node.load()?;
    let flows = Arc::new(Pending::default());
    let sweeper = Sweeper::new(node.pins().clone(), timeouts, flows.clone(), serve.flows());
    // Aborted when this function ends.
    let mut beside = JoinSet::new();
    beside.spawn(sweeper.keep());
    let (notices, write) = Notices::new(client, &options.node_name);
    beside.spawn(write);
    synced(&feed).await;
    let mut keeper = Keeper {
        flows,
        here,
        seat: None,
        serve,
        local,
        unplanned: Dirty::default(),
        node,
        feed,
        events,
        notices,
        audits,
        retry: RETRY_FIRST,
        waiting: Vec::new(),
        settled: false,
    };
    let mut scope = Scope::Everything;
    loop {
        let next = keeper.full(scope).await;
        scope = keeper.follow_until(next).await;
    }
}

/// A view of the cluster that fills by itself.
///
/// # Errors
/// [`StartError::Connect`].
pub(crate) async fn feed(options: &Options) -> Result<Feed, StartError> {
    let service_cidrs = options.service_cidr.is_empty();
    Ok(watch(client(options).await?, service_cidrs))
}

async fn client(options: &Options) -> Result<Client, ConnectError> {
    let Options {
        api_server,
        kubeconfig,
        ..
    } = options;
    cluster_watch::client(api_server.as_deref(), kubeconfig.as_deref()).await
}

/// `service_cidrs`: whether the cluster is asked for them, too.
fn watch(client: Client, service_cidrs: bool) -> Feed {
    let selection = Selection {
        nodes: true,
        headless: false,
        service_cidrs,
        pods: false,
    };
    cluster_watch::spawn(client, selection)
}

/// Waits for the first whole view of the cluster, and says so while it does.
async fn synced(feed: &Feed) {
    while timeout(REMIND, feed.synced()).await.is_err() {
        tracing::warn!("waiting for the API server to list Services, EndpointSlices and Nodes");
    }
}
