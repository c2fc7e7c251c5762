//! Reading a whole table, the oldest tick first, for whoever takes it elsewhere.

use std::fmt;
use std::path::{Path, PathBuf};

use connector_core::{ColumnType, Role, Schema};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::{
    data::find_table,
    fault::At,
    files, migrate,
    table::{LAST_NUMBER, ids_of, quote, schema_from_json},
};
use crate::model::Millis;
use crate::store::{Cell, StoreError};

/// A table in one snapshot, for as long as this lives. Daemons go on meanwhile, and the file's write-ahead log grows.
///
/// ```no_run
/// # use connector_runtime::{sqlite::TableReader, store::StoreError};
/// let table = TableReader::open("connectord-data".as_ref(), "default", "node", None, None)?;
/// let columns: Vec<_> = table.schema().columns().iter().map(|column| column.name()).collect();
/// println!("{} rows of {}", table.rows(), columns.join(", "));
/// table.read(|cells| {
///     println!("{cells:?}");
///     Ok::<_, StoreError>(())
/// })?;
/// # Ok::<(), StoreError>(())
/// ```
pub struct TableReader {
    connection: Connection,
    path: PathBuf,
    name: String,
    schema: Schema,
    table: i64,
    since: Millis,
    until: Millis,
    rows: u64,
}

impl fmt::Debug for TableReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableReader")
            .field("path", &self.path)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl TableReader {
    /// Finds a table in the store in that folder. Only ticks at or after `since` and before `until` count.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound), [`NewerLayout`](StoreError::NewerLayout), and
    /// [`Failed`](StoreError::Failed) when the file cannot be read.
    pub fn open(
        dir: &Path,
        database: &str,
        table: &str,
        since: Option<Millis>,
        until: Option<Millis>,
    ) -> Result<Self, StoreError> {
        const NO_TABLE: StoreError = StoreError::NotFound("table");
        let path = files::data_path(dir, database)?;
        if files::is_reserved(database) || !path.exists() {
            return Err(NO_TABLE);
        }
        let connection = files::open_reader(&path)?;
        migrate::require(&connection, &path, migrate::DATA)?;
        connection.execute_batch("BEGIN").at(&path)?;
        let (table, name, json) = find_table(&connection, table).at(&path)?.ok_or(NO_TABLE)?;
        let schema = schema_from_json(&json).ok_or_else(|| {
            StoreError::failed(format!("the registry of tables in {} is damaged", path.display()), json)
        })?;
        let (since, until) =
            (since.unwrap_or(Millis::MIN), until.map_or(Millis::MAX, |until| until.saturating_sub(1)));
        let sum = "SELECT coalesce(sum(rows), 0) FROM \"$ticks\"
            WHERE target = ?1 AND rows > 0 AND scheduled_for BETWEEN ?2 AND ?3";
        let rows = connection.query_row(sum, (table, since, until), |row| row.get::<_, i64>(0)).at(&path)?;
        Ok(Self { connection, path, name, schema, table, since, until, rows: rows.cast_unsigned() })
    }

    /// The table's columns.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How many rows there are to read.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads row after row, with a cell for each column, until `row` fails. It holds one row in memory.
    ///
    /// # Errors
    ///
    /// Those of `row`, and [`Failed`](StoreError::Failed) when the file cannot be read.
    pub fn read<E: From<StoreError>>(&self, mut row: impl FnMut(&[Cell]) -> Result<(), E>) -> Result<(), E> {
        let mut failed = None;
        let read = self.try_read(|cells| match row(cells) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        read.at(&self.path)?;
        failed.map_or(Ok(()), Err)
    }

    fn try_read(&self, mut go_on: impl FnMut(&[Cell]) -> bool) -> rusqlite::Result<()> {
        let mut ledger = self.connection.prepare(include_str!("sql/data/walk_table_up.sql"))?;
        let mut samples = self.connection.prepare(&self.select())?;
        let mut ticks = ledger.query((self.table, self.since, self.until))?;
        let mut cells = vec![Cell::Null; self.schema.columns().len()];
        while let Some(tick) = ticks.next()? {
            let (id, connector, scheduled_for): (i64, i64, Millis) =
                (tick.get(0)?, tick.get(1)?, tick.get(2)?);
            let ids = ids_of(id);
            let mut rows = samples.query([ids.start(), ids.end(), ids_of(connector).start()])?;
            while let Some(row) = rows.next()? {
                self.fill(&mut cells, scheduled_for, row)?;
                if !go_on(&cells) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn select(&self) -> String {
        let columns = self.schema.columns().iter().filter(|column| column.role() != Role::Time);
        let columns: Vec<String> = columns.map(|column| quote(column.name())).collect();
        // CROSS JOIN keeps the order: the samples of a tick, then the series of each.
        format!(
            "SELECT {} FROM {} x CROSS JOIN {} s ON s.\"$id\" = ?3 + (x.\"$id\" & {LAST_NUMBER}) \
             WHERE x.\"$id\" BETWEEN ?1 AND ?2 ORDER BY x.\"$id\"",
            if columns.is_empty() { "1".to_owned() } else { columns.join(", ") },
            quote(&format!("{}$samples", self.name)),
            quote(&format!("{}$series", self.name)),
        )
    }

    fn fill(&self, cells: &mut [Cell], scheduled_for: Millis, row: &Row<'_>) -> rusqlite::Result<()> {
        let mut at = 0;
        for (cell, column) in cells.iter_mut().zip(self.schema.columns()) {
            if column.role() == Role::Time {
                *cell = Cell::Timestamp(scheduled_for);
                continue;
            }
            *cell = match (column.kind(), row.get_ref(at)?) {
                (_, ValueRef::Null) => Cell::Null,
                (ColumnType::Timestamp, _) => Cell::Timestamp(row.get(at)?),
                (ColumnType::Real, _) => Cell::Real(row.get(at)?),
                (ColumnType::Dynamic, text) => Cell::Json(in_place_of(cell, text.as_str()?)),
                (_, text) => Cell::Text(in_place_of(cell, text.as_str()?)),
            };
            at += 1;
        }
        Ok(())
    }
}

/// A text in the memory of the one that was there before.
fn in_place_of(cell: &mut Cell, text: &str) -> String {
    let mut string = match std::mem::replace(cell, Cell::Null) {
        Cell::Text(string) | Cell::Json(string) => string,
        _ => String::new(),
    };
    string.clear();
    string.push_str(text);
    string
}
