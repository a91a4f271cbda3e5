//! `flatnet-agent prepare` in a mount namespace of its own.

mod kernel;

use std::fs;
use std::path::Path;

use kernel::{isolate, object};
use proxy_agent::args::PrepareOptions;
use proxy_agent::kernel::filesystem;
use proxy_agent::prepare::prepare;

fn options(bpffs: &Path, plugin: &Path, bin: &Path) -> PrepareOptions {
    PrepareOptions {
        bpffs: bpffs.to_path_buf(),
        cni_plugin: plugin.to_path_buf(),
        cni_bin_dir: bin.to_path_buf(),
    }
}

#[test]
fn a_bare_node_gets_bpffs_and_plugin_and_a_broken_one_the_remedy() {
    if object("prepare").is_none() {
        return;
    }
    isolate();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("plugin"), "a program").expect("written");
    let good = options(&at("bpf"), &at("plugin"), &at("bin"));
    for _ in 0..2 {
        prepare(&good).expect("prepared");
        let kind = filesystem::kind(&at("bpf")).expect("there");
        assert_eq!(kind, filesystem::BPFFS);
        assert_eq!(
            fs::read(at("bin/flatnet-cni")).expect("there"),
            b"a program"
        );
    }
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("mounts");
    let place = at("bpf").display().to_string();
    let mounted = mounts.lines().filter(|line| line.contains(&place)).count();
    assert_eq!(mounted, 1, "mounted once");

    let said = |options| prepare(&options).expect_err("broken").to_string();
    // Below a file nobody can make a folder.
    let below = at("plugin").join("x");
    let error = said(options(&below, &at("plugin"), &at("bin")));
    assert!(error.contains("mount -t bpf bpffs"), "{error}");
    let error = said(options(&at("bpf"), &at("nowhere"), &at("bin")));
    assert!(error.contains("cannot read the CNI plugin"), "{error}");
    let error = said(options(&at("bpf"), &at("plugin"), &below));
    assert!(error.contains("--cni-bin-dir"), "{error}");
}
