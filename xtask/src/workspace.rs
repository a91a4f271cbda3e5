//! What cargo knows about this repository: where it is, where it builds, which crates it has.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cargo_metadata::{Metadata, MetadataCommand, Package, PackageId};

/// The repository as `cargo metadata` describes it (without dependencies: that takes 50 ms).
#[derive(Debug)]
pub(crate) struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    /// Asks cargo about the workspace whose `cargo xtask` was typed. Cargo says at run time where
    /// that is; what was compiled in is wrong when a clone was moved with its target folder.
    ///
    /// # Errors
    /// When cargo cannot read a manifest; the message is cargo's own.
    pub(crate) fn locate() -> anyhow::Result<Self> {
        let room = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        Self::at(&room.join(".."))
    }

    /// The workspace in this folder.
    ///
    /// # Errors
    /// When cargo cannot read a manifest; the message is cargo's own.
    pub(crate) fn at(root: &Path) -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cannot read the workspace")?;
        Ok(Self { metadata })
    }

    /// The root folder of the repository.
    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// Where cargo puts what it builds (follows CARGO_TARGET_DIR).
    pub(crate) fn target(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// The folder that holds the binaries of one profile.
    pub(crate) fn binaries(&self, release: bool) -> PathBuf {
        self.target()
            .join(if release { "release" } else { "debug" })
    }

    /// The eBPF object that `cargo xtask build` writes and the agent loads.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target().join("bpf/flatnet-proxy.bpf.o")
    }

    /// The object of the trace programs; the agent looks for it beside the other.
    pub(crate) fn trace_programs(&self) -> PathBuf {
        self.programs().with_file_name("flatnet-trace.bpf.o")
    }

    /// Whether a member has this name.
    pub(crate) fn has_package(&self, name: &str) -> bool {
        self.metadata
            .packages
            .iter()
            .any(|package| package.name.as_str() == name)
    }

    /// The version that every member has.
    ///
    /// # Errors
    /// When there is no member.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let first = self.metadata.packages.first();
        Ok(first.context("an empty workspace")?.version.to_string())
    }

    /// The member with this id; none when it is a dependency from elsewhere.
    pub(crate) fn package(&self, id: &PackageId) -> Option<&Package> {
        self.metadata
            .packages
            .iter()
            .find(|package| package.id == *id)
    }
}
