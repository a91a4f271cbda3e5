//! A kernel to boot: Debian's package of it, downloaded and unpacked below the target folder, and
//! never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::process::{self, Step, capture};

/// Which kernel is asked for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The newest package of this version, of those in the machine's package lists.
    Version(String),
    /// This package file.
    Package(PathBuf),
}

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Its full version, as `uname -r` says it.
    pub(super) release: String,
    /// What the package would install below `/`.
    root: PathBuf,
}

impl Kernel {
    /// Finds it, and brings it into `folder` if it is not there.
    pub(super) fn find(wanted: &Wanted, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        match wanted {
            Wanted::Version(version) => {
                let package = newest(version)?;
                let root = folder.join(&package);
                if !root.exists() {
                    let step = Step::start(format!("downloading {package}"));
                    let file = download(&package, folder)?;
                    unpack(&file, &root)?;
                    fs::remove_file(file)?;
                    step.done();
                }
                Self::open(root)
            }
            Wanted::Package(file) => {
                let name = file.file_stem().context("--image names no file")?;
                let root = folder.join(name);
                if !root.exists() {
                    unpack(file, &root)?;
                }
                Self::open(root)
            }
        }
    }

    fn open(root: PathBuf) -> anyhow::Result<Self> {
        let modules = root.join("lib/modules");
        let mut entries =
            fs::read_dir(&modules).with_context(|| format!("{} has no modules", root.display()))?;
        let entry = entries.next().context("a kernel package has modules")??;
        let release = entry.file_name().to_string_lossy().into_owned();
        Ok(Self { release, root })
    }

    /// What the machine boots.
    pub(super) fn image(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The folder of its modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }
}

/// The name of the newest package of a version, by the number of its build.
fn newest(version: &str) -> anyhow::Result<String> {
    let names = capture(Command::new("apt-cache").args(["pkgnames", "linux-image-"]))
        .context("kernels come in Debian's packages (or by --image)")?;
    match newest_of(names.lines(), version) {
        Some(name) => Ok(name.to_owned()),
        None => bail!(
            "no linux-image-{version}.*-amd64 in this machine's package lists: `apt-get update`, \
             add the sources of a Debian that has it (6.1: bookworm), or give its file by --image"
        ),
    }
}

fn newest_of<'a>(names: impl Iterator<Item = &'a str>, version: &str) -> Option<&'a str> {
    let prefix = format!("linux-image-{version}.");
    let build = |name: &str| -> Option<Vec<u32>> {
        let rest = name.strip_prefix(&prefix)?.strip_suffix("-amd64")?;
        // No `-rt`, no `-cloud` (that one has no 9p to see our files by).
        let is_plain = rest.split('-').all(|part| {
            let part = part.split("+deb").next().unwrap_or(part);
            part.chars()
                .all(|c| c.is_ascii_digit() || ".+bpo".contains(c))
        });
        let numbers = rest.split(|c: char| !c.is_ascii_digit());
        is_plain.then(|| numbers.filter_map(|number| number.parse().ok()).collect())
    };
    names
        .filter_map(|name| Some((build(name)?, name)))
        .max()
        .map(|(_, name)| name)
}

fn download(package: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new("apt-get");
    command
        .args(["-q", "-o", "APT::Sandbox::User=root", "download", package])
        .current_dir(folder);
    capture(&mut command).context("if the package lists are old: `apt-get update`")?;
    let prefix = format!("{package}_");
    let file = fs::read_dir(folder)?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    Ok(file.context("apt-get downloaded nothing")?.path())
}

/// Unpacks a package, and lists its modules as installing it would do. The folder comes into being
/// at once with all that is in it.
fn unpack(file: &Path, root: &Path) -> anyhow::Result<()> {
    let fresh = root.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    process::run(Command::new("dpkg-deb").arg("-x").arg(file).arg(&fresh))?;
    let Kernel { release, .. } = Kernel::open(fresh.clone())?;
    process::run(
        Command::new("busybox")
            .args(["depmod", "-b"])
            .arg(&fresh)
            .arg(release),
    )?;
    fs::rename(&fresh, root)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_plain_kernel_of_a_version_is_taken() {
        let names = [
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-56-rt-amd64",
            "linux-image-6.1.0-57-cloud-amd64",
            "linux-image-6.1.0-58-amd64-unsigned",
            "linux-image-6.1.0-58-amd64-dbg",
            "linux-image-6.12.9+bpo-amd64",
            "linux-image-6.12.48+deb13-amd64",
            "linux-image-amd64",
        ];
        for (version, expected) in [
            ("6.1", Some("linux-image-6.1.0-56-amd64")),
            ("6.12", Some("linux-image-6.12.48+deb13-amd64")),
            ("6.6", None),
        ] {
            assert_eq!(newest_of(names.into_iter(), version), expected);
        }
    }
}
