//! The series of a connector, as a file of tables holds them.
//!
//! There is no index of their keys: new series would lie scattered over all of it, and write all its pages anew. So a file
//! says what series it has by their numbers alone, and [whoever looks for one](super::series) remembers them.

use std::fmt;
use std::ops::RangeInclusive;

use connector_core::ColumnData;
use rusqlite::{CachedStatement, Connection, Params, Row};

use super::{
    keys::{Keys, halves, whole},
    table::{LAST_NUMBER, Table, ids_of, number_in},
};

/// Reads and creates the series of a connector in a table.
pub(super) struct Dictionary<'a> {
    connection: &'a Connection,
    table: &'a Table,
    connector: i64,
    free: Free<'a>,
    insert: CachedStatement<'a>,
    json: String,
}

impl<'a> Dictionary<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        table: &'a Table,
        connector: i64,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            table,
            connector,
            free: Free::new(connection, table, connector)?,
            insert: connection.prepare_cached(&table.insert_series)?,
            json: String::new(),
        })
    }

    /// The greatest number that a series has, or zero.
    pub(super) fn last(&self) -> i64 {
        self.free.last
    }

    /// The series with such numbers, each with what it is recognised by.
    pub(super) fn read(
        &self,
        numbers: RangeInclusive<i64>,
        found: impl FnMut(u128, i64),
    ) -> rusqlite::Result<()> {
        let first = *self.free.ids.start();
        self.find(&self.table.read_series, [first + numbers.start(), first + numbers.end()], found)
    }

    /// The same of the series in the newest tick with rows but this one, with numbers below `end`.
    pub(super) fn read_latest(
        &self,
        tick: i64,
        end: i64,
        found: impl FnMut(u128, i64),
    ) -> rusqlite::Result<()> {
        let parameters = [self.connector, self.table.id, tick, end, *self.free.ids.start()];
        self.find(&self.table.latest_series, parameters, found)
    }

    fn find(
        &self,
        sql: &str,
        parameters: impl Params,
        mut found: impl FnMut(u128, i64),
    ) -> rusqlite::Result<()> {
        let read = |row: &Row<'_>| {
            found(whole((row.get(1)?, row.get(2)?)), number_in(row.get(0)?));
            Ok(())
        };
        self.connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
    }

    /// Creates the series of a row's key, and returns its number. `nth`: for which time the key comes in its tick.
    pub(super) fn insert(
        &mut self,
        keys: &Keys<'_>,
        row: usize,
        mark: u128,
        nth: u32,
    ) -> rusqlite::Result<i64> {
        let Some(id) = self.free.take()? else {
            return Err(rusqlite::Error::ToSqlConversionFailure(Box::new(Full)));
        };
        let (insert, (high, low)) = (&mut self.insert, halves(mark));
        insert.raw_bind_parameter(1, id)?;
        insert.raw_bind_parameter(2, self.connector)?;
        insert.raw_bind_parameter(3, high)?;
        insert.raw_bind_parameter(4, low)?;
        insert.raw_bind_parameter(5, nth)?;
        for (at, column) in (6..).zip(keys.columns()) {
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
        insert.raw_execute()?;
        Ok(number_in(id))
    }
}

/// Ids that no series of a connector has: those after its last one, and when there are none left, those of deleted ones.
struct Free<'a> {
    find: CachedStatement<'a>,
    ids: RangeInclusive<i64>,
    /// The greatest number that is taken, or zero.
    last: i64,
    /// From where on deleted series' ids are looked for, once there are no others.
    reuse: Option<i64>,
}

impl<'a> Free<'a> {
    fn new(connection: &'a Connection, table: &Table, connector: i64) -> rusqlite::Result<Self> {
        let ids = ids_of(connector);
        let last: Option<i64> = connection
            .prepare_cached(&table.last_series)?
            .query_row([ids.start(), ids.end()], |row| row.get(0))?;
        let find = connection.prepare_cached(&table.free_series)?;
        Ok(Self { find, ids, last: last.map_or(0, number_in), reuse: None })
    }

    fn take(&mut self) -> rusqlite::Result<Option<i64>> {
        let first = *self.ids.start();
        if self.last < LAST_NUMBER {
            self.last += 1;
            return Ok(Some(first + self.last));
        }
        let from = self.reuse.unwrap_or(first + 1);
        let free: Option<i64> = self.find.query_row([from, *self.ids.end()], |row| row.get(0))?;
        let free = free.filter(|id| self.ids.contains(id));
        self.reuse = Some(free.unwrap_or(*self.ids.end()) + 1);
        Ok(free)
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

    /// The marks and numbers of a connector's series.
    fn all(connection: &Connection, table: &Table, connector: i64) -> Vec<(u128, i64)> {
        let mut all = Vec::new();
        let dictionary = Dictionary::new(connection, table, connector).unwrap();
        dictionary.read(1..=LAST_NUMBER, |mark, number| all.push((mark, number))).unwrap();
        all
    }

    #[test]
    fn each_connector_has_its_series_and_numbers() {
        let connection = Connection::open_in_memory().unwrap();
        let (table, schema) = dictionary_of(&connection);
        let mut rows = Rows::new(&schema);
        ["a", "b", "c"].iter().for_each(|name| rows.string(1, name).end_row());
        let keys = Keys::new(&schema, &rows);
        let marks = [u128::MAX, 1 << 127, 7];
        for (row, mark) in marks.iter().enumerate() {
            for connector in [7, 6, 8] {
                let mut dictionary = Dictionary::new(&connection, &table, connector).unwrap();
                assert_eq!(dictionary.last(), row as i64);
                assert_eq!(dictionary.insert(&keys, row, mark + row as u128, 0).unwrap(), row as i64 + 1);
                assert_eq!(dictionary.last(), row as i64 + 1);
            }
        }
        let expected = [(u128::MAX, 1), ((1 << 127) + 1, 2), (9, 3)];
        for connector in [6, 7, 8] {
            assert_eq!(all(&connection, &table, connector), expected);
        }
        assert_eq!(all(&connection, &table, 9), []);
    }

    #[test]
    fn a_connector_whose_numbers_have_all_been_taken_gets_those_of_deleted_series() {
        let connection = Connection::open_in_memory().unwrap();
        let (table, schema) = dictionary_of(&connection);
        let mut rows = Rows::new(&schema);
        rows.string(1, "a").end_row();
        let keys = Keys::new(&schema, &rows);
        let first = *ids_of(7).start();
        let mut mark = 0..;
        let mut create =
            |dictionary: &mut Dictionary<'_>| dictionary.insert(&keys, 0, mark.next().unwrap(), 0).unwrap();
        let mut dictionary = Dictionary::new(&connection, &table, 7).unwrap();
        assert_eq!([1, 2, 3].map(|_| create(&mut dictionary)), [1, 2, 3]);
        // As if all in between were taken.
        dictionary.free.last = LAST_NUMBER - 2;
        assert_eq!(create(&mut dictionary), LAST_NUMBER - 1);
        connection.execute("DELETE FROM \"t$series\" WHERE \"$id\" = ?1", [first + 2]).unwrap();

        let mut dictionary = Dictionary::new(&connection, &table, 7).unwrap();
        assert_eq!([1, 2, 3].map(|_| create(&mut dictionary)), [LAST_NUMBER, 2, 4]);
        dictionary.free.reuse = Some(first + LAST_NUMBER - 2);
        assert_eq!(create(&mut dictionary), LAST_NUMBER - 2);
        for _ in 0..2 {
            let error = dictionary.insert(&keys, 0, u128::MAX, 0).unwrap_err().to_string();
            assert!(error.contains("has 16777215 series in this table"), "{error}");
        }
        let numbers = [1, 2, 3, 4, LAST_NUMBER - 2, LAST_NUMBER - 1, LAST_NUMBER];
        let marks = [0, 5, 2, 6, 7, 3, 4];
        assert_eq!(all(&connection, &table, 7), marks.into_iter().zip(numbers).collect::<Vec<_>>());
    }
}
