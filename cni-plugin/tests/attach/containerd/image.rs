//! An OCI image of one layer, made of a static busybox: nothing is fetched. The archive is made
//! by tar(1), the digests by sha256sum(1).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What the server in it serves.
pub(crate) const PAGE: &str = "hello from a container\n";

/// The image as an archive that `ctr image import` takes.
pub(crate) fn archive(busybox: &Path, name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let layer = layer(busybox);
    let digest = digest(&layer);
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let blobs = folder.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |content: &[u8], kind: &str| -> Value {
        let digest = self::digest(content);
        fs::write(blobs.join(&digest), content).unwrap();
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": content.len()})
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest_type,
        "config": put(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(&layer, "application/vnd.oci.image.layer.v1.tar")],
    });
    let mut entry = put(manifest.to_string().as_bytes(), manifest_type);
    entry["annotations"] = json!({"io.containerd.image.name": name});
    entry["platform"] = json!({"architecture": architecture, "os": "linux"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    fs::write(
        folder.path().join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    tar(folder.path())
}

fn layer(busybox: &Path) -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    for folder in ["bin", "etc", "www"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    let bin = root.path().join("bin");
    fs::copy(busybox, bin.join("busybox")).unwrap();
    for command in ["httpd", "ip", "sh", "sleep", "wget"] {
        std::os::unix::fs::symlink("busybox", bin.join(command)).unwrap();
    }
    fs::write(root.path().join("www/index.html"), PAGE).unwrap();
    tar(root.path())
}

fn tar(folder: &Path) -> Vec<u8> {
    let archive = Command::new("tar")
        .arg("-C")
        .arg(folder)
        .args(["-c", "."])
        .output()
        .unwrap();
    assert!(archive.status.success());
    archive.stdout
}

fn digest(content: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    let input = Stdio::from(fs::File::open(file.path()).unwrap());
    let output = Command::new("sha256sum").stdin(input).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').next().unwrap().to_owned()
}
