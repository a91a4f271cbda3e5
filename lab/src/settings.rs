//! What a lab was started with. `serve` writes it down, the commands that enter the lab read it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::network::Network;
use crate::node::Node;
use crate::places::Places;

/// Where chained CNI plugins are found after our own directory, as container runtimes have it.
pub(crate) const CNI_DIRS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];

/// Fixed for the life of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    /// Where the product's binaries and the demo application are.
    pub(crate) bin_dir: PathBuf,
    /// The eBPF object for the agent; absent: the agent's own default.
    pub(crate) programs: Option<PathBuf>,
    /// The product as an image: it is for the cluster's user to install, from manifests.
    pub(crate) image: Option<Image>,
}

impl Settings {
    /// PATH for everything the lab starts: the product's binaries before the system's.
    pub(crate) fn path(&self) -> OsString {
        let system = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin".into());
        joined(&self.bin_dir, &system)
    }

    /// CNI_PATH for the plugins of a node.
    pub(crate) fn cni_path(&self, places: &Places, node: &str) -> OsString {
        let own = match self.image {
            Some(_) => places.cni_bin(node),
            None => self.bin_dir.clone(),
        };
        joined(&own, CNI_DIRS.join(":").as_ref())
    }

    /// The image, if `name` is its name.
    pub(crate) fn image(&self, name: &str) -> Option<&Image> {
        self.image.as_ref().filter(|image| image.name == name)
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub(crate) fn store(&self, places: &Places) -> io::Result<()> {
        fs::write(places.settings(), serde_json::to_vec_pretty(self)?)
    }

    /// # Errors
    /// When the lab is not up.
    pub(crate) fn load(places: &Places) -> io::Result<Self> {
        let text = fs::read(places.settings()).map_err(|error| {
            let name = places.name();
            io::Error::new(
                error.kind(),
                format!("the lab {name:?} is not up", name = name.as_str()),
            )
        })?;
        Ok(serde_json::from_slice(&text)?)
    }
}

fn joined(first: &Path, rest: &std::ffi::OsStr) -> OsString {
    let mut path = first.as_os_str().to_owned();
    path.push(":");
    path.push(rest);
    path
}
