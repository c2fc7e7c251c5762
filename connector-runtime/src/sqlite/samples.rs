//! Writes the samples of a tick.
//!
//! A tick's samples are the last of their table, and consecutive numbers make consecutive ids. So only the first of a run
//! is told its id: the others get the next one from SQLite, which then seeks no place for them, and copies no page by
//! which it could take back a part of them.

use std::fmt;

use connector_core::{ColumnData, Role, Rows, Schema};
use rusqlite::{CachedStatement, Connection};

use super::{
    series::{Resolved, Run},
    table::{Inserts, Table, ids_of},
};

/// Shorter runs are not worth statements of their own.
const LONG: usize = 8;

/// Writes a row for each of `resolved`, whose tick has the greatest id of all that the table has samples of.
pub(super) fn write(
    connection: &Connection,
    table: &Table,
    tick: i64,
    rows: &Rows,
    resolved: &Resolved,
) -> rusqlite::Result<()> {
    let mut samples = Samples {
        connection,
        values: values(&table.schema, rows),
        resolved,
        position: 0,
        json: String::new(),
    };
    let first = *ids_of(tick).start();
    let is_long = |run: &Run| run.len >= LONG && table.appended.is_some();
    for runs in resolved.runs().chunk_by(|one, next| !is_long(one) && !is_long(next)) {
        match (&table.appended, runs) {
            (Some(appended), [run]) if is_long(run) => {
                let id = first + run.first;
                samples.insert(&table.samples, 1, Some(id..))?;
                samples.insert(appended, run.len - 1, None::<std::ops::RangeFrom<i64>>)?;
                if connection.last_insert_rowid() != id + run.len as i64 - 1 {
                    return Err(rusqlite::Error::ToSqlConversionFailure(Box::new(Misplaced)));
                }
            }
            _ => {
                let len = runs.iter().map(|run| run.len).sum();
                let ids = runs.iter().flat_map(|run| (first + run.first..).take(run.len));
                samples.insert(&table.samples, len, Some(ids))?;
            }
        }
    }
    Ok(())
}

fn values<'a>(schema: &Schema, rows: &'a Rows) -> Vec<&'a ColumnData> {
    schema.with_role(Role::Value).map(|(i, _)| &rows.columns()[i]).collect()
}

/// The samples of a tick that are yet to be written.
struct Samples<'a> {
    connection: &'a Connection,
    values: Vec<&'a ColumnData>,
    resolved: &'a Resolved,
    position: usize,
    json: String,
}

impl Samples<'_> {
    /// Writes the next ones, with these ids where they are told.
    fn insert(
        &mut self,
        inserts: &Inserts,
        len: usize,
        mut ids: Option<impl Iterator<Item = i64>>,
    ) -> rusqlite::Result<()> {
        let end = self.position + len;
        for (size, sql) in inserts.sizes() {
            if self.position + size > end {
                continue;
            }
            let mut insert = self.connection.prepare_cached(sql)?;
            while self.position + size <= end {
                let mut at = 0;
                for _ in 0..size {
                    if let Some(ids) = &mut ids {
                        at += 1;
                        insert.raw_bind_parameter(at, ids.next())?;
                    }
                    self.bind(&mut insert, &mut at)?;
                }
                insert.raw_execute()?;
                fail_point!("rows");
            }
        }
        Ok(())
    }

    /// Binds the values of the next row, after the parameter `at`.
    fn bind(&mut self, insert: &mut CachedStatement<'_>, at: &mut usize) -> rusqlite::Result<()> {
        let row = self.resolved.row(self.position);
        self.position += 1;
        for column in &self.values {
            *at += 1;
            match column {
                ColumnData::Real(reals) => insert.raw_bind_parameter(*at, reals.get(row))?,
                ColumnData::Timestamp(times) => insert.raw_bind_parameter(*at, times.get(row))?,
                ColumnData::String(strings) => insert.raw_bind_parameter(*at, strings.get(row))?,
                ColumnData::Dynamic(maps) => {
                    self.json.clear();
                    maps.write_json(row, &mut self.json);
                    insert.raw_bind_parameter(*at, self.json.as_str())?;
                }
                _ => insert.raw_bind_parameter(*at, rusqlite::types::Null)?,
            }
        }
        Ok(())
    }
}

/// SQLite gave ids that are not the tick's.
#[derive(Debug)]
struct Misplaced;

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table has samples of ticks that its ledger does not know: `connectord store check` tells which")
    }
}

impl std::error::Error for Misplaced {}
