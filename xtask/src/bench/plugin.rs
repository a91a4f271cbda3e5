//! CNI plugins, started as a container runtime starts them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::namespace::Room;
use crate::setup::cni_plugin;

/// The plugin's interface in every pod.
pub(super) const INTERFACE: &str = "eth0";

/// A plugin with its configuration.
pub(super) struct Plugin {
    binary: PathBuf,
    /// The file that is its stdin.
    config: PathBuf,
    /// Where it leaves what it says, a file a call.
    said: PathBuf,
}

/// A pod, as far as a plugin is concerned.
pub(super) struct Pod {
    pub(super) container: String,
    pub(super) netns: PathBuf,
}

impl Plugin {
    /// flatnet's, at `binary`, with its pins below `bpffs`.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub(super) fn flatnet(
        room: &Room,
        (binary, bpffs): (&Path, &Path),
        subnet: &str,
    ) -> anyhow::Result<Self> {
        let more = json!({ "bpffs": bpffs });
        Self::new(room, binary.to_owned(), "flatnet", (subnet, more))
    }

    /// One of Debian's with `host-local`, and with `more` in its configuration.
    ///
    /// # Errors
    /// When it is not installed or the configuration cannot be written.
    pub(super) fn peer(
        room: &Room,
        kind: &str,
        network: &str,
        (subnet, more): (&str, Value),
    ) -> anyhow::Result<Self> {
        let binary = cni_plugin(kind).with_context(|| {
            format!("no CNI plugin {kind}: apt-get install containernetworking-plugins")
        })?;
        Self::new(room, binary, network, (subnet, more))
    }

    fn new(
        room: &Room,
        binary: PathBuf,
        network: &str,
        (subnet, more): (&str, Value),
    ) -> anyhow::Result<Self> {
        let kind = binary.file_name().unwrap_or_default().to_string_lossy();
        let leases = room.path(&format!("{network}-leases"));
        let text = config(&kind, network, (subnet, &leases), more).to_string();
        let config = room.path(&format!("{network}.json"));
        fs::write(&config, text).with_context(|| config.display().to_string())?;
        let said = room.path(&format!("{network}-said"));
        fs::create_dir_all(&said)?;
        Ok(Self {
            binary,
            config,
            said,
        })
    }

    /// Runs one call and returns its result.
    ///
    /// # Errors
    /// When it fails; with the error that the plugin gave.
    pub(super) fn call(&self, verb: &str, pod: &Pod) -> anyhow::Result<Value> {
        let said = self.said(verb, pod);
        let status = self.command(verb, pod)?.status()?;
        let text = fs::read_to_string(&said)?;
        if !status.success() {
            bail!("{} {verb}: {status}: {text}", self.binary.display());
        }
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text:?}"))
    }

    /// Runs the verb for every pod, `width` processes at a time, and returns the milliseconds of
    /// each: from before the start of the process until its end is known.
    ///
    /// # Errors
    /// When one fails; with the error that the plugin gave.
    pub(super) fn times(&self, verb: &str, pods: &[Pod], width: usize) -> anyhow::Result<Vec<f64>> {
        let mut times = Vec::new();
        for batch in pods.chunks(width) {
            times.extend(self.batch(verb, batch)?);
        }
        Ok(times)
    }

    fn batch(&self, verb: &str, pods: &[Pod]) -> anyhow::Result<Vec<f64>> {
        let mut running = HashMap::new();
        for pod in pods {
            let mut command = self.command(verb, pod)?;
            let start = Instant::now();
            let child = command.spawn().context("cannot start a CNI plugin")?;
            running.insert(Pid::from_raw(child.id().try_into()?), (start, pod));
        }
        let (mut times, mut failed) = (Vec::new(), None);
        while !running.is_empty() {
            let ended = wait().context("cannot wait for a CNI plugin")?;
            let now = Instant::now();
            // The children of this process are plugins, but for one that somebody left behind.
            let Some((start, pod)) = ended.pid().and_then(|pid| running.remove(&pid)) else {
                continue;
            };
            times.push((now - start).as_secs_f64() * 1000.0);
            if !matches!(ended, WaitStatus::Exited(_, 0)) {
                failed = Some((ended, pod));
            }
        }
        if let Some((ended, pod)) = failed {
            let said = fs::read_to_string(self.said(verb, pod))?;
            bail!("{} {verb}: {ended:?}: {said}", self.binary.display());
        }
        Ok(times)
    }

    fn command(&self, verb: &str, pod: &Pod) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.binary);
        let peers = cni_plugin("host-local").unwrap_or_default();
        command
            .env_clear()
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", &pod.container)
            .env("CNI_NETNS", &pod.netns)
            .env("CNI_IFNAME", INTERFACE)
            .env("CNI_PATH", peers.parent().unwrap_or(Path::new("/")))
            .stdin(File::open(&self.config)?)
            .stdout(File::create(self.said(verb, pod))?)
            .stderr(Stdio::null());
        Ok(command)
    }

    fn said(&self, verb: &str, pod: &Pod) -> PathBuf {
        self.said.join(format!("{}-{verb}", pod.container))
    }
}

/// The configuration: what all plugins have in common, and the keys of `more`.
fn config(kind: &str, network: &str, (subnet, leases): (&str, &Path), more: Value) -> Value {
    let mut config = json!({
        "cniVersion": "1.0.0",
        "name": network,
        "type": kind,
        "ipam": {
            "type": "host-local",
            "dataDir": leases,
            "ranges": [[{ "subnet": subnet }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
        },
    });
    if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
        config.extend(more);
    }
    config
}

/// The first address in a plugin's result, without its prefix length.
///
/// # Errors
/// When there is none.
pub(super) fn address(result: &Value) -> anyhow::Result<std::net::IpAddr> {
    let first = result
        .pointer("/ips/0/address")
        .and_then(Value::as_str)
        .with_context(|| format!("a result without an address: {result}"))?;
    let (address, _) = first.split_once('/').unwrap_or((first, ""));
    address
        .parse()
        .with_context(|| format!("no address: {first:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_plugins_get_the_same_configuration_but_for_their_own_keys() {
        let leases = Path::new("/r/leases");
        let more = json!({ "bridge": "b", "isGateway": true });
        let bridge = config("bridge", "n", ("10.1.0.0/16", leases), more);
        let ptp = config("ptp", "n", ("10.1.0.0/16", leases), json!({}));
        assert_eq!(bridge["isGateway"], json!(true));
        assert_eq!(bridge["ipam"], ptp["ipam"]);
        assert_eq!(ptp["ipam"]["dataDir"], json!("/r/leases"));
        assert_eq!(ptp["type"], json!("ptp"));
    }

    #[test]
    fn the_address_of_a_result_is_its_first() {
        let result = json!({ "ips": [{ "address": "10.1.0.7/16" }, { "address": "fd00::7/64" }] });
        assert_eq!(address(&result).expect("two").to_string(), "10.1.0.7");
        for result in [
            json!({}),
            json!({ "ips": [] }),
            json!({ "ips": [{ "address": "x/24" }] }),
        ] {
            assert!(address(&result).is_err(), "{result}");
        }
    }
}
