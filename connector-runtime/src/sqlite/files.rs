//! The files of a store: where they lie and how they are opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, ffi};

use super::{
    fault::At,
    migrate::{self, Step},
    statistics,
};
use crate::store::StoreError;

const CONTROL: &str = "control";

/// How long to wait for other processes' transactions on `control.db`.
const CONTROL_PATIENCE: Duration = Duration::from_secs(5);

/// The same for a file of tables, which users' programs may hold, while nobody else gets on.
pub(super) const DATA_PATIENCE: Duration = Duration::from_secs(2);

/// Statements that are kept ready on a connection.
const STATEMENTS: usize = 512;

/// Creates the folder where it is missing.
pub(super) fn create_folder(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(|error| {
        let what = format!(
            "cannot create the store's folder {}: name a folder that this user may write to, not a file",
            dir.display()
        );
        StoreError::failed(what, error)
    })
}

/// The file with connectors and leases.
pub(super) fn control_path(dir: &Path) -> PathBuf {
    dir.join("control.db")
}

/// The file of a database's tables, whether it exists or not. As everywhere in SQLite, case makes no difference.
pub(super) fn data_path(dir: &Path, database: &str) -> Result<PathBuf, StoreError> {
    let exact = format!("{database}.db");
    let path = dir.join(&exact);
    if path.exists() {
        return Ok(path);
    }
    let entries = fs::read_dir(dir).map_err(|error| {
        StoreError::failed(format!("cannot read the store's folder {}", dir.display()), error)
    })?;
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.eq_ignore_ascii_case(&exact)) {
            return Ok(entry.path());
        }
    }
    Ok(path)
}

/// Whether users' tables can be in a database of that name.
pub(super) fn is_reserved(database: &str) -> bool {
    database.eq_ignore_ascii_case(CONTROL)
}

/// Opens `control.db` for writing, in the newest layout.
pub(super) fn open_control(dir: &Path) -> Result<Connection, StoreError> {
    open_writer(&control_path(dir), CONTROL_PATIENCE, migrate::CONTROL)
}

/// Opens a file of tables for writing, in the newest layout.
pub(super) fn open_data(file: &Path) -> Result<Connection, StoreError> {
    let mut connection = open_writer(file, DATA_PATIENCE, migrate::DATA)?;
    statistics::restore(&mut connection).at(file)?;
    Ok(connection)
}

/// Opens `control.db` for reading alone.
pub(super) fn open_control_reader(dir: &Path) -> Result<Connection, StoreError> {
    let path = control_path(dir);
    let connection = open_reader(&path)?;
    migrate::require(&connection, &path, migrate::CONTROL)?;
    Ok(connection)
}

/// Opens a file for reading alone.
pub(super) fn open_reader(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).at(file)?;
    keep_plans(&connection).at(file)?;
    connection.busy_timeout(CONTROL_PATIENCE).at(file)?;
    connection.pragma_update(None, "query_only", true).at(file)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn open_writer(file: &Path, patience: Duration, steps: &[Step]) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).at(file)?;
    keep_plans(&connection).at(file)?;
    connection.busy_timeout(patience).at(file)?;
    if connection.is_readonly(MAIN_DB).at(file)? {
        let read_only = ffi::Error::new(ffi::SQLITE_READONLY);
        return Err(rusqlite::Error::SqliteFailure(read_only, None)).at(file);
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    keep_track_of_free_pages(&connection).at(file)?;
    use_wal(&connection).at(file)?;
    connection.pragma_update(None, "synchronous", "FULL").at(file)?;
    connection.pragma_update(None, "foreign_keys", false).at(file)?;
    connection.pragma_update(None, "temp_store", "MEMORY").at(file)?;
    connection.pragma_update(None, "cache_size", -16_384).at(file)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000).at(file)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20).at(file)?;
    migrate::migrate(&mut connection, file, steps)?;
    Ok(connection)
}

/// A prepared statement stays as it is. SQLite would otherwise prepare some of them anew for each value that is bound.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Lets space be given back later. Only a file without tables takes this. Where it is so already, saying it again would
/// wait for other processes' transactions, and a store can be opened, and read, while one of them is stuck.
fn keep_track_of_free_pages(connection: &Connection) -> rusqlite::Result<()> {
    const INCREMENTAL: i64 = 2;
    let is: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
    if is != INCREMENTAL {
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    }
    Ok(())
}

/// Changing to WAL takes the file for itself without waiting, and processes that open a new store may race for it.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut left = 500;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && left > 0 => {
                left -= 1;
                thread::sleep(Duration::from_millis(10));
            }
            result => return result.map(drop),
        }
    }
}
