//! `cargo xtask build`: the kernel half with bpf-linker, then the user half with plain cargo.
//!
//! The kernel half is compiled for `bpfel-unknown-none`, for which rustup ships no core library:
//! core is built from rust-src, which needs `-Z build-std` and so, on a stable compiler,
//! RUSTC_BOOTSTRAP. The flags are the ones of aya-build 0.2 (`build_ebpf`). It has a target
//! directory of its own, so that neither half invalidates the other's build.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::Args;
use nix::sys::personality::{self, Persona};

use crate::process::{self, Step, cargo, find_program};
use crate::setup::STATIC_TARGET;
use crate::workspace::Workspace;

/// The crate that is the kernel half.
const EBPF_CRATE: &str = "proxy-ebpf";
/// Its second program, see proxy-ebpf/Cargo.toml.
const TRACE_PROGRAMS: &str = "flatnet-trace";
/// The compilation target of the kernel half. Little-endian, as every machine we run on.
const EBPF_TARGET: &str = "bpfel-unknown-none";

/// Arguments of `cargo xtask build`.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// Build the binaries with optimisation (the eBPF object always is).
    #[arg(long)]
    release: bool,
    /// Build the eBPF object only.
    #[arg(long)]
    ebpf_only: bool,
}

/// Builds both halves.
///
/// # Errors
/// When a build fails; cargo has then printed why.
pub(crate) fn run(workspace: &Workspace, args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let BuildArgs { release, ebpf_only } = *args;
    let object = ebpf(workspace)?;
    eprintln!("    eBPF object: {}", object.display());
    if !ebpf_only {
        binaries(workspace, release)?;
        eprintln!("    binaries:    {}", workspace.binaries(release).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the kernel half and returns where the object of the data path is. That of the trace
/// programs is beside it.
///
/// # Errors
/// When the compiler or bpf-linker fails.
pub(crate) fn ebpf(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let step = Step::start("building the eBPF object (proxy-ebpf)");
    let mut command = ebpf_cargo(workspace, "build")?;
    at_fixed_addresses(|| process::run(command.arg("--quiet")))?;
    let built = ebpf_target_dir(workspace).join(EBPF_TARGET).join("release");
    let object = workspace.programs();
    install(&built.join(EBPF_CRATE), &object)?;
    install(&built.join(TRACE_PROGRAMS), &workspace.trace_programs())?;
    step.done();
    Ok(object)
}

/// Runs what starts processes with the addresses of their memory not drawn by lot, where that may be
/// had (some containers forbid it). LLVM orders the type information of structures that are only
/// declared (`BTFDebug`, a map by pointer) by where it has them in memory: without this, one build
/// in three or four differs from the others.
fn at_fixed_addresses<T>(work: impl FnOnce() -> T) -> T {
    let before = personality::get();
    if let Ok(before) = before {
        // Refused: the object works as well, and `image --verify` tells.
        let _ = personality::set(before | Persona::ADDR_NO_RANDOMIZE);
    }
    let done = work();
    if let Ok(before) = before {
        let _ = personality::set(before);
    }
    done
}

/// Builds every binary of the user half.
///
/// # Errors
/// When the compiler fails.
pub(crate) fn binaries(workspace: &Workspace, release: bool) -> anyhow::Result<()> {
    let step = Step::start("building the binaries (the first time takes some minutes)");
    let mut command = cargo(workspace.root());
    command.arg("build");
    if release {
        command.arg("--release");
    }
    process::run(&mut command)?;
    step.done();
    Ok(())
}

/// Builds the programs of some crates as static ones, and returns the folder that holds them.
///
/// The paths of this machine are left out of them, so that the same source gives the same program
/// wherever it is built.
///
/// # Errors
/// When the compiler fails.
pub(crate) fn statically(
    workspace: &Workspace,
    packages: &[&str],
    release: bool,
) -> anyhow::Result<PathBuf> {
    let step = Step::start(format!(
        "building static programs ({})",
        packages.join(", ")
    ));
    let mut command = cargo(workspace.root());
    command.args(["build", "--quiet", "--bins", "--target", STATIC_TARGET]);
    for package in packages {
        command.args(["--package", package]);
    }
    if release {
        command.arg("--release");
    } else {
        // Only the tests run them, from an archive that is written and read each time.
        command.env("CARGO_PROFILE_DEV_DEBUG", "false");
        command.env("CARGO_PROFILE_DEV_STRIP", "symbols");
    }
    let flags = remaps(workspace)?.join("\u{1f}");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags);
    process::run(&mut command)?;
    step.done();
    let profile = if release { "release" } else { "debug" };
    Ok(workspace.target().join(STATIC_TARGET).join(profile))
}

/// The flags that leave the paths of this machine out of what is compiled: those of the sources, of
/// the dependencies and of the standard library's own sources (of which generic code is compiled
/// anew).
///
/// # Errors
/// When the compiler or the environment does not say where these are.
fn remaps(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let home = process::cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let library = sysroot()?.join("lib/rustlib/src/rust");
    let paths = [
        (workspace.root(), "/flatnet"),
        (home.as_path(), "/cargo"),
        (library.as_path(), "/rust"),
    ];
    let remap =
        |(path, short): (&Path, &str)| format!("--remap-path-prefix={}={short}", path.display());
    Ok(paths.map(remap).into())
}

/// Where the compiler is.
fn sysroot() -> anyhow::Result<PathBuf> {
    let sysroot = process::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(sysroot.trim()))
}

/// A cargo command line (`build`, `clippy`) for the kernel half, with all that this needs.
///
/// # Errors
/// When the compiler cannot say where its sysroot is.
pub(crate) fn ebpf_cargo(workspace: &Workspace, verb: &str) -> anyhow::Result<Command> {
    let mut command = cargo(workspace.root());
    command
        .arg(verb)
        .args([
            "--package",
            EBPF_CRATE,
            "--release",
            "--target",
            EBPF_TARGET,
        ])
        .args(["-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(ebpf_target_dir(workspace))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", ebpf_flags(workspace)?)
        .env("PATH", process::child_path()?)
        // bpf-linker links no LLVM of its own: it loads the compiler's libLLVM, which it looks
        // for in these directories. The compiler's own must come first, the versions must match.
        .env(
            "LD_LIBRARY_PATH",
            process::prepend_path("LD_LIBRARY_PATH", &sysroot()?.join("lib"))?,
        );
    Ok(command)
}

/// The compiler flags of the kernel half, separated as CARGO_ENCODED_RUSTFLAGS wants it.
fn ebpf_flags(workspace: &Workspace) -> anyhow::Result<OsString> {
    let arch = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
    let mut flags = vec![
        arch,
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    if let Some(linker) = find_program("bpf-linker") {
        flags.push(format!("-Clinker={}", linker.display()));
    }
    flags.extend(remaps(workspace)?);
    Ok(flags.join("\u{1f}").into())
}

fn ebpf_target_dir(workspace: &Workspace) -> PathBuf {
    workspace.target().join("bpf-build")
}

/// Copies `from` to `to` by rename, so that a reader never sees half a file, and not at all when
/// nothing changed, so that the file's time says when the programs did.
fn install(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let dir = to.parent().context("the object has no folder")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let fresh = to.with_extension("o.new");
    fs::write(&fresh, new).with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, to).with_context(|| format!("cannot write {}", to.display()))
}
