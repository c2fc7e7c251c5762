//! From the keys of a tick's rows to the ids of their series.
//!
//! Nearly every tick brings the keys of the last one in the same order, so a connector's last tick is remembered as one
//! fingerprint and the ids as runs of consecutive numbers: a few bytes for a thousand rows. When the fingerprint
//! differs, each row is looked up by its own hash, in memory and then in the file. Samples are written in the order of
//! their series, in which they lie in the file, so that each is appended.

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

/// Samples whose series have consecutive ids, each for the `nth` time in its tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: i64,
    nth: i64,
    len: usize,
}

/// The series of a tick's rows, in their own order.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    runs: Vec<Run>,
    /// The row of each; empty where that is the order of the rows.
    rows: Vec<u32>,
}

impl Resolved {
    /// Of each row's `(series, nth, row)`.
    fn new(mut found: Vec<(i64, i64, u32)>) -> Self {
        let mut rows = Vec::new();
        if !found.is_sorted() {
            found.sort_unstable();
            rows = found.iter().map(|(_, _, row)| *row).collect();
        }
        let mut runs: Vec<Run> = Vec::new();
        for (id, nth, _) in found {
            match runs.last_mut() {
                Some(run) if run.nth == nth && run.first + run.len as i64 == id => run.len += 1,
                _ => runs.push(Run { first: id, nth, len: 1 }),
            }
        }
        runs.shrink_to_fit();
        Self { runs, rows }
    }

    /// The id of each series, and for which time it comes.
    pub(super) fn series(&self) -> impl Iterator<Item = (i64, i64)> {
        self.runs.iter().flat_map(|run| (run.first..).take(run.len).map(|id| (id, run.nth)))
    }

    /// The row of the series at that position.
    pub(super) fn row(&self, position: usize) -> usize {
        self.rows.get(position).map_or(position, |row| *row as usize)
    }
}

#[derive(Debug, Default)]
struct Known {
    fingerprint: Option<u128>,
    resolved: Resolved,
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
    ) -> rusqlite::Result<&Resolved> {
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
        Ok(&self.known.entry(place).insert_entry(known).into_mut().resolved)
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
        let mut resolved = Vec::with_capacity(keys.rows());
        self.round += 1;
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
            // A column of keys has at most 2^31 rows.
            resolved.push((slot.id, slot.nth, row as u32));
        }
        if self.ids.len() > 2 * keys.rows() + 1_000 {
            self.ids.retain(|_, slot| slot.round == self.round);
        }
        self.resolved = Resolved::new(resolved);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_in_the_order_of_their_series() {
        let resolved = Resolved::new(vec![(3, 0, 0), (1, 0, 1), (2, 0, 2), (1, 1, 3)]);
        assert_eq!(resolved.series().collect::<Vec<_>>(), [(1, 0), (1, 1), (2, 0), (3, 0)]);
        assert_eq!((0..4).map(|position| resolved.row(position)).collect::<Vec<_>>(), [1, 3, 2, 0]);
        let ordered = Resolved::new((0..1000).map(|n| (n + 5, 0, n as u32)).collect());
        assert_eq!(ordered.runs, [Run { first: 5, nth: 0, len: 1000 }]);
        assert_eq!((ordered.rows.len(), ordered.row(7)), (0, 7));
    }
}
