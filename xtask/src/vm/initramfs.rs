//! What the kernel starts: busybox, the few modules by which this machine's files are seen, and a
//! script that makes them the root, with the guest's own kernel filesystems in it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::kernel::Kernel;
use crate::process::{capture, feed, find_program};

/// The modules that the script loads. All others are loaded from the files it makes visible.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// Writes the archive into `folder`; when it has done its part, it starts `script`.
pub(super) fn make(kernel: &Kernel, folder: &Path, script: &Path) -> anyhow::Result<PathBuf> {
    let tree = folder.join("initramfs");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    let busybox = find_program("busybox").context("there is no busybox")?;
    if !capture(Command::new(&busybox).arg("--list"))?.contains("modprobe") {
        bail!("this busybox has no modprobe: apt-get install busybox-static");
    }
    copy(&busybox, &tree.join("bin/busybox"))?;
    let modules = kernel.modules();
    let index = modules.join("modules.dep");
    let below = tree.join("lib/modules").join(&kernel.release);
    for file in needed(&fs::read_to_string(&index)?, &MODULES) {
        copy(&modules.join(file), &below.join(file))?;
    }
    copy(&index, &below.join("modules.dep"))?;
    // Where the kernel looks for it. Its helpers keep the root they began with, this archive.
    fs::create_dir(tree.join("sbin"))?;
    symlink("../bin/busybox", tree.join("sbin/modprobe"))?;
    let init = tree.join("init");
    fs::write(&init, init_script(kernel, script))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let archive = folder.join("initramfs.cpio");
    pack(&tree, &archive)?;
    Ok(archive)
}

/// The files of these modules and of those they need, from the text of modules.dep. A module that
/// is not in it is part of the kernel.
fn needed<'a>(index: &'a str, modules: &[&str]) -> Vec<&'a str> {
    let is_wanted = |file: &str| {
        let name = file.rsplit('/').next().unwrap_or(file);
        let name = name.split('.').next().unwrap_or(name);
        modules.contains(&name)
    };
    let mut files: Vec<_> = index
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(file, _)| is_wanted(file))
        .flat_map(|(file, others)| std::iter::once(file).chain(others.split_whitespace()))
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// The first process. The root becomes a mount on the one of the archive, not that one itself,
/// because container runtimes cannot leave the latter (`pivot_root`).
fn init_script(kernel: &Kernel, script: &Path) -> String {
    let (modules, script) = (MODULES.join(" "), script.display());
    let (all, release) = (kernel.modules(), &kernel.release);
    let all = all.display();
    format!(
        r#"#!/bin/busybox sh
busybox() {{ /bin/busybox "$@" || echo "vm: $*: failed"; }}
busybox mkdir -p /proc /below /over /guest
for module in {modules}; do /bin/busybox modprobe $module; done
busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /below
busybox mount --bind '/below{all}' /lib/modules/{release}
busybox mount -t tmpfs -o mode=755 over /over
busybox mkdir /over/upper /over/work
busybox mount -t overlay -o lowerdir=/below,upperdir=/over/upper,workdir=/over/work guest /guest
busybox mount -t proc proc /guest/proc
busybox mount -t sysfs sysfs /guest/sys
busybox mount -t cgroup2 cgroup /guest/sys/fs/cgroup
busybox mount -t bpf bpf /guest/sys/fs/bpf
busybox mount -t devtmpfs dev /guest/dev
busybox mkdir -p /guest/dev/shm /guest/dev/pts
busybox mount -t tmpfs shm /guest/dev/shm
busybox mount -t devpts pts /guest/dev/pts
busybox ln -s /proc/self/fd /guest/dev/fd
busybox mount -t tmpfs -o mode=755 run /guest/run
cd /guest
busybox mount --move . /
/bin/busybox chroot . /bin/sh -c 'exec /bin/sh "$0" < /dev/null > /dev/ttyS1 2>&1' '{script}'
/bin/busybox poweroff -f
"#
    )
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let folder = to.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn pack(tree: &Path, archive: &Path) -> anyhow::Result<()> {
    let names = capture(Command::new("busybox").arg("find").current_dir(tree))?;
    let mut command = Command::new("busybox");
    command
        .args(["cpio", "-o", "-H", "newc", "-F"])
        .arg(archive)
        .current_dir(tree);
    feed(&mut command, &names)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_with_those_they_need() {
        let index = "kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs/netfs.ko\n\
                     kernel/net/9p/9pnet.ko:\n\
                     kernel/fs/overlayfs/overlay.ko.xz:\n\
                     kernel/net/9p/9pnet_fd.ko: kernel/net/9p/9pnet.ko\n";
        assert_eq!(
            needed(index, &["9p", "overlay", "built_in"]),
            [
                "kernel/fs/9p/9p.ko",
                "kernel/fs/netfs/netfs.ko",
                "kernel/fs/overlayfs/overlay.ko.xz",
                "kernel/net/9p/9pnet.ko",
            ]
        );
    }
}
