//! Brings a file to the newest layout: numbered steps, each applied once, its text checked ever after.

mod tables;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use xxhash_rust::xxh3::xxh3_64;

use super::fault::At;
use crate::store::StoreError;

/// A step to the next layout.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// What happens in every file.
    File(&'static str),
    /// What happens for each table of a file, see [`tables::apply`].
    Tables(&'static str),
}

/// The steps to the newest layout of `control.db`.
pub(super) const CONTROL: &[Step] = &[Step::File(include_str!("sql/control/0001_connectors.sql"))];

/// The steps to the newest layout of a file of tables.
pub(super) const DATA: &[Step] = &[
    Step::File(include_str!("sql/data/0001_ticks.sql")),
    Step::File(include_str!("sql/data/0002_epoch.sql")),
    Step::Tables(include_str!("sql/data/0003_numbered_series.sql")),
    Step::Tables(include_str!("sql/data/0004_slots.sql")),
    Step::Tables(include_str!("sql/data/0005_no_slots.sql")),
    Step::File(include_str!("sql/data/0006_blooms.sql")),
];

/// Applies the steps that are missing, in one transaction: two processes that race do it once.
pub(super) fn migrate(connection: &mut Connection, file: &Path, steps: &[Step]) -> Result<(), StoreError> {
    if check(connection, file, steps)? == steps.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).at(file)?;
    let done = check(&transaction, file, steps)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS \"$migrations\" (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL)")
        .at(file)?;
    if done > 0 {
        let (from, to) = (done, steps.len());
        tracing::info!(file = %file.display(), from, to, "bringing a file to the newest layout");
    }
    for (number, step) in (1_i64..).zip(steps).skip(done) {
        match step {
            Step::File(sql) => transaction.execute_batch(sql),
            Step::Tables(sql) => tables::apply(&transaction, sql),
        }
        .at(file)?;
        let row = (number, checksum(step));
        transaction.execute("INSERT INTO \"$migrations\" VALUES (?1, ?2)", row).at(file)?;
    }
    transaction.pragma_update(None, "user_version", newest(steps)).at(file)?;
    transaction.commit().at(file)
}

/// How many of the steps were applied.
pub(super) fn check(connection: &Connection, file: &Path, steps: &[Step]) -> Result<usize, StoreError> {
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

/// Makes sure that a file that is only read has the newest layout.
pub(super) fn require(connection: &Connection, file: &Path, steps: &[Step]) -> Result<(), StoreError> {
    let done = check(connection, file, steps)?;
    if done < steps.len() {
        return Err(StoreError::failed(
            format!(
                "{} has the layout of an earlier version: a daemon has to open its folder first",
                file.display()
            ),
            format!("it has layout {done}, and this version reads layout {}", steps.len()),
        ));
    }
    Ok(())
}

fn newest(steps: &[Step]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

fn checksum(step: &Step) -> i64 {
    let (Step::File(sql) | Step::Tables(sql)) = step;
    xxh3_64(sql.as_bytes()).cast_signed()
}
