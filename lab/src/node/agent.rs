//! The agent of a node: started in the node's namespace and cgroup, and started again when it
//! dies, as a DaemonSet's pod would be.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Child;

use super::Node;
use crate::namespaces::Placement;
use crate::places::Places;
use crate::settings::Settings;

/// The program.
pub(crate) const BINARY: &str = "flatnet-agent";
/// How long a dead agent stays dead. Short, but longer than a request, so that a request loop
/// over the gap shows whether the data path lives without it.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// The arguments after `verb` (`run` or `diff`): one text for the lab, its tests and its users.
pub(crate) fn arguments(places: &Places, settings: &Settings, node: &Node) -> Vec<OsString> {
    let name = &node.name;
    let mut arguments: Vec<OsString> = vec![
        "--node-name".into(),
        name.into(),
        "--api-server".into(),
        node.api_server().into(),
        "--bpffs".into(),
        places.bpffs(name).into(),
        "--cgroup-root".into(),
        places.node_cgroup(name).into(),
        "--state-dir".into(),
        places.agent_state(name).into(),
        "--cni-conf-dir".into(),
        places.cni_conf(name).into(),
        "--cni-data-dir".into(),
        places.cni_data(name).into(),
        "--socket".into(),
        places.socket(name).into(),
    ];
    if let Some(programs) = &settings.programs {
        arguments.push("--programs".into());
        arguments.push(programs.into());
    }
    arguments
}

/// Keeps the agent of `node` running for as long as the lab lives.
pub(crate) async fn supervise(places: Places, settings: Settings, node: Node) {
    loop {
        match start(&places, &settings, &node) {
            Ok(mut child) => match child.wait().await {
                Ok(status) => {
                    tracing::warn!(node = node.name, died = %told(status), "agent ended");
                }
                Err(error) => tracing::error!(node = node.name, %error, "agent lost"),
            },
            Err(error) => tracing::error!(node = node.name, %error, "agent cannot start"),
        }
        tokio::time::sleep(RESTART_AFTER).await;
    }
}

fn start(places: &Places, settings: &Settings, node: &Node) -> io::Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(places.agent_log(&node.name))?;
    let mut command = std::process::Command::new(settings.bin_dir.join(BINARY));
    command.arg("run").args(arguments(places, settings, node));
    command
        .env("NODE_NAME", &node.name)
        .env("PATH", settings.path());
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Placement::default()
        .netns(&places.netns(&node.name))?
        .cgroup(&places.system_cgroup(&node.name))?
        .own_session()
        .apply(&mut command);
    let child = tokio::process::Command::from(command).spawn()?;
    if let Some(pid) = child.id() {
        fs::write(places.agent_pid(&node.name), pid.to_string())?;
        tracing::info!(node = node.name, pid, "agent started");
    }
    Ok(child)
}

fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
