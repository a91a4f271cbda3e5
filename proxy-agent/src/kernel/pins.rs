//! Where flatnet's pins are in a bpffs, and whether there is a bpffs at all.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proxy_abi::ownership::map::{self, Pin};
use proxy_abi::ownership::{PIN_LINKS, PIN_MAPS, PIN_PROGRAMS, PIN_ROOT};

use super::filesystem;

/// The pins of one node.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
    /// Layouts of maps other than those that this code knows.
    layouts: BTreeMap<String, u32>,
}

/// The folders of the pins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// Nothing of that kind is mounted there.
    #[error("{path} is no bpffs; mount one with: mount -t bpf bpffs {path}")]
    NoBpffs {
        /// The folder.
        path: PathBuf,
    },
    /// A folder could not be read or made.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Pins {
    /// The pins below a mounted bpffs.
    ///
    /// # Errors
    /// [`PinsError`] if `bpffs` is not one.
    pub fn below(bpffs: &Path) -> Result<Self, PinsError> {
        let path = bpffs.to_path_buf();
        match filesystem::kind(bpffs) {
            Ok(filesystem::BPFFS) => Ok(Self {
                root: bpffs.join(PIN_ROOT),
                layouts: BTreeMap::new(),
            }),
            Ok(_) => Err(PinsError::NoBpffs { path }),
            Err(source) => Err(PinsError::Io { path, source }),
        }
    }

    /// Pins in a folder that is no bpffs, for tests: nothing is pinned there.
    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            root: folder.join(PIN_ROOT),
            layouts: BTreeMap::new(),
        }
    }

    /// The same with these maps in other layouts than this code knows, as another version's would
    /// be.
    #[must_use]
    pub fn with_layouts(mut self, layouts: impl IntoIterator<Item = (String, u32)>) -> Self {
        self.layouts.extend(layouts);
        self
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// [`PinsError::Io`].
    pub fn create(&self) -> Result<(), PinsError> {
        for path in [self.maps(), self.programs(), self.links()] {
            fs::create_dir_all(&path).map_err(|source| PinsError::Io { path, source })?;
        }
        Ok(())
    }

    /// The folder of all pins.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the maps.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.root.join(PIN_MAPS)
    }

    /// The pin of a map.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        let known = Pin::of(name);
        let layout = self.layouts.get(map::owner(name)).copied();
        let layout = layout.unwrap_or(known.layout);
        self.maps().join(Pin { layout, ..known }.to_string())
    }

    /// The folder of the programs.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.root.join(PIN_PROGRAMS)
    }

    /// The pin of a program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }

    /// The folder of the links.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.root.join(PIN_LINKS)
    }

    /// The pin of a link.
    #[must_use]
    pub fn link(&self, name: &str) -> PathBuf {
        self.links().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_bpffs_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = Pins::below(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is no bpffs; mount one with"), "{error}");
    }

    #[test]
    fn slots_are_new_with_the_frontends_that_name_them() {
        let pins = Pins::at(Path::new("/x")).with_layouts([("frontends".to_owned(), 3)]);
        for (name, expected) in [
            ("frontends", "frontends-3"),
            ("endpoints", "endpoints-3"),
            ("flows", "flows"),
        ] {
            assert_eq!(pins.map(name), pins.maps().join(expected));
        }
    }
}
