//! Brings a file to the newest layout: numbered steps, each applied once, its text checked ever after.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use xxhash_rust::xxh3::xxh3_64;

use super::fault::At;
use crate::store::StoreError;

/// The steps to the newest layout of `control.db`.
pub(super) const CONTROL: &[&str] = &[include_str!("sql/control/0001_connectors.sql")];

/// The steps to the newest layout of a file of tables.
pub(super) const DATA: &[&str] =
    &[include_str!("sql/data/0001_ticks.sql"), include_str!("sql/data/0002_epoch.sql")];

/// Applies the steps that are missing, in one transaction: two processes that race do it once.
pub(super) fn migrate(connection: &mut Connection, file: &Path, steps: &[&str]) -> Result<(), StoreError> {
    if check(connection, file, steps)? == steps.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).at(file)?;
    let done = check(&transaction, file, steps)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS \"$migrations\" (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL)")
        .at(file)?;
    for (number, step) in (1_i64..).zip(steps).skip(done) {
        transaction.execute_batch(step).at(file)?;
        let row = (number, checksum(step));
        transaction.execute("INSERT INTO \"$migrations\" VALUES (?1, ?2)", row).at(file)?;
    }
    transaction.pragma_update(None, "user_version", newest(steps)).at(file)?;
    transaction.commit().at(file)
}

/// How many of the steps were applied.
pub(super) fn check(connection: &Connection, file: &Path, steps: &[&str]) -> Result<usize, StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).at(file)?;
    let known = newest(steps);
    if found > known {
        return Err(StoreError::NewerLayout { place: file.display().to_string(), found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (number, step) in (1_i64..).zip(steps).take(done) {
        let sum: Option<i64> = connection
            .query_row("SELECT checksum FROM \"$migrations\" WHERE number = ?1", [number], |row| row.get(0))
            .optional()
            .at(file)?;
        if sum != Some(checksum(step)) {
            return Err(StoreError::failed(
                format!("{} was written by another program", file.display()),
                format!("step {number} of its layout is not the one that this version knows"),
            ));
        }
    }
    Ok(done)
}

fn newest(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

fn checksum(step: &str) -> i64 {
    xxh3_64(step.as_bytes()).cast_signed()
}
