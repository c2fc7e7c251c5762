//! The series of a connector, as a file of tables holds them.
//!
//! A series is found by its connector and its **slot**, half of its key's hash: an index of single integers is smaller than
//! one of whole hashes, and faster. The other half tells whether the series is the one that was looked for. A slot that is
//! another's leads to the next one: one connector in some forty million with a million series each comes to that.

use std::fmt;
use std::ops::RangeInclusive;

use connector_core::ColumnData;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::{
    keys::{Keys, hash_in, rest, slots},
    table::{LAST_NUMBER, Table, ids_of, number_in},
};

/// Finds and creates the series of a tick's keys.
pub(super) struct Dictionary<'a> {
    keys: &'a Keys<'a>,
    connector: i64,
    /// Whether most of those that are asked for are new.
    expects_new: bool,
    free: Free<'a>,
    all: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    find: CachedStatement<'a>,
    json: String,
}

impl<'a> Dictionary<'a> {
    /// `remembers`: what the connector wrote last need not be asked for, so that most of what is will be new.
    pub(super) fn new(
        connection: &'a Connection,
        table: &Table,
        connector: i64,
        keys: &'a Keys<'a>,
        remembers: bool,
    ) -> rusqlite::Result<Self> {
        let free = Free::new(connection, table, connector)?;
        Ok(Self {
            keys,
            connector,
            expects_new: remembers || free.is_untouched(),
            free,
            all: connection.prepare_cached(&table.all_series)?,
            insert: connection.prepare_cached(&table.insert_series)?,
            find: connection.prepare_cached(&table.find_series)?,
            json: String::new(),
        })
    }

    /// Whether to read all series takes less than to look up those of so many rows.
    pub(super) fn is_short(&self, rows: usize) -> bool {
        let last = number_in(self.free.next - 1);
        !self.free.reuses && usize::try_from(last).is_ok_and(|last| last <= 2 * rows + 1_000)
    }

    /// All series, by their key's hash and for which time that comes in a tick. What is not among them then is new.
    pub(super) fn read_all(&mut self) -> rusqlite::Result<Vec<((u128, u32), i64)>> {
        let ids = &self.free.ids;
        let read = |row: &Row<'_>| {
            let nth = row.get(3)?;
            Ok(((hash_in(row.get(1)?, row.get(2)?, nth), nth), number_in(row.get(0)?)))
        };
        let all = self.all.query_map([ids.start(), ids.end()], read)?.collect();
        self.expects_new = true;
        all
    }

    /// The number of a series, a new one if there is none.
    pub(super) fn number(&mut self, row: usize, hash: u128, nth: u32) -> rusqlite::Result<i64> {
        for slot in slots(hash, nth) {
            let mut found = if self.expects_new { None } else { self.find(slot, hash, nth)? };
            if found.is_none() {
                // The insert finds out by itself whether the slot is taken.
                if let Some(id) = self.free.next()?
                    && self.insert(id, row, slot, hash, nth)?
                {
                    self.free.take();
                    return Ok(number_in(id));
                }
                found = self.find(slot, hash, nth)?;
            }
            match found {
                Some(Found::Same(number)) => return Ok(number),
                Some(Found::Other) => {}
                None => break,
            }
        }
        Err(rusqlite::Error::ToSqlConversionFailure(Box::new(Full)))
    }

    fn find(&mut self, slot: i64, hash: u128, nth: u32) -> rusqlite::Result<Option<Found>> {
        let find = &mut self.find;
        let found = find.query_row((self.connector, slot, rest(hash), nth), |row| {
            let same: bool = row.get(1)?;
            Ok(if same { Found::Same(number_in(row.get(0)?)) } else { Found::Other })
        });
        found.optional()
    }

    /// Whether the slot was free.
    fn insert(&mut self, id: i64, row: usize, slot: i64, hash: u128, nth: u32) -> rusqlite::Result<bool> {
        let insert = &mut self.insert;
        insert.raw_bind_parameter(1, id)?;
        insert.raw_bind_parameter(2, self.connector)?;
        insert.raw_bind_parameter(3, slot)?;
        insert.raw_bind_parameter(4, rest(hash))?;
        insert.raw_bind_parameter(5, nth)?;
        for (at, column) in (6..).zip(self.keys.columns()) {
            match column {
                ColumnData::String(strings) => insert.raw_bind_parameter(at, strings.get(row))?,
                ColumnData::Dynamic(maps) => {
                    self.json.clear();
                    maps.write_json(row, &mut self.json);
                    insert.raw_bind_parameter(at, self.json.as_str())?;
                }
                _ => insert.raw_bind_parameter(at, rusqlite::types::Null)?,
            }
        }
        Ok(insert.raw_execute()? > 0)
    }
}

/// Which series has a slot.
enum Found {
    /// The one that was looked for, with this number.
    Same(i64),
    Other,
}

/// Ids that no series of a connector has: those after its last one, and when there are none left, those of deleted ones.
struct Free<'a> {
    find: CachedStatement<'a>,
    ids: RangeInclusive<i64>,
    next: i64,
    reuses: bool,
}

impl<'a> Free<'a> {
    fn new(connection: &'a Connection, table: &Table, connector: i64) -> rusqlite::Result<Self> {
        let ids = ids_of(connector);
        let last: Option<i64> = connection
            .prepare_cached(&table.last_series)?
            .query_row([ids.start(), ids.end()], |row| row.get(0))?;
        let (next, find) = (last.unwrap_or(*ids.start()) + 1, connection.prepare_cached(&table.free_series)?);
        Ok(Self { find, ids, next, reuses: false })
    }

    /// Whether the connector has no series yet.
    fn is_untouched(&self) -> bool {
        self.next == self.ids.start() + 1
    }

    fn next(&mut self) -> rusqlite::Result<Option<i64>> {
        if self.next > *self.ids.end() && !self.reuses {
            (self.next, self.reuses) = (self.ids.start() + 1, true);
        }
        if self.reuses {
            let free: Option<i64> = self.find.query_row([self.next, *self.ids.end()], |row| row.get(0))?;
            self.next = free.unwrap_or(*self.ids.end() + 1);
        }
        Ok(Some(self.next).filter(|id| self.ids.contains(id)))
    }

    /// The next one is free no more.
    fn take(&mut self) {
        self.next += 1;
    }
}

/// Why a connector cannot have one more series.
#[derive(Debug)]
struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the connector has {LAST_NUMBER} series in this table, and there can be no more: a retention deletes those \
             without rows, another table begins anew"
        )
    }
}

impl std::error::Error for Full {}

#[cfg(test)]
mod tests {
    use connector_core::{Column, ColumnType, Rows, Schema};

    use super::*;

    fn dictionary_of(connection: &Connection) -> (Table, Schema) {
        let schema = Schema::new([Column::time("at"), Column::key("name", ColumnType::String)]).unwrap();
        let create = crate::sqlite::table::create("t", &schema);
        connection.execute_batch(create.split("CREATE VIEW").next().unwrap()).unwrap();
        (Table::new(1, "t", schema.clone()), schema)
    }

    #[test]
    fn series_whose_hashes_share_a_half_are_kept_apart() {
        let connection = Connection::open_in_memory().unwrap();
        let (table, schema) = dictionary_of(&connection);
        let mut rows = Rows::new(&schema);
        ["a", "b", "c", "d"].iter().for_each(|name| rows.string(1, name).end_row());
        let keys = Keys::new(&schema, &rows);
        // The last one's slot is the second one of the first three.
        let half = u128::from(u64::MAX - 1) << 64;
        let hashes = [half | 1, half | 2, half | u128::from(u64::MAX), half.wrapping_add(1 << 96) | 1];
        let mut numbers = Vec::new();
        for remembers in [true, false, true] {
            let mut dictionary = Dictionary::new(&connection, &table, 7, &keys, remembers).unwrap();
            for nth in [0, 1, 2] {
                for (row, hash) in hashes.iter().enumerate() {
                    numbers.push(dictionary.number(row, *hash, nth).unwrap());
                }
            }
        }
        let (first, again) = numbers.split_at(12);
        assert_eq!(first, (1..=12).collect::<Vec<_>>());
        assert_eq!(again, [first, first].concat());
    }

    #[test]
    fn all_series_of_a_connector_are_read_at_once() {
        let connection = Connection::open_in_memory().unwrap();
        let (table, schema) = dictionary_of(&connection);
        let mut rows = Rows::new(&schema);
        ["a", "b", "c"].iter().for_each(|name| rows.string(1, name).end_row());
        let keys = Keys::new(&schema, &rows);
        let hashes = keys.hashes();
        let dictionary = |connector| Dictionary::new(&connection, &table, connector, &keys, false).unwrap();
        let mut expected = Vec::new();
        for nth in [0, 1] {
            for (row, hash) in hashes.iter().enumerate() {
                expected.push(((*hash, nth), dictionary(7).number(row, *hash, nth).unwrap()));
            }
            dictionary(6).number(0, hashes[0], nth).unwrap();
            dictionary(8).number(0, hashes[0], nth).unwrap();
        }
        assert_eq!(dictionary(7).read_all().unwrap(), expected);
        assert_eq!(dictionary(9).read_all().unwrap(), []);
        // As if it had had many more.
        let last = format!(
            "UPDATE \"t$series\" SET \"$id\" = \"$id\" + 1007 WHERE \"$id\" = {}",
            ids_of(7).start() + 6
        );
        assert!(dictionary(7).is_short(3));
        connection.execute(&last, []).unwrap();
        assert_eq!((dictionary(7).is_short(6), dictionary(7).is_short(7)), (false, true));
    }

    #[test]
    fn a_connector_whose_numbers_are_all_taken_keeps_its_series_and_gets_no_more() {
        let connection = Connection::open_in_memory().unwrap();
        let (table, schema) = dictionary_of(&connection);
        let ids = ids_of(7);
        let mut rows = Rows::new(&schema);
        ["a", "b", "c", "d"].iter().for_each(|name| rows.string(1, name).end_row());
        let keys = Keys::new(&schema, &rows);
        let hashes = keys.hashes();
        for remembers in [false, true] {
            let mut dictionary = Dictionary::new(&connection, &table, 7, &keys, remembers).unwrap();
            // As if all the others were taken.
            (dictionary.free.next, dictionary.free.reuses) = (ids.end() - 1, true);
            for (row, number) in [(0, LAST_NUMBER - 1), (1, LAST_NUMBER), (0, LAST_NUMBER - 1)] {
                assert_eq!(dictionary.number(row, hashes[row], 0).unwrap(), number);
            }
            for row in [2, 3] {
                let error = dictionary.number(row, hashes[row], 0).unwrap_err().to_string();
                assert!(error.contains("has 16777215 series in this table"), "{error}");
            }
        }
    }
}
