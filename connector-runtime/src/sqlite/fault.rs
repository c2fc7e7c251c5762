//! What went wrong with a file, said so that an operator knows what to do.

use std::fs::File;
use std::path::Path;

use rusqlite::ErrorCode;
use rustix::io::Errno;

use crate::store::StoreError;

/// Names the file in an error of SQLite's.
pub(super) trait At<T> {
    /// This result, with an error that says which file it was.
    fn at(self, file: &Path) -> Result<T, StoreError>;
}

impl<T> At<T> for rusqlite::Result<T> {
    fn at(self, file: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::failed(describe(&error, file), error))
    }
}

fn describe(error: &rusqlite::Error, file: &Path) -> String {
    let path = file.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("cannot write to {path}: the disk is full; free some space"),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!("cannot write to {path}: it is read-only; let this user write to the file and its folder")
        }
        Some(ErrorCode::CannotOpen) if too_many_are_open(file) => {
            format!("cannot open {path}: too many files are open; raise their limit (`ulimit -n`)")
        }
        Some(ErrorCode::CannotOpen) => {
            format!("cannot open {path}: check that its folder exists and that this user may write there")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => format!(
            "{path} is damaged or no SQLite database: restore it from a backup, or move it away to begin anew"
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{path} is locked by another program: let that program end its transaction")
        }
        Some(ErrorCode::SystemIoFailure) => {
            format!("cannot read or write {path}: the disk or file system failed")
        }
        _ => format!("SQLite failed on {path}"),
    }
}

/// Whether the system refuses to open one more file, of which SQLite does not tell. The folder is tried, as closing the file itself
/// would drop the locks that this process has on it.
fn too_many_are_open(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(file);
    let refused = File::open(folder).err().and_then(|error| Errno::from_io_error(&error));
    matches!(refused, Some(Errno::MFILE | Errno::NFILE))
}

/// A failure that has to be told more than once.
#[derive(Clone, Debug)]
pub(super) struct Told(String, String);

impl Told {
    pub(super) fn new(error: &StoreError) -> Self {
        let cause = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
        Self(error.to_string(), cause)
    }

    pub(super) fn tell(&self) -> StoreError {
        StoreError::failed(self.0.clone(), self.1.clone())
    }
}
