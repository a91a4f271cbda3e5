//! An image archive, unpacked: what the containers that name the image see as their files.
//!
//! One archive, as `cargo xtask image` makes it (an OCI layout in a tar file). It is unpacked once
//! a lab, and every container of it sees the same files, read-only.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Folders and files that a runtime mounts something over in every container.
const FOLDERS: [&str; 6] = ["proc", "sys", "dev", "etc", "tmp", "run"];
const FILES: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];

/// An unpacked image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    /// The name by which containers ask for it.
    pub(crate) name: String,
    /// Where its files are.
    pub(crate) root: PathBuf,
    /// The variables that it gives its processes.
    pub(crate) environment: Vec<(String, String)>,
}

impl Image {
    /// Unpacks `archive` into `root`.
    ///
    /// # Errors
    /// When it cannot be read, or is no OCI layout of one image.
    pub(crate) fn unpack(archive: &Path, root: &Path) -> io::Result<Self> {
        let files = read(archive)?;
        let index = json(&files, "index.json")?;
        let described = &index["manifests"][0];
        let name = text(&described["annotations"]["io.containerd.image.name"])?;
        let manifest = json(&files, &blob(described)?)?;
        let config = json(&files, &blob(&manifest["config"])?)?;
        fs::create_dir_all(root)?;
        let layers = manifest["layers"].as_array().ok_or_else(|| odd("layers"))?;
        for layer in layers {
            let packed = file(&files, &blob(layer)?)?;
            tar::Archive::new(GzDecoder::new(packed)).unpack(root)?;
        }
        for folder in FOLDERS {
            fs::create_dir_all(root.join(folder))?;
        }
        for file in FILES {
            File::create(root.join(file))?;
        }
        let variables = config["config"]["Env"].as_array().into_iter().flatten();
        let pairs = variables.filter_map(|variable| variable.as_str()?.split_once('='));
        Ok(Self {
            name,
            root: root.to_owned(),
            environment: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        })
    }

    /// Where the image searches programs.
    pub(crate) fn path(&self) -> &str {
        let path = self.environment.iter().find(|(name, _)| name == "PATH");
        path.map_or("/usr/bin:/bin", |(_, path)| path)
    }
}

type Files = BTreeMap<String, Vec<u8>>;

fn read(archive: &Path) -> io::Result<Files> {
    let opened = File::open(archive)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", archive.display())))?;
    let mut files = Files::new();
    for entry in tar::Archive::new(opened).entries()? {
        let mut entry = entry?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(entry.path()?.display().to_string(), bytes);
    }
    Ok(files)
}

fn file<'a>(files: &'a Files, path: &str) -> io::Result<&'a [u8]> {
    files.get(path).map(Vec::as_slice).ok_or_else(|| odd(path))
}

fn json(files: &Files, path: &str) -> io::Result<Value> {
    Ok(serde_json::from_slice(file(files, path)?)?)
}

/// The path of what a descriptor names.
fn blob(descriptor: &Value) -> io::Result<String> {
    Ok(format!(
        "blobs/{}",
        text(&descriptor["digest"])?.replace(':', "/")
    ))
}

fn text(value: &Value) -> io::Result<String> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| odd("a name or digest"))
}

fn odd(what: &str) -> io::Error {
    let text = format!("no image archive: it lacks {what}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.tar");
        let mut builder = tar::Builder::new(File::create(&path).expect("made"));
        let mut header = tar::Header::new_ustar();
        header.set_size(2);
        builder
            .append_data(&mut header, "index.json", &b"{}"[..])
            .expect("written");
        builder.finish().expect("finished");
        let error = Image::unpack(&path, folder.path()).expect_err("no image");
        assert!(error.to_string().contains("it lacks"), "{error}");
        let error = Image::unpack(&folder.path().join("none"), folder.path());
        assert!(error.expect_err("nothing").to_string().contains("none"));
    }
}
