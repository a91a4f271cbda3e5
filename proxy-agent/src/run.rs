//! The agent's life: wait for the first whole view of the cluster, one full pass, then a pass for
//! each change and a full one from time to time. It ends on SIGTERM and leaves everything in
//! place.

mod flows;
mod notices;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use cluster_model::{Dirty, Here};
use cluster_watch::{Client, ConnectError, Feed, Selection};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::args::Options;
use crate::kernel::events::Events;
use crate::kernel::probe;
use crate::kernel::routes::Netlink;
use crate::local::Local;
use crate::pass::{self, Node, PassError, Plan, Waiting, Wish};
use crate::serve::{Seen, Serve};
use flows::{Pending, Sweeper};
use notices::Notices;

/// First pause after a failed pass; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest pause after a failed pass.
const RETRY_LAST: Duration = Duration::from_secs(30);
/// How often a start that cannot go on says so.
const REMIND: Duration = Duration::from_secs(10);
/// How long [`diff`] waits for the API server.
const DIFF_PATIENCE: Duration = Duration::from_secs(15);
/// Changes of interfaces come in flocks: one pass for what comes within this time.
const SETTLE: Duration = Duration::from_millis(100);

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
    let audit_interval = options.audit_seconds;
    let here = Here::new(options.node_name.as_str());
    let services = options.services.clone();
    let timeouts = options.flows.timeouts();
    let client = client(&options).await?;
    let feed = watch(client.clone());
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
        serve,
        local,
        unplanned: Dirty::default(),
        node,
        feed,
        events,
        notices,
        audit_interval,
        retry: RETRY_FIRST,
        waiting: Vec::new(),
        settled: false,
    };
    loop {
        let next = keeper.full().await;
        keeper.follow_until(next).await;
    }
}

/// The node, the cluster's view, and how the last full pass went.
struct Keeper {
    here: Here,
    flows: Arc<Pending>,
    serve: Serve,
    local: Local,
    /// Changes that the next full pass is for.
    unplanned: Dirty,
    node: Node,
    feed: Feed,
    events: Events,
    notices: Notices,
    audit_interval: Duration,
    retry: Duration,
    waiting: Vec<Waiting>,
    /// Whether all was as the cluster says when the last pass ended.
    settled: bool,
}

impl Keeper {
    /// A full pass. Returns when the next one is due: soon, if something failed. Until then
    /// changes are followed all the same.
    async fn full(&mut self) -> Instant {
        match self.everything().await {
            Ok((plan, mut waiting)) => {
                self.retry = RETRY_FIRST;
                if !probe::socket_programs_work() {
                    waiting.push(Waiting::SocketPrograms);
                }
                if mem::replace(&mut self.settled, true) {
                    self.serve.repaired(&plan.repairs());
                }
                if !plan.is_empty() {
                    tracing::info!(operations = plan.len(), "the node is as the cluster says");
                }
                self.announce(waiting);
                Instant::now() + self.audit_interval
            }
            Err(error) => {
                self.settled = false;
                let retry = self.retry;
                tracing::error!(retry_in = ?retry, "{error}");
                self.retry = (retry * 2).min(RETRY_LAST);
                Instant::now() + retry
            }
        }
    }

    async fn everything(&mut self) -> Result<(Plan, Vec<Waiting>), PassError> {
        self.here = self.node.here().await?;
        // The pass sees these changes, too; they need none of their own.
        self.unplanned.merge(self.feed.take_changes());
        if !self.unplanned.is_empty() {
            // What differs now need not have been changed by somebody else.
            self.settled = false;
        }
        let changes = mem::take(&mut self.unplanned).changes;
        let begun = self.serve.begin_full(changes);
        let (wish, seen) = {
            let index = self.feed.read();
            let wish = Wish::of(&index, &self.here);
            let seen = Seen::all(&index, &self.here.node, &wish.services);
            (wish, seen)
        };
        let done = self.node.full(wish).await;
        self.flows.note(self.node.take_changes());
        self.serve.tell(seen);
        if done.is_ok() {
            self.serve.applied(begun, self.node.fill());
        }
        done
    }

    /// A pass for each change until it is time for a full one: when it is due, when a node or an
    /// interface changed, or when a pass failed.
    async fn follow_until(&mut self, due: Instant) {
        loop {
            let dirty = tokio::select! {
                dirty = self.feed.changed() => dirty,
                () = sleep_until(due) => return,
                () = self.notices.due() => {
                    self.notices.look(&self.feed.read(), &self.node, &self.serve);
                    continue;
                }
                () = self.events.changed() => {
                    sleep(SETTLE).await;
                    self.events.forget();
                    return;
                }
            };
            if dirty.nodes {
                self.unplanned = dirty;
                return;
            }
            if !self.changed(dirty) {
                self.settled = false;
                return;
            }
        }
    }

    fn changed(&mut self, dirty: Dirty) -> bool {
        let begun = self.serve.begin_changes(dirty.changes);
        let services = self.node.with_rivals(dirty.services);
        let (wanted, seen) = {
            let index = self.feed.read();
            let wanted = pass::wishes(&index, services.iter(), &self.here);
            let seen = Seen::changed(&index, &self.here.node, &wanted);
            (wanted, seen)
        };
        let done = self.node.changed(wanted);
        self.flows.note(self.node.take_changes());
        self.serve.tell(seen);
        match done {
            Ok(operations) => {
                tracing::debug!(services = services.len(), operations, "changes applied");
                self.serve.applied(begun, self.node.fill());
                true
            }
            Err(error) => {
                tracing::error!("{error}");
                false
            }
        }
    }

    /// Says what the node waits for, once.
    fn announce(&mut self, waiting: Vec<Waiting>) {
        let blocking = waiting.iter().filter(|waiting| waiting.blocks());
        self.serve
            .waiting(blocking.map(ToString::to_string).collect());
        for new in waiting.iter().filter(|new| !self.waiting.contains(new)) {
            tracing::warn!("waiting: {new}");
        }
        self.local
            .waits_for(waiting.iter().map(ToString::to_string));
        self.waiting = waiting;
    }
}

/// A view of the cluster that fills by itself.
///
/// # Errors
/// [`StartError::Connect`].
pub(crate) async fn feed(options: &Options) -> Result<Feed, StartError> {
    Ok(watch(client(options).await?))
}

async fn client(options: &Options) -> Result<Client, ConnectError> {
    let Options {
        api_server,
        kubeconfig,
        ..
    } = options;
    cluster_watch::client(api_server.as_deref(), kubeconfig.as_deref()).await
}

fn watch(client: Client) -> Feed {
    let selection = Selection {
        nodes: true,
        headless: false,
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
