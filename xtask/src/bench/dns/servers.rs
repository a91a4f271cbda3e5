//! The servers that are compared, and the one that both forward to.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::changing;
use super::names::{self, CLUSTER, OUTSIDE};
use super::quota::Share;
use crate::bench::api::Api;
use crate::bench::namespace::Room;
use crate::bench::{population, usage};
use crate::process::{self, Step, cargo, find_program};
use crate::workspace::Workspace;

/// Where everything is.
pub(super) const HOST: &str = "127.0.0.1";
/// How long a server may take to know the cluster.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds our server as it is shipped.
///
/// # Errors
/// When it does not compile.
pub(super) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let step = Step::start("building flatnet-dns, optimised");
    process::run(cargo(workspace.root()).args(["build", "--release", "-p", "dns"]))?;
    step.done();
    Ok(())
}

/// A running server. It ends when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
    /// Dropped, and so removed, after the process has ended.
    pub(super) share: Share,
}

impl Server {
    fn start(command: &mut Command, cores: usize, port: u16) -> anyhow::Result<Self> {
        // One core: the first, and the load on another.
        let cpus = format!("0-{}", cores - 1);
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &cpus]).arg(command.get_program());
        pinned.args(command.get_args());
        pinned.stdout(Stdio::null()).stderr(Stdio::null());
        let line = process::command_line(&pinned);
        let mut child = pinned
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let share = Share::of(child.id()).inspect_err(|_| {
            // Both fail only if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self { child, port, share })
    }

    /// Waits until it has an answer for `name`.
    fn answers(mut self, name: &str) -> anyhow::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut dig = Command::new("dig");
            dig.args([&format!("@{HOST}"), "-p", &self.port.to_string()]);
            dig.args(["+short", "+time=1", "+tries=1", name]);
            // dig fails as long as nobody listens.
            let said = process::capture(&mut dig).unwrap_or_default();
            if said.starts_with(|first: char| first.is_ascii_digit()) {
                return Ok(self);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server at port {} ended with {status}", self.port);
            }
            if Instant::now() > deadline {
                bail!("the server at port {} does not know {name}", self.port);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// CPU time that it has used.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        usage::cpu(self.child.id())
    }

    /// Memory that it holds, in MiB.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn mib(&self) -> anyhow::Result<f64> {
        usage::mib(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All servers.
pub(super) struct Stage {
    pub(super) api: Api,
    pub(super) ours: Server,
    pub(super) unbound: Server,
    _upstream: Server,
}

impl Stage {
    /// Starts them, each compared one on so many cores.
    ///
    /// # Errors
    /// When one does not come to know its names.
    pub(super) fn up(workspace: &Workspace, room: &Room, cores: usize) -> anyhow::Result<Self> {
        let mut ip = Command::new("ip");
        process::capture(ip.args(["link", "set", "lo", "up"]))?;
        let (ours, peer, upstream) = (5301, 5302, 5303);
        let outside = names::outside_name(0);
        let first = names::service_name(0);

        let config = configuration(upstream, 1, &outside_data());
        let upstream = Server::start(&mut unbound(room, "upstream", &config)?, 2, upstream)?;
        let upstream = upstream.answers(&outside)?;

        let config = configuration(peer, cores, &cluster_data(upstream.port));
        let unbound = Server::start(&mut unbound(room, "unbound", &config)?, cores, peer)?;
        let unbound = unbound.answers(&first)?;

        let api = Api::start(Arc::new(changing::objects()))?;
        let program = workspace.binaries(true).join("flatnet-dns");
        let mut command = flatnet(&program, &api, (ours, upstream.port));
        let ours = Server::start(&mut command, cores, ours)?;
        let ours = ours.answers(&first)?.answers(names::CHANGING)?;
        Ok(Self {
            api,
            ours,
            unbound,
            _upstream: upstream,
        })
    }
}

fn flatnet(program: &Path, api: &Api, (port, upstream): (u16, u16)) -> Command {
    let mut command = Command::new(program);
    command.args(["--api-server", &format!("http://{}", api.address)]);
    command.args(["--listen", &format!("{HOST}:{port}")]);
    command.args(["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    command.args(["--upstream", &format!("{HOST}:{upstream}")]);
    command
}

fn unbound(room: &Room, name: &str, config: &str) -> anyhow::Result<Command> {
    let file = room.path(&format!("{name}.conf"));
    fs::write(&file, config).with_context(|| file.display().to_string())?;
    let program = find_program("unbound").context("no program `unbound` found")?;
    let mut command = Command::new(program);
    command.args(["-d", "-c"]).arg(file);
    Ok(command)
}

/// unbound as one would run it for this: a thread a core with a socket of its own, no chroot.
fn configuration(port: u16, threads: usize, data: &str) -> String {
    format!(
        "server:\n interface: {HOST}\n port: {port}\n num-threads: {threads}\n \
         so-reuseport: yes\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n \
         directory: \"\"\n use-syslog: no\n verbosity: 0\n module-config: \"iterator\"\n \
         do-not-query-localhost: no\n minimal-responses: yes\n access-control: 127.0.0.0/8 allow\n\
         {data}\
         remote-control:\n control-enable: no\n"
    )
}

fn outside_data() -> String {
    let mut data = " local-zone: \"example.com.\" static\n".to_owned();
    for n in 0..OUTSIDE {
        // A string takes all.
        let _ = writeln!(
            data,
            " local-data: \"{}. 3600 IN A 192.0.2.1\"",
            names::outside_name(n)
        );
    }
    data
}

fn cluster_data(upstream: u16) -> String {
    let mut data = " local-zone: \"cluster.local.\" static\n \
                    local-data: \"cluster.local. 5 IN SOA ns.dns.cluster.local. \
                    hostmaster.cluster.local. 1 7200 1800 86400 5\"\n"
        .to_owned();
    for n in 0..CLUSTER.services {
        let _ = writeln!(
            data,
            " local-data: \"{}. 5 IN A {}\"",
            names::service_name(n),
            population::cluster_ip(n)
        );
    }
    let _ = write!(
        data,
        "forward-zone:\n name: \".\"\n forward-addr: {HOST}@{upstream}\n"
    );
    data
}
