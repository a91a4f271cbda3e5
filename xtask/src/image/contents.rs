//! What is in the image, and where.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context;

use crate::workspace::Workspace;

/// The programs: their crates, and their names.
const PROGRAMS: &[(&str, &str)] = &[
    ("proxy-agent", "flatnet-agent"),
    ("cni-plugin", "flatnet-cni"),
    ("dns", "flatnet-dns"),
    ("cli", "flatnet"),
];
/// Where programs are in the image: its PATH.
pub(super) const PROGRAM_FOLDER: &str = "usr/bin";
/// Where the agent looks for the eBPF object.
const OBJECTS: &str = "usr/lib/flatnet";
const LICENCES: [&str; 2] = ["LICENSE", "LICENSE-GPL-2.0"];
const LICENCE_FOLDER: &str = "usr/share/doc/flatnet";

/// The files of the image.
pub(super) struct Files {
    programs: Vec<(&'static str, &'static str)>,
}

/// What this tree has to ship.
pub(super) fn files(workspace: &Workspace) -> anyhow::Result<Files> {
    let programs = PROGRAMS.to_vec();
    for (package, _) in &programs {
        anyhow::ensure!(
            workspace.has_package(package),
            "the workspace has no crate {package}"
        );
    }
    Ok(Files { programs })
}

impl Files {
    /// The crates to build.
    pub(super) fn packages(&self) -> Vec<&'static str> {
        self.programs.iter().map(|(package, _)| *package).collect()
    }

    /// Puts everything at its place below `root`, which is made anew.
    pub(super) fn lay_out(
        &self,
        binaries: &Path,
        workspace: &Workspace,
        root: &Path,
    ) -> anyhow::Result<()> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        for (_, name) in &self.programs {
            let to = root.join(PROGRAM_FOLDER).join(name);
            put(&binaries.join(name), &to, 0o755)?;
        }
        for object in [workspace.programs(), workspace.trace_programs()] {
            let name = object.file_name().context("a file")?;
            put(&object, &root.join(OBJECTS).join(name), 0o644)?;
        }
        for name in LICENCES {
            let to = root.join(LICENCE_FOLDER).join(name);
            put(&workspace.root().join(name), &to, 0o644)?;
        }
        Ok(())
    }
}

fn put(from: &Path, to: &Path, mode: u32) -> anyhow::Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::set_permissions(to, Permissions::from_mode(mode))?;
    Ok(())
}
