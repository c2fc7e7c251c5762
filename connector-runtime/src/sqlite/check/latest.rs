//! Whether `control.db` and the ledgers agree on each connector's latest tick.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use crate::model::{Millis, TickRecord, format_millis};
use crate::sqlite::{fault::At, files};
use crate::store::StoreError;

/// What `control.db` says of a connector's latest tick, unless it is being written.
struct Latest {
    id: String,
    name: String,
    tick: Option<TickRecord>,
}

/// Compares what `control.db` knows of each connector's latest tick with the ledgers.
pub(super) fn compare(
    control: &Connection,
    path: &Path,
    databases: &BTreeMap<String, PathBuf>,
    faults: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<(), StoreError> {
    let latest: Vec<Latest> = control
        .prepare(include_str!("../sql/check/latest_ticks.sql"))
        .and_then(|mut sql| {
            let read = |row: &rusqlite::Row<'_>| {
                let tick: Option<String> = row.get(2)?;
                let tick = tick.and_then(|tick| serde_json::from_str(&tick).ok());
                Ok(Latest { id: row.get(0)?, name: row.get(1)?, tick })
            };
            sql.query_map([], read)?.collect()
        })
        .at(path)?;
    let mut ledgers = Vec::new();
    for path in databases.values() {
        // A file that cannot be read was told of already.
        if let Ok(connection) = files::open_reader(path)
            && connection.execute_batch("BEGIN").is_ok()
        {
            ledgers.push(connection);
        }
    }
    let mut behind = 0;
    for Latest { id, name, tick } in &latest {
        let (mut found, mut newest) = (Vec::new(), None);
        let bucket = tick.as_ref().map(|tick| tick.scheduled_for);
        for ledger in &ledgers {
            found.extend(recorded(ledger, id, bucket).unwrap_or_default());
            newest = newest.max(newest_bucket(ledger, id).unwrap_or_default());
        }
        if newest > bucket {
            behind += 1;
        }
        let Some(tick) = tick else { continue };
        let wanted = (tick.outcome.as_str().to_owned(), tick.rows);
        if !found.contains(&wanted) {
            faults.push(format!(
                "{}: connector {name:?} ended its tick of {} as {} with {} rows, and the ledger has {}",
                path.display(),
                format_millis(tick.scheduled_for),
                wanted.0,
                wanted.1,
                found
                    .first()
                    .map_or("no such tick".to_owned(), |(outcome, rows)| format!("{outcome} with {rows}")),
            ));
        }
    }
    if behind > 0 {
        notes.push(format!(
            "{}: the ledgers have later ticks of {behind} connectors; their next ticks bring it into line",
            path.display()
        ));
    }
    Ok(())
}

/// How a bucket ended, by the ledger.
fn recorded(
    ledger: &Connection,
    id: &str,
    bucket: Option<Millis>,
) -> rusqlite::Result<Option<(String, u64)>> {
    ledger
        .prepare_cached(
            "SELECT outcome, rows FROM \"$ticks\"
             WHERE connector = (SELECT id FROM \"$connectors\" WHERE uuid = ?1) AND scheduled_for = ?2",
        )?
        .query_row((id, bucket), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))
        .optional()
}

fn newest_bucket(ledger: &Connection, id: &str) -> rusqlite::Result<Option<Millis>> {
    ledger
        .prepare_cached(
            "SELECT max(scheduled_for) FROM \"$ticks\"
             WHERE connector = (SELECT id FROM \"$connectors\" WHERE uuid = ?1)",
        )?
        .query_row([id], |row| row.get(0))
}
