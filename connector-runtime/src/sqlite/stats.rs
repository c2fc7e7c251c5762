//! How much is in a store, and where the bytes go. It only reads, and daemons may go on meanwhile.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use serde::{Serialize, Serializer};

use super::{fault::At, files, migrate, table::quote};
use crate::model::{Millis, format_millis};
use crate::store::StoreError;

/// One database of a store.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DatabaseStats {
    /// Its name.
    pub database: String,
    /// The file's size, without the write-ahead log.
    pub bytes: u64,
    /// What of it is free for new rows.
    pub free_bytes: u64,
    /// What the ledger takes of it: the record of each tick, and which values it has.
    pub ledger_bytes: u64,
    /// Ticks in the ledger, failed ones included.
    pub ticks: u64,
    /// Its tables, by name.
    pub tables: Vec<TableStats>,
}

/// One table.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TableStats {
    /// Its name.
    pub table: String,
    /// What it takes, the ledger apart.
    pub bytes: u64,
    /// The sum over its connectors.
    #[serde(flatten)]
    pub total: Amount,
    /// The connectors that have rows in it.
    pub connectors: Vec<ConnectorStats>,
}

/// What a connector has in a table.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ConnectorStats {
    /// Its id.
    pub id: String,
    /// Its name, unless it was deleted.
    pub name: Option<String>,
    /// Its part of the table's bytes, by the numbers of its rows and series.
    pub bytes: u64,
    /// How much that is.
    #[serde(flatten)]
    pub amount: Amount,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Distinct keys. One that a tick repeats counts for each time.
    pub series: u64,
    /// Ticks with rows.
    pub ticks: u64,
    /// The bucket of the oldest one.
    #[serde(serialize_with = "rfc3339")]
    pub oldest: Option<Millis>,
    /// The bucket of the newest one.
    #[serde(serialize_with = "rfc3339")]
    pub newest: Option<Millis>,
}

// Serde hands over a reference.
#[allow(clippy::ref_option)]
fn rfc3339<S: Serializer>(millis: &Option<Millis>, output: S) -> Result<S::Ok, S::Error> {
    millis.map(format_millis).serialize(output)
}

impl Amount {
    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.series += other.series;
        self.ticks += other.ticks;
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
        self.newest = self.newest.max(other.newest);
    }
}

/// Counts what is in the store in that folder, database by database.
///
/// # Errors
///
/// [`NewerLayout`](StoreError::NewerLayout); [`Failed`](StoreError::Failed) when a file cannot be read.
pub fn stats(dir: &Path) -> Result<Vec<DatabaseStats>, StoreError> {
    let control = files::open_control_reader(dir)?;
    let path = files::control_path(dir);
    let pairs = |sql: &str| -> Result<Vec<(String, String)>, StoreError> {
        control
            .prepare(sql)
            .and_then(|mut sql| sql.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .at(&path)
    };
    let names = pairs("SELECT id, name FROM connectors WHERE NOT deleted")?.into_iter().collect();
    let mut all = Vec::new();
    for (database, _) in pairs("SELECT DISTINCT database COLLATE NOCASE, '' FROM targets ORDER BY 1")? {
        let path = files::data_path(dir, &database)?;
        let connection = files::open_reader(&path)?;
        migrate::require(&connection, &path, migrate::DATA)?;
        connection.execute_batch("BEGIN").at(&path)?;
        all.push(read(&connection, database, &names).at(&path)?);
    }
    Ok(all)
}

fn read(
    connection: &Connection,
    database: String,
    names: &HashMap<String, String>,
) -> rusqlite::Result<DatabaseStats> {
    let number =
        |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let page = number("PRAGMA page_size")?;
    let sizes: HashMap<String, u64> = connection
        .prepare("SELECT name, pgsize FROM dbstat WHERE aggregate = true")?
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
        .collect::<Result<_, _>>()?;
    let with_indexes = |table: &str| -> u64 {
        let index = format!("sqlite_autoindex_{table}_");
        let own = |name: &String| {
            name == table || name.starts_with(&index) || *name == format!("{table}_with_rows")
        };
        sizes.iter().filter(|(name, _)| own(name)).map(|(_, bytes)| bytes).sum()
    };
    let mut amounts: HashMap<i64, Vec<(i64, String, Amount)>> = HashMap::new();
    let mut ledger = connection.prepare(include_str!("sql/data/amounts.sql"))?;
    let mut found = ledger.query([])?;
    while let Some(row) = found.next()? {
        let amount = Amount {
            ticks: row.get::<_, i64>(3)?.cast_unsigned(),
            rows: row.get::<_, i64>(4)?.cast_unsigned(),
            series: 0,
            oldest: row.get(5)?,
            newest: row.get(6)?,
        };
        amounts.entry(row.get(0)?).or_default().push((row.get(1)?, row.get(2)?, amount));
    }
    let tables: Vec<(i64, String)> = connection
        .prepare("SELECT id, name FROM \"$tables\" ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for (id, table) in tables {
        let series = format!("{table}$series");
        let count = format!("SELECT \"$connector\", count(*) FROM {} GROUP BY 1", quote(&series));
        let counts: HashMap<i64, u64> = connection
            .prepare(&count)?
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
            .collect::<Result<_, _>>()?;
        let mut parts = amounts.remove(&id).unwrap_or_default();
        let mut total = Amount::default();
        for (connector, _, amount) in &mut parts {
            amount.series = counts.get(connector).copied().unwrap_or(0);
            total.add(amount);
        }
        let (series_bytes, sample_bytes) = (with_indexes(&series), with_indexes(&format!("{table}$samples")));
        let connectors = parts
            .into_iter()
            .map(|(_, id, amount)| ConnectorStats {
                name: names.get(&id).cloned(),
                id,
                bytes: part(sample_bytes, amount.rows, total.rows)
                    + part(series_bytes, amount.series, total.series),
                amount,
            })
            .collect();
        all.push(TableStats { table, bytes: series_bytes + sample_bytes, total, connectors });
    }
    Ok(DatabaseStats {
        database,
        bytes: number("PRAGMA page_count")? * page,
        free_bytes: number("PRAGMA freelist_count")? * page,
        ledger_bytes: with_indexes("$ticks") + with_indexes("$blooms"),
        ticks: number("SELECT count(*) FROM \"$ticks\"")?,
        tables: all,
    })
}

/// The part of `bytes` that some of all things have.
fn part(bytes: u64, some: u64, all: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(some) / u128::from(all.max(1))).unwrap_or(bytes)
}
