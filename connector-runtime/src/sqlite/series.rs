//! From the keys of a tick's rows to the ids of their series.
//!
//! Nearly every tick brings the keys of the last one in the same order, so a connector's last tick is remembered as one
//! fingerprint and the ids as runs of consecutive numbers: a few bytes for a thousand rows. When the fingerprint
//! differs, each row is looked up by its own hash, in memory and then in the file.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use connector_core::ColumnData;
use rusqlite::Connection;

use super::{keys::Keys, table::Table};

/// After so many ticks in a row that changed nothing, the hashes of single rows are forgotten.
const STEADY: u8 = 3;

/// What is remembered of the series that connectors wrote last. It only ever holds what the file holds, so it is emptied
/// whenever a transaction is taken back.
#[derive(Debug, Default)]
pub(super) struct Series {
    known: HashMap<(i64, i64), Known>,
    bytes: Vec<u8>,
}

/// Rows whose series have consecutive ids, each for the `nth` time in its tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: i64,
    pub(super) nth: i64,
    pub(super) len: usize,
}

#[derive(Debug, Default)]
struct Known {
    fingerprint: Option<u128>,
    runs: Vec<Run>,
    steady: u8,
    ids: Ids,
    round: u64,
}

type Ids = HashMap<u128, Slot, BuildHasherDefault<Hashed>>;

#[derive(Clone, Copy, Debug)]
struct Slot {
    id: i64,
    round: u64,
    nth: i64,
}

impl Series {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// The series of each row, created where they are new. The fingerprint is the keys' own.
    pub(super) fn resolve(
        &mut self,
        connection: &Connection,
        table: &Table,
        connector: i64,
        keys: &Keys<'_>,
        fingerprint: u128,
    ) -> rusqlite::Result<&[Run]> {
        let place = (table.id, connector);
        let mut known = self.known.remove(&place).unwrap_or_default();
        if known.fingerprint == Some(fingerprint) {
            known.steady = known.steady.saturating_add(1);
            if known.steady == STEADY {
                known.ids = Ids::default();
            }
        } else {
            let new = known.look_up(connection, table, connector, keys, &mut self.bytes)?;
            insert(connection, table, connector, keys, &new)?;
            known.fingerprint = Some(fingerprint);
            known.steady = 0;
        }
        Ok(&self.known.entry(place).insert_entry(known).into_mut().runs)
    }
}

/// A series that the file does not hold yet.
struct New {
    row: usize,
    hash: u128,
    id: i64,
}

impl Known {
    fn look_up(
        &mut self,
        connection: &Connection,
        table: &Table,
        connector: i64,
        keys: &Keys<'_>,
        bytes: &mut Vec<u8>,
    ) -> rusqlite::Result<Vec<New>> {
        let mut find = connection.prepare_cached(&table.find_series)?;
        let any: bool =
            connection.prepare_cached(&table.any_series)?.query_row([connector], |row| row.get(0))?;
        let mut last: Option<i64> = None;
        let mut new = Vec::new();
        self.round += 1;
        self.runs.clear();
        for row in 0..keys.rows() {
            let hash = keys.hash(row, bytes);
            let slot = match self.ids.entry(hash) {
                std::collections::hash_map::Entry::Occupied(slot) => {
                    let slot = slot.into_mut();
                    slot.nth = if slot.round == self.round { slot.nth + 1 } else { 0 };
                    slot.round = self.round;
                    slot
                }
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    let mut found = None;
                    if any {
                        let mut rows = find.query((connector, hash.to_be_bytes()))?;
                        found = rows.next()?.map(|row| row.get(0)).transpose()?;
                    }
                    let id = match found {
                        Some(id) => id,
                        None => {
                            let before = match last {
                                Some(id) => id,
                                None => connection
                                    .prepare_cached(&table.last_series)?
                                    .query_row([], |row| row.get(0))?,
                            };
                            last = Some(before + 1);
                            new.push(New { row, hash, id: before + 1 });
                            before + 1
                        }
                    };
                    vacant.insert(Slot { id, round: self.round, nth: 0 })
                }
            };
            match self.runs.last_mut() {
                Some(run) if run.nth == slot.nth && run.first + run.len as i64 == slot.id => run.len += 1,
                _ => self.runs.push(Run { first: slot.id, nth: slot.nth, len: 1 }),
            }
        }
        if self.ids.len() > 2 * keys.rows() + 1_000 {
            self.ids.retain(|_, slot| slot.round == self.round);
        }
        self.runs.shrink_to_fit();
        Ok(new)
    }
}

fn insert(
    connection: &Connection,
    table: &Table,
    connector: i64,
    keys: &Keys<'_>,
    new: &[New],
) -> rusqlite::Result<()> {
    let mut json = String::new();
    let many = new.chunks_exact(table.series.rows);
    let (rest, many) = (many.remainder(), many);
    for (sql, chunks) in [
        (&table.series.many, &mut many.into_iter() as &mut dyn Iterator<Item = &[New]>),
        (&table.series.one, &mut rest.chunks(1)),
    ] {
        for chunk in chunks {
            let mut statement = connection.prepare_cached(sql)?;
            let mut at = 0;
            for series in chunk {
                statement.raw_bind_parameter(at + 1, series.id)?;
                statement.raw_bind_parameter(at + 2, connector)?;
                statement.raw_bind_parameter(at + 3, series.hash.to_be_bytes())?;
                at += 3;
                for column in keys.columns() {
                    at += 1;
                    match column {
                        ColumnData::String(strings) => {
                            statement.raw_bind_parameter(at, strings.get(series.row))?;
                        }
                        ColumnData::Dynamic(maps) => {
                            json.clear();
                            maps.write_json(series.row, &mut json);
                            statement.raw_bind_parameter(at, json.as_str())?;
                        }
                        _ => statement.raw_bind_parameter(at, rusqlite::types::Null)?,
                    }
                }
            }
            statement.raw_execute()?;
        }
    }
    Ok(())
}

/// Takes what is a hash already as the hash.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}
