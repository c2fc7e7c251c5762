//! Notices that a file was moved or removed while it was open: what is written to it then would land nowhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// Which file lay at a path.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: Option<Id>,
}

impl Place {
    /// The file that is there now.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), file: id(path) }
    }

    /// The path that this is about.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether that file is still there.
    pub(super) fn holds(&self) -> bool {
        id(&self.path) == self.file
    }

    /// The error of one that is not.
    pub(super) fn gone(&self) -> StoreError {
        StoreError::failed(
            format!("{} is gone: put it back, or stop the daemon to begin anew", self.path.display()),
            "the file or its folder was moved or removed while it was in use",
        )
    }
}

#[cfg(unix)]
type Id = (u64, u64);

#[cfg(unix)]
fn id(path: &Path) -> Option<Id> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
type Id = ();

#[cfg(not(unix))]
fn id(path: &Path) -> Option<Id> {
    fs::metadata(path).ok().map(drop)
}
