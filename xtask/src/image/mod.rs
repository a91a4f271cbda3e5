//! `cargo xtask image`: everything that flatnet ships as one OCI archive, which containerd, docker
//! and kind take as it is.
//!
//! The programs are static (musl), so that the image holds them, the eBPF object and nothing else:
//! no base image, no shell. Two builds of one tree give one digest: no file has a time, an owner
//! or an order of its own, and no path of the building machine is compiled in.

mod contents;
mod again;
mod archive;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::build;
use crate::process::Step;
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// What an image may weigh.
const SIZE_LIMIT: u64 = 40 << 20;

/// Arguments of `cargo xtask image`.
#[derive(Args, Debug)]
pub(crate) struct ImageArgs {
    /// Build without optimisation, as the lab's tests do: sooner ready, and larger.
    #[arg(long)]
    dev: bool,
    /// Build it once more, from a copy of the tree in another folder, and fail unless that is the
    /// same image.
    #[arg(long)]
    verify: bool,
}

/// Builds the programs and packs them.
///
/// # Errors
/// When something needed is missing, a build fails, or the archive is too large.
pub(crate) fn run(workspace: &Workspace, args: &ImageArgs) -> anyhow::Result<ExitCode> {
    let ImageArgs { dev, verify } = *args;
    let step = Step::start("checking what the image needs");
    setup::ensure(Scope::Image)?;
    step.done();
    build::ebpf(workspace)?;
    let image = build(workspace, !dev)?;
    let size = image.archive.metadata()?.len();
    println!("image:   {}", archive::reference(&workspace.version()?));
    println!("digest:  {}", image.digest);
    println!("archive: {}", image.archive.display());
    println!("size:    {:.1} MiB", size as f64 / f64::from(1 << 20));
    if size > SIZE_LIMIT && !dev {
        bail!("the archive is larger than {} MiB", SIZE_LIMIT >> 20);
    }
    if verify {
        again::verify(workspace, &image, !dev)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An image that was packed.
pub(crate) struct Image {
    pub(crate) archive: PathBuf,
    digest: String,
}

/// Where the archive of a profile is.
pub(crate) fn archive_of(workspace: &Workspace, release: bool) -> PathBuf {
    folder(workspace, release).join("flatnet.tar")
}

fn folder(workspace: &Workspace, release: bool) -> PathBuf {
    let profile = if release { "release" } else { "dev" };
    workspace.target().join("image").join(profile)
}

/// Builds the static programs and packs them with the eBPF object, which is there already.
///
/// # Errors
/// When a build fails or a file cannot be read or written.
pub(crate) fn build(workspace: &Workspace, release: bool) -> anyhow::Result<Image> {
    let files = contents::files(workspace)?;
    let binaries = build::statically(workspace, &files.packages(), release)?;
    let step = Step::start("packing the image");
    let folder = folder(workspace, release);
    let root = folder.join("rootfs");
    files.lay_out(&binaries, workspace, &root)?;
    let packed = archive::pack(&root, &workspace.version()?, release)?;
    let archive = archive_of(workspace, release);
    write(&archive, &packed.bytes)?;
    step.done();
    Ok(Image {
        archive,
        digest: packed.digest,
    })
}

/// Writes a file by rename, so that whoever reads it has the old one or the new one whole.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
