//! One file of tables, as the writer sees it: the ledger of ticks, and the rows that belong to them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connector_core::{Rows, Schema};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{
    bloom,
    fault::{At, Told},
    files,
    keys::{Keys, Prints},
    log::Log,
    place::Place,
    samples,
    series::Series,
    statistics,
    table::{self, Table},
};
use crate::model::{Millis, Outcome, TickRecord};
use crate::store::StoreError;

/// A file of tables that is open for writing.
pub(super) struct DataFile {
    path: PathBuf,
    place: Place,
    connection: Connection,
    log: Log,
    begun: bool,
    /// Whether what is done [within](Self::within) the transaction can be taken back by itself.
    apart: bool,
    /// Whether something was written since then.
    wrote: bool,
    /// Why a transaction was taken back by SQLite itself, in the middle of it.
    lost: Option<Told>,
    connectors: HashMap<Uuid, i64>,
    tables: HashMap<String, Arc<Table>>,
    series: Series,
    /// The epoch that `series` is good for.
    epoch: i64,
}

/// The end of a tick, as the ledger is to hold it.
pub(super) struct Ending<'a> {
    pub(super) connector: Uuid,
    pub(super) fence: i64,
    pub(super) scheduled_for: Millis,
    pub(super) table: &'a str,
    pub(super) record: &'a TickRecord,
    pub(super) rows: Option<Batch<'a>>,
}

/// The rows of a tick that committed.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) schema: &'a Schema,
    pub(super) rows: &'a Rows,
    pub(super) digest: &'a Digest,
}

/// What was computed of the rows before they came to the writer.
pub(super) struct Digest {
    pub(super) prints: Prints,
    /// The [filter](bloom::of) over their values.
    pub(super) values: Option<Vec<u8>>,
}

impl DataFile {
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let mut connection = files::open_data(&path)?;
        Ok(Self {
            log: Log::of(&mut connection).at(&path)?,
            connection,
            place: Place::of(&path),
            path,
            begun: false,
            apart: false,
            wrote: false,
            lost: None,
            connectors: HashMap::new(),
            tables: HashMap::new(),
            series: Series::default(),
            epoch: 0,
        })
    }

    /// Begins a transaction, unless one has begun: one in which a failure leaves the rest as it was (`apart`), or one that
    /// is taken back when something fails.
    pub(super) fn begin(&mut self, apart: bool) -> Result<(), StoreError> {
        if let Some(lost) = &self.lost {
            return Err(lost.tell());
        }
        if !self.begun {
            self.run("BEGIN IMMEDIATE")?;
            (self.begun, self.apart) = (true, apart);
            self.meet_epoch()?;
        }
        Ok(())
    }

    /// Forgets the series when some were deleted since the last transaction, by another process.
    fn meet_epoch(&mut self) -> Result<(), StoreError> {
        let epoch = self.read_epoch()?;
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.series.clear();
        }
        Ok(())
    }

    /// Forgets the series in a table and of a connector, at each place where some were deleted; other processes will forget all.
    pub(super) fn begin_epoch(&mut self, places: impl Iterator<Item = (i64, i64)>) -> Result<(), StoreError> {
        places.for_each(|place| self.series.forget(place));
        self.run("UPDATE \"$epoch\" SET series = series + 1")?;
        self.epoch = self.read_epoch()?;
        Ok(())
    }

    fn read_epoch(&self) -> Result<i64, StoreError> {
        self.connection
            .prepare_cached("SELECT series FROM \"$epoch\"")
            .and_then(|mut sql| sql.query_row([], |row| row.get(0)))
            .at(&self.path)
    }

    /// Makes all that was written durable, and says whether something was.
    pub(super) fn commit(&mut self) -> Result<bool, StoreError> {
        if !self.begun {
            return Ok(false);
        }
        fail_point!("data-commit");
        let result = match self.lost.take() {
            Some(lost) => Err(lost.tell()),
            None => self.run("COMMIT"),
        };
        fail_point!("data-committed");
        match result {
            Ok(()) if self.is_in_place() => {
                self.begun = false;
                Ok(std::mem::take(&mut self.wrote))
            }
            Ok(()) => Err(self.place.gone()),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Keeps the write-ahead log short, between two transactions.
    pub(super) fn tend(&mut self) {
        if let Err(error) = self.log.tend(&self.connection, files::DATA_PATIENCE).at(&self.path) {
            tracing::warn!(%error, "the write-ahead log stays as it is");
        }
    }

    /// Whether the file still lies where it was opened.
    pub(super) fn is_in_place(&self) -> bool {
        self.place.holds()
    }

    /// Writes what leaves no trace, to see whether the file can be written.
    pub(super) fn probe(&mut self) -> Result<(), StoreError> {
        self.wrote = true;
        self.within(|file| {
            file.connection.execute_batch("CREATE TABLE \"$probe\" (x); DROP TABLE \"$probe\"").at(&file.path)
        })
    }

    /// Takes everything back.
    pub(super) fn roll_back(&mut self) {
        if self.begun && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        (self.begun, self.wrote, self.lost) = (false, false, None);
        self.forget();
    }

    /// The newest bucket in the ledger that a connector has, or the least number where it has none.
    pub(super) fn newest(&self, connector: Uuid) -> Result<Millis, StoreError> {
        const FIND: &str = "SELECT max(scheduled_for) FROM \"$ticks\"
            WHERE connector = (SELECT id FROM \"$connectors\" WHERE uuid = ?1)";
        self.connection
            .prepare_cached(FIND)
            .and_then(|mut find| find.query_row([text(connector)], |row| row.get::<_, Option<Millis>>(0)))
            .map(|newest| newest.unwrap_or(Millis::MIN))
            .at(&self.path)
    }

    /// How a tick ended, if it did, and under which fence.
    pub(super) fn ending(
        &self,
        connector: Uuid,
        scheduled_for: Millis,
    ) -> Result<Option<(TickRecord, i64)>, StoreError> {
        const FIND: &str = "SELECT scheduled_for, started_at, finished_at, outcome, rows, attempts, error, runner, fence
            FROM \"$ticks\" WHERE connector = (SELECT id FROM \"$connectors\" WHERE uuid = ?1) AND scheduled_for = ?2";
        self.connection
            .prepare_cached(FIND)
            .and_then(|mut find| {
                let row = (text(connector), scheduled_for);
                find.query_row(row, |row| Ok((tick_record(row)?, row.get(8)?))).optional()
            })
            .at(&self.path)
    }

    /// Creates a table, or checks that it is what it should be.
    pub(super) fn ensure_table(&mut self, name: &str, schema: &Schema) -> Result<Arc<Table>, StoreError> {
        let key = name.to_ascii_lowercase();
        let table = match self.tables.get(&key) {
            Some(table) => table.clone(),
            None => {
                let table = self.within(|file| file.load_or_create(name, schema))?;
                self.tables.insert(key, table.clone());
                table
            }
        };
        if table.schema == *schema { Ok(table) } else { Err(StoreError::SchemaMismatch(name.to_owned())) }
    }

    /// Writes a tick's record and its rows: all or nothing. A bucket that has committed stays as it is: then this is false.
    pub(super) fn write(&mut self, ending: &Ending<'_>) -> Result<bool, StoreError> {
        let table = match ending.rows {
            Some(batch) => Some(self.ensure_table(ending.table, batch.schema)?),
            None => self.load(ending.table)?,
        };
        self.wrote = true;
        self.within(|file| {
            let connector = file.connector(ending.connector)?;
            let tick = file.record(connector, table.as_ref().map(|table| table.id), ending)?;
            if let (Some(tick), Some(table), Some(batch)) = (tick, table, ending.rows) {
                let Batch { schema, rows, digest } = batch;
                let keys = Keys::new(schema, rows);
                file.series
                    .resolve(&file.connection, &table, (connector, tick), &keys, &digest.prints)
                    .and_then(|resolved| samples::write(&file.connection, &table, tick, rows, resolved))
                    .and_then(|()| bloom::write(&file.connection, tick, digest.values.as_deref()))
                    .at(&file.path)?;
            }
            Ok(tick.is_some())
        })
    }

    fn load(&self, name: &str) -> Result<Option<Arc<Table>>, StoreError> {
        if let Some(table) = self.tables.get(&name.to_ascii_lowercase()) {
            return Ok(Some(table.clone()));
        }
        let found = find_table(&self.connection, name).at(&self.path)?;
        let Some((id, name, json)) = found else { return Ok(None) };
        let Some(schema) = table::schema_from_json(&json) else {
            return Err(StoreError::failed(
                format!("the registry of tables in {} is damaged", self.path.display()),
                format!("table {name:?} has the columns {json}"),
            ));
        };
        Ok(Some(Arc::new(Table::new(id, &name, schema))))
    }

    fn load_or_create(&mut self, name: &str, schema: &Schema) -> Result<Arc<Table>, StoreError> {
        if let Some(table) = self.load(name)? {
            return Ok(table);
        }
        if name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_")) {
            let reason = "SQLite keeps names that begin with sqlite_ for itself";
            return Err(StoreError::BadTarget(format!("target_table: {name:?} cannot be a table: {reason}")));
        }
        self.connection.execute_batch(&table::create(name, schema)).at(&self.path)?;
        statistics::tell(&self.connection, name, schema).at(&self.path)?;
        self.connection
            .execute(
                "INSERT INTO \"$tables\" (name, schema) VALUES (?1, ?2)",
                (name, table::schema_to_json(schema)),
            )
            .at(&self.path)?;
        Ok(Arc::new(Table::new(self.connection.last_insert_rowid(), name, schema.clone())))
    }

    fn connector(&mut self, uuid: Uuid) -> Result<i64, StoreError> {
        if let Some(id) = self.connectors.get(&uuid) {
            return Ok(*id);
        }
        let text = text(uuid);
        let insert = "INSERT INTO \"$connectors\" (uuid) VALUES (?1) ON CONFLICT DO NOTHING";
        self.connection.execute(insert, [&text]).at(&self.path)?;
        let find = "SELECT id FROM \"$connectors\" WHERE uuid = ?1";
        let id = self.connection.query_row(find, [&text], |row| row.get(0)).at(&self.path)?;
        self.connectors.insert(uuid, id);
        Ok(id)
    }

    /// The id of the tick, unless it has committed already.
    fn record(
        &self,
        connector: i64,
        target: Option<i64>,
        ending: &Ending<'_>,
    ) -> Result<Option<i64>, StoreError> {
        const INSERT: &str = include_str!("sql/data/insert_tick.sql");
        const REPLACE: &str = include_str!("sql/data/replace_tick.sql");
        let r = ending.record;
        let values = params![
            connector,
            target,
            ending.scheduled_for,
            r.started_at,
            r.finished_at,
            r.outcome.as_str(),
            i64::try_from(r.rows).unwrap_or(i64::MAX),
            r.attempts,
            r.error,
            r.runner,
            ending.fence,
        ];
        let inserted = self.connection.prepare_cached(INSERT).and_then(|mut sql| sql.execute(values));
        if inserted.at(&self.path)? > 0 {
            return Ok(Some(self.connection.last_insert_rowid()));
        }
        self.connection
            .prepare_cached(REPLACE)
            .and_then(|mut sql| sql.query_row(values, |row| row.get(0)).optional())
            .at(&self.path)
    }

    /// Does something within the transaction that happens whole or not at all: by itself in a transaction that goes on
    /// without what fails, and otherwise because all of the transaction is taken back.
    pub(super) fn within<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if !self.apart {
            return work(self);
        }
        self.run("SAVEPOINT tick")?;
        let result = work(self).and_then(|done| self.run("RELEASE tick").map(|()| done));
        if let Err(error) = &result {
            if self.connection.is_autocommit() {
                self.lost = Some(Told::new(error));
            } else {
                let _ = self.connection.execute_batch("ROLLBACK TO tick; RELEASE tick");
            }
            self.forget();
        }
        result
    }

    /// Forgets what was remembered of the file.
    pub(super) fn forget(&mut self) {
        self.connectors.clear();
        self.tables.clear();
        self.series.clear();
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql).and_then(|mut sql| sql.execute([])).map(drop).at(&self.path)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A table's id, its name as it was created, and its columns.
pub(super) fn find_table(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<(i64, String, String)>> {
    connection
        .prepare_cached("SELECT id, name, schema FROM \"$tables\" WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}

/// A row of the ledger that begins with a record's columns.
pub(super) fn tick_record(row: &Row<'_>) -> rusqlite::Result<TickRecord> {
    let outcome: String = row.get(3)?;
    Ok(TickRecord {
        scheduled_for: row.get(0)?,
        started_at: row.get(1)?,
        finished_at: row.get(2)?,
        outcome: Outcome::from_name(&outcome).unwrap_or(Outcome::Abandoned),
        rows: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
        attempts: row.get(5)?,
        error: row.get(6)?,
        runner: row.get(7)?,
    })
}

/// An id as the files spell it.
pub(super) fn text(uuid: Uuid) -> String {
    uuid.hyphenated().to_string()
}
