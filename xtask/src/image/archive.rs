//! A folder as an image archive (pure but for reading the folder): one layer, its configuration
//! and manifest by the OCI image specification, in an OCI layout that is a `docker save` archive
//! as well, for docker before 25.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::contents::PROGRAM_FOLDER;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A name that no registry answers to, so that nobody is asked for the image if it is missing.
const NAME: &str = "localhost/flatnet";

/// An archive, and the digest of the image in it.
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
}

/// The image's name, as pods say it.
pub(super) fn reference(version: &str) -> String {
    format!("{NAME}:{version}")
}

/// The files below `root` as an archive; `small` rather than soon.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn pack(root: &Path, version: &str, small: bool) -> anyhow::Result<Packed> {
    let layer = layer(root)?;
    let compressed = compress(&layer, small)?;
    let config = config(&layer, version).to_string().into_bytes();
    let manifest = manifest(&config, &compressed).to_string().into_bytes();
    let digest = digest(&manifest);
    let name = reference(version);
    let mut archive = Archive::default();
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.file("index.json", index(&manifest, &name).to_string().as_bytes())?;
    let docker = json!([{
        "Config": blob_path(&config),
        "RepoTags": [name],
        "Layers": [blob_path(&compressed)],
    }]);
    archive.file("manifest.json", docker.to_string().as_bytes())?;
    for blob in [&manifest, &config, &compressed] {
        archive.file(&blob_path(blob), blob)?;
    }
    Ok(Packed {
        bytes: archive.0.into_inner()?,
        digest,
    })
}

fn config(layer: &[u8], version: &str) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        // Nobody's clock is in the image.
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": [format!("PATH=/{PROGRAM_FOLDER}")],
            "Labels": {
                "org.opencontainers.image.title": "flatnet",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [digest(layer)] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask image" }],
    })
}

fn manifest(config: &[u8], layer: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer)],
    })
}

fn index(manifest: &[u8], name: &str) -> Value {
    let mut of_manifest = descriptor(MANIFEST, manifest);
    of_manifest["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    of_manifest["annotations"] = json!({
        // By the first containerd names it, by the second whoever follows the specification.
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name,
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [of_manifest],
    })
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

/// The architecture in Go's words, which are the specification's.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", hex(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes);
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn compress(layer: &[u8], small: bool) -> anyhow::Result<Vec<u8>> {
    let level = if small {
        Compression::best()
    } else {
        Compression::fast()
    };
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), level);
    encoder.write_all(layer)?;
    Ok(encoder.finish()?)
}

/// The files below `root`, folders before what is in them, sorted.
fn layer(root: &Path) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.below(root, Path::new(""))?;
    Ok(archive.0.into_inner()?)
}

/// A tar file whose entries are root's and as old as time.
struct Archive(Builder<Vec<u8>>);

impl Default for Archive {
    fn default() -> Self {
        Self(Builder::new(Vec::new()))
    }
}

impl Archive {
    fn below(&mut self, root: &Path, folder: &Path) -> anyhow::Result<()> {
        let here = root.join(folder);
        let entries = fs::read_dir(&here).with_context(|| here.display().to_string())?;
        let names: Result<Vec<_>, _> = entries.map(|e| e.map(|e| e.file_name())).collect();
        let mut names = names?;
        names.sort();
        for name in names {
            let path: PathBuf = folder.join(name);
            let meta = root.join(&path).metadata()?;
            if meta.is_dir() {
                self.entry(
                    &format!("{}/", path.display()),
                    EntryType::Directory,
                    0o755,
                    &[],
                )?;
                self.below(root, &path)?;
            } else {
                use std::os::unix::fs::PermissionsExt as _;
                let bytes = fs::read(root.join(&path))?;
                let mode = meta.permissions().mode() & 0o777;
                self.entry(
                    &path.display().to_string(),
                    EntryType::Regular,
                    mode,
                    &bytes,
                )?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.entry(path, EntryType::Regular, 0o644, bytes)
    }

    fn entry(
        &mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        self.0
            .append_data(&mut header, path, bytes)
            .with_context(|| path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn folder(test: &str, order: &[&str]) -> Folder {
        let root =
            std::env::temp_dir().join(format!("flatnet-image-{}-{test}", std::process::id()));
        for name in order {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, name).expect("written");
        }
        Folder(root)
    }

    fn entries(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(tar);
        let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.expect("an entry");
            assert_eq!(entry.header().mtime().expect("a time"), 0);
            assert_eq!(entry.header().uid().expect("an owner"), 0);
            let path = entry.path().expect("a path").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("bytes");
            (path, bytes)
        };
        archive.entries().expect("a tar").map(read).collect()
    }

    #[test]
    fn the_order_and_time_of_writing_do_not_matter() {
        let one = folder("one", &["usr/bin/b", "usr/bin/a", "etc/x"]);
        let two = folder("two", &["etc/x", "usr/bin/a", "usr/bin/b"]);
        let packed = |folder: &Folder| pack(&folder.0, "1.2.3", true).expect("packed");
        let (one, two) = (packed(&one), packed(&two));
        assert_eq!(one.digest, two.digest);
        assert!(one.bytes == two.bytes, "the archives differ");
    }

    #[test]
    fn every_blob_is_what_it_is_called_and_holds_the_files() {
        let folder = folder("blobs", &["usr/bin/a", "usr/lib/o"]);
        let packed = pack(&folder.0, "1.2.3", false).expect("packed");
        let files: BTreeMap<String, Vec<u8>> = entries(&packed.bytes).into_iter().collect();
        let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().expect("a digest");
            let path = format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
            let bytes = files[&path].clone();
            assert_eq!(digest, super::digest(&bytes), "the content has its name");
            assert_eq!(descriptor["size"], bytes.len());
            bytes
        };
        let index = parsed(&files["index.json"]);
        assert_eq!(index["manifests"][0]["digest"], packed.digest);
        let name = &index["manifests"][0]["annotations"]["io.containerd.image.name"];
        assert_eq!(name, "localhost/flatnet:1.2.3");
        let manifest = parsed(&blob(&index["manifests"][0]));
        let config = parsed(&blob(&manifest["config"]));
        assert_eq!(config["config"]["Env"], json!(["PATH=/usr/bin"]));
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(blob(&manifest["layers"][0]).as_slice())
            .read_to_end(&mut layer)
            .expect("gzip");
        assert_eq!(config["rootfs"]["diff_ids"][0], super::digest(&layer));
        let paths: Vec<_> = entries(&layer).into_iter().map(|(path, _)| path).collect();
        let expected = ["usr/", "usr/bin/", "usr/bin/a", "usr/lib/", "usr/lib/o"];
        assert_eq!(paths, expected);
        let docker = parsed(&files["manifest.json"]);
        for path in [&docker[0]["Config"], &docker[0]["Layers"][0]] {
            assert!(files.contains_key(path.as_str().expect("a path")), "{path}");
        }
    }
}
