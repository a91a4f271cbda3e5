//! The same tree somewhere else: a second build, from nothing, to compare with the first.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::build;
use crate::process::{self, Step};
use crate::workspace::Workspace;

/// Builds the image once more, from a copy of the tree below the target folder, and compares.
///
/// # Errors
/// When a build fails, or what came of it is another image; the files that differ are named.
pub(super) fn verify(
    workspace: &Workspace,
    first: &super::Image,
    release: bool,
) -> anyhow::Result<()> {
    let step = Step::start("copying the tree");
    let root = workspace.target().join("image").join("again");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    copy(workspace.root(), &root)?;
    step.done();
    let again = Workspace::at(&root)?;
    if again.target() == workspace.target() {
        bail!("CARGO_TARGET_DIR has both builds in one folder; unset it to compare two");
    }
    build::ebpf(&again)?;
    let second = super::build(&again, release)?;
    if second.digest == first.digest {
        println!("again:   the same, built in another folder");
        return Ok(());
    }
    let at = |workspace| super::folder(workspace, release).join("rootfs");
    let differ = Command::new("diff")
        .arg("-rq")
        .arg(at(workspace))
        .arg(at(&again))
        .output()
        .context("cannot start diff")?;
    let differ = String::from_utf8_lossy(&differ.stdout).into_owned();
    bail!("another build gives {}:\n{differ}", second.digest)
}

/// Copies what is in the repository, also what is not committed yet.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut list = Command::new("git");
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let names = process::capture(list.current_dir(from))?;
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let (source, target) = (from.join(name), to.join(name));
        if !source.is_file() {
            // Removed, and not committed yet.
            continue;
        }
        let folder = target.parent().context("a file without a folder")?;
        fs::create_dir_all(folder)?;
        fs::copy(&source, &target).with_context(|| format!("cannot copy {name}"))?;
    }
    Ok(())
}
