//! Copies of a store, taken while daemons work.
//!
//! Each file is copied as it is at one moment. `control.db` comes first, so that the ledgers know all that it knows, and
//! more: then it is brought into line with them, as after a crash. The other way round it would tell of ticks whose rows
//! are not in the copy.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::{fault::At, files, migrate};
use crate::store::StoreError;

/// What a backup holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Backup {
    /// The copies.
    pub files: Vec<CopiedFile>,
    /// Files that connectors have rows in, by `control.db`, and that do not exist.
    pub missing: Vec<PathBuf>,
}

/// A file of a backup.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CopiedFile {
    /// Its name, which is that of its original too.
    pub name: OsString,
    /// Its size, which may be less than its original's: free pages are left out.
    pub bytes: u64,
}

/// Copies the store in a folder to a folder of that name, which does not exist, or is empty. Daemons may go on meanwhile.
///
/// The copy is there once it is complete and synced; until then it is `to` with `.partial` behind its name. A daemon can
/// be started on it.
///
/// ```no_run
/// # use connector_runtime::{sqlite, store::StoreError};
/// let backup = sqlite::back_up("connectord-data".as_ref(), "/backup/monday".as_ref())?;
/// println!("{} files", backup.files.len());
/// # Ok::<(), StoreError>(())
/// ```
///
/// # Errors
///
/// [`NewerLayout`](StoreError::NewerLayout); [`Failed`](StoreError::Failed) when a file cannot be read, or the copy cannot be
/// written. Then nothing is left of it.
pub fn back_up(dir: &Path, to: &Path) -> Result<Backup, StoreError> {
    let control = files::open_control_reader(dir)?;
    let refused = |why: &str| StoreError::failed(format!("cannot back up to {}", to.display()), why);
    let Some(name) = to.file_name() else { return Err(refused("it has no name")) };
    if to.exists() && !is_empty_folder(to) {
        return Err(refused("it exists already: name a new folder"));
    }
    let mut partial = name.to_owned();
    partial.push(".partial");
    let partial = to.with_file_name(partial);
    if let Some(above) = partial.parent() {
        files::create_folder(above)?;
    }
    fs::create_dir(&partial).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let why = "exists: another backup is being taken, or one was cut off and is to be removed";
            refused(&format!("{} {why}", partial.display()))
        }
        _ => cannot_write(&partial, error),
    })?;
    let done = copy(&control, dir, &partial).and_then(|backup| {
        fs::rename(&partial, to).map_err(|error| cannot_write(to, error))?;
        sync(to.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        Ok(backup)
    });
    if done.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    done
}

fn copy(control: &Connection, dir: &Path, to: &Path) -> Result<Backup, StoreError> {
    let mut backup = Backup::default();
    let path = files::control_path(dir);
    backup.files.push(copy_file(control, &path, to)?);
    // Of the copy, so that no file is missing that it knows of.
    let control = files::open_control_reader(to)?;
    let databases: Vec<String> = control
        .prepare("SELECT DISTINCT database COLLATE NOCASE FROM targets ORDER BY 1")
        .and_then(|mut sql| sql.query_map([], |row| row.get(0))?.collect())
        .at(&path)?;
    drop(control);
    for database in databases {
        let path = files::data_path(dir, &database)?;
        if path.exists() {
            let data = files::open_reader(&path)?;
            migrate::require(&data, &path, migrate::DATA)?;
            backup.files.push(copy_file(&data, &path, to)?);
        } else {
            backup.missing.push(path);
        }
    }
    sync(to)?;
    Ok(backup)
}

fn copy_file(original: &Connection, path: &Path, to: &Path) -> Result<CopiedFile, StoreError> {
    let name = path.file_name().unwrap_or_default();
    let copy = to.join(name);
    let text = copy.to_str().ok_or_else(|| {
        StoreError::failed(format!("cannot write to {}", copy.display()), "its name is not UTF-8")
    })?;
    // It goes for whatever file is written; that the original is not is in how it was opened.
    original.pragma_update(None, "query_only", false).at(path)?;
    let copied = original.execute("VACUUM INTO ?1", [text]);
    // An error does not say of which file it is.
    let code = copied.as_ref().err().and_then(rusqlite::Error::sqlite_error_code);
    let is_of_the_copy =
        matches!(code, Some(ErrorCode::DiskFull | ErrorCode::CannotOpen | ErrorCode::ReadOnly));
    copied.at(if is_of_the_copy { &copy } else { path })?;
    // SQLite leaves that to us.
    sync(&copy)?;
    let bytes = fs::metadata(&copy).map_err(|error| cannot_write(&copy, error))?.len();
    Ok(CopiedFile { name: name.to_owned(), bytes })
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| cannot_write(path, error))
}

fn cannot_write(path: &Path, error: io::Error) -> StoreError {
    StoreError::failed(format!("cannot write to {}", path.display()), error)
}
