//! The process that owns a lab: makes everything, runs everything, removes everything.

mod api_server;
mod system;

use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::cgroup;
use crate::controllers::{daemon_sets, deployments, endpoint_slices, scheduler};
use crate::error::LabError;
use crate::fabric::{self, CLIENT, Member};
use crate::image::Image;
use crate::kubelet::Kubelet;
use crate::launch::Options;
use crate::lock::{Attempt, Lock};
use crate::namespaces;
use crate::node::{Node, agent, readiness};
use crate::patience::longer;
use crate::places::Places;
use crate::settings::Settings;
use crate::store::{ApiError, Config, Store};
use crate::sweep::{self, Leave};

/// How long nodes and the cluster DNS may take to become ready.
const STEP_WITHIN: Duration = Duration::from_secs(60);

/// Serves the lab until a signal ends it.
///
/// # Errors
/// When it is up already or could not be started. The logs stay then; all else is removed.
pub(crate) async fn serve(options: Options) -> Result<(), LabError> {
    options.check()?;
    let places = options.places()?;
    let io = || LabError::doing(format!("serving the lab {:?}", options.name.as_str()));
    let lock = match Lock::attempt(&places).map_err(io())? {
        Attempt::Taken(lock) => lock,
        Attempt::HeldBy(pid) => {
            return Err(LabError::AlreadyUp {
                name: options.name.to_string(),
                pid,
            });
        }
    };
    sweep::sweep(&places, Leave::Logs).map_err(io())?;
    let mut running = JoinSet::new();
    let mut end = std::pin::pin!(asked_to_end());
    let started = tokio::select! {
        started = start(&options, &places, &mut running) => Some(started),
        () = &mut end => None,
    };
    let outcome = match started {
        Some(Ok(())) => tokio::select! {
            () = &mut end => Ok(()),
            // Each of them runs for as long as the lab does.
            _ = running.join_next() => Err(LabError::PartEnded { log: places.serve_log() }),
        },
        Some(failed) => failed,
        None => Ok(()),
    };
    // Nothing may start anything while the sweep looks for what to remove.
    running.shutdown().await;
    let leave = if outcome.is_ok() {
        Leave::Nothing
    } else {
        Leave::Logs
    };
    let swept = tokio::task::block_in_place(|| sweep::sweep(&places, leave)).map_err(io());
    drop(lock);
    outcome.and(swept)
}

async fn asked_to_end() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The start, in the order of dependence: directories, network, API server, controllers, nodes,
/// cluster DNS.
async fn start(
    options: &Options,
    places: &Places,
    running: &mut JoinSet<()>,
) -> Result<(), LabError> {
    let settings = Settings {
        network: options.network,
        nodes: Node::numbered(options.nodes, &options.network, &options.zones),
        bin_dir: options.bin_dir.clone(),
        programs: options.programs.clone(),
        image: tokio::task::block_in_place(|| unpack(options, places))?,
    };
    let bare = settings.image.is_some();
    tokio::task::block_in_place(|| prepare(places, &settings))?;
    let progress = Progress { places };
    progress.tell(format!(
        "fabric: {} nodes and an outside client",
        settings.nodes.len()
    ))?;

    let families = settings.network.families;
    let store = Store::new(&Config {
        service_ranges: families.service_ranges(),
        ..Config::default()
    });
    for node in &settings.nodes {
        readiness::register(&store, node, places)?;
    }
    system::register_service_cidr(&store, &families.service_ranges())?;
    system::register_api_server(&store, &settings)?;
    let address = api_server::listen(&store, places, &settings.nodes, options.port, running)?;
    api_server::write_kubeconfig(places, &address)?;
    progress.tell(format!("API server: {address}"))?;

    run_controllers(&store, running);
    run_nodes(&store, places, &settings, running);
    if bare {
        progress.tell("bare nodes: install flatnet with kubectl apply -k".to_owned())?;
        return fs::write(places.ready(), "").map_err(LabError::doing("state directory"));
    }
    progress
        .slow("agents: waiting until every node is Ready", async {
            system::nodes_ready(&store, places, longer(STEP_WITHIN)).await
        })
        .await?;
    if options.dns {
        system::create_dns(&store, families)?;
        progress
            .slow("cluster DNS: waiting until it answers", async {
                system::dns_available(&store, places, longer(STEP_WITHIN)).await
            })
            .await?;
    }
    fs::write(places.ready(), "").map_err(LabError::doing("state directory"))
}

fn unpack(options: &Options, places: &Places) -> Result<Option<Image>, LabError> {
    let Some(archive) = &options.image else {
        return Ok(None);
    };
    let image = Image::unpack(archive, &places.image());
    image
        .map(Some)
        .map_err(LabError::doing("unpacking the image"))
}

fn prepare(places: &Places, settings: &Settings) -> Result<(), LabError> {
    let io = |what: &str| LabError::doing(what.to_owned());
    for dir in [
        places.logs().join("pods"),
        places.netns_dir(),
        places.pods_dir(),
        places.sockets(),
    ] {
        fs::create_dir_all(dir).map_err(io("state directory"))?;
    }
    namespaces::make_shared(&places.netns_dir()).map_err(io("state directory"))?;
    settings.store(places).map_err(io("state directory"))?;
    let client = Member {
        name: CLIENT.to_owned(),
        seats: settings.network.client_seats(),
    };
    let members: Vec<_> = settings
        .nodes
        .iter()
        .map(Node::member)
        .chain([client])
        .collect();
    fabric::build(places, &settings.network, &members).map_err(io("fabric"))?;
    cgroup::create(&places.client_cgroup()).map_err(io("outside client"))?;
    symlink(places.netns(CLIENT), places.outside()).map_err(io("outside client"))?;
    for node in &settings.nodes {
        node.prepare(places, settings.image.is_some())
            .map_err(io(&node.name))?;
    }
    Ok(())
}

fn run_controllers(store: &Store, running: &mut JoinSet<()>) {
    let mut run = |name: &'static str, controller: ControllerFuture| {
        running.spawn(async move {
            if let Err(error) = controller.await {
                tracing::error!(name, %error, "controller ended");
            }
        });
    };
    run("deployments", Box::pin(deployments::run(store.clone())));
    run("daemon sets", Box::pin(daemon_sets::run(store.clone())));
    run("scheduler", Box::pin(scheduler::run(store.clone())));
    run(
        "endpoint slices",
        Box::pin(endpoint_slices::run(store.clone())),
    );
}

type ControllerFuture = std::pin::Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send>>;

fn run_nodes(store: &Store, places: &Places, settings: &Settings, running: &mut JoinSet<()>) {
    for node in &settings.nodes {
        if settings.image.is_none() {
            running.spawn(agent::supervise(
                places.clone(),
                settings.clone(),
                node.clone(),
            ));
        }
        running.spawn(readiness::watch(
            store.clone(),
            node.clone(),
            places.clone(),
        ));
        let kubelet = Kubelet {
            store: store.clone(),
            places: places.clone(),
            settings: settings.clone(),
            node: node.clone(),
        };
        running.spawn(Arc::new(kubelet).run());
    }
}

/// Tells whoever waits for the lab what it is doing.
struct Progress<'a> {
    places: &'a Places,
}

impl Progress<'_> {
    fn tell(&self, line: String) -> Result<(), LabError> {
        tracing::info!("{line}");
        self.append(&line)
            .map_err(LabError::doing("state directory"))
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.places.progress())?;
        writeln!(file, "{line}")
    }

    async fn slow<T>(
        &self,
        line: &str,
        step: impl Future<Output = Result<T, LabError>>,
    ) -> Result<T, LabError> {
        self.tell(line.to_owned())?;
        step.await
    }
}
