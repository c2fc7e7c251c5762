//! Whether the files of a store hold what they should. It only reads, and daemons may go on meanwhile.

mod latest;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use connector_core::{Column, ColumnType, Role, Rows, Schema};
use rusqlite::{Connection, Params};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::{
    bloom,
    fault::At,
    files,
    keys::{Keys, halves, mark},
    migrate,
    table::{NUMBER_BITS, ids_of, number_in, quote, schema_from_json},
};
use crate::store::StoreError;

/// Series whose hashes are computed at once.
const BATCH: usize = 1_000;

/// How often `control.db` and the ledgers are compared before a difference counts: both may be written meanwhile.
const LOOKS: usize = 5;

/// What a check found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Checked {
    /// The files of tables that were read.
    pub files: Vec<CheckedFile>,
    /// What is wrong, each in one line.
    pub faults: Vec<String>,
    /// What is not wrong, and yet worth knowing.
    pub notes: Vec<String>,
}

/// A file of tables, and how much there is in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckedFile {
    /// The file.
    pub path: PathBuf,
    /// Its tables.
    pub tables: u64,
    /// Ticks in its ledger.
    pub ticks: u64,
    /// Distinct keys. One that a tick repeats counts for each time, and so does one that came back after many new ones.
    pub series: u64,
    /// Rows in the ledger.
    pub rows: u64,
}

/// Reads all that is in a store's folder and compares it: samples with the ledger, hashes with their keys, filters with
/// their values, views with their schemas, `control.db` with the ledgers.
///
/// Each file is read in one snapshot. As long as that lasts, the file's write-ahead log grows.
///
/// # Errors
///
/// [`NewerLayout`](StoreError::NewerLayout); [`Failed`](StoreError::Failed) when `control.db` cannot be read at all.
pub fn check(dir: &Path) -> Result<Checked, StoreError> {
    let mut checked = Checked::default();
    let control = files::open_control_reader(dir)?;
    let path = files::control_path(dir);
    if let Err(error) = intact(&control, &path, &mut checked) {
        checked.faults.push(error.to_string());
    }
    let targets: Vec<String> =
        list(&control, "SELECT DISTINCT database COLLATE NOCASE FROM targets", []).at(&path)?;
    let mut databases = BTreeMap::new();
    for database in targets {
        let path = files::data_path(dir, &database)?;
        if path.exists() {
            databases.insert(database, path);
        } else {
            checked.faults.push(format!("{} is missing, though connectors have rows in it", path.display()));
        }
    }
    for path in databases.values() {
        match check_file(path, &mut checked) {
            Err(error @ StoreError::NewerLayout { .. }) => return Err(error),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                checked.faults.push(format!("{error}{}", cause.unwrap_or_default()));
            }
            Ok(file) => checked.files.push(file),
        }
    }
    for look in 1..=LOOKS {
        let (mut faults, mut notes) = (Vec::new(), Vec::new());
        latest::compare(&control, &path, &databases, &mut faults, &mut notes)?;
        if faults.is_empty() || look == LOOKS {
            checked.faults.append(&mut faults);
            checked.notes.append(&mut notes);
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(checked)
}

impl Checked {
    /// Keeps count of what a query found, in one line, as `what` and the first of them.
    fn take(&mut self, path: &Path, what: impl fmt::Display, found: &[String]) {
        if let Some(first) = found.first() {
            let more =
                if found.len() > 1 { format!(", and {} more", found.len() - 1) } else { String::new() };
            self.faults.push(format!("{}: {what}: {first}{more}", path.display()));
        }
    }
}

fn intact(connection: &Connection, path: &Path, checked: &mut Checked) -> Result<(), StoreError> {
    let found: Vec<String> = list(connection, "PRAGMA integrity_check", []).at(path)?;
    if found != ["ok"] {
        checked.take(path, "SQLite's own check failed", &found);
    }
    Ok(())
}

fn check_file(path: &Path, checked: &mut Checked) -> Result<CheckedFile, StoreError> {
    let connection = files::open_reader(path)?;
    migrate::require(&connection, path, migrate::DATA)?;
    connection.execute_batch("BEGIN").at(path)?;
    intact(&connection, path, checked)?;
    let tables: Vec<(i64, String, String)> = connection
        .prepare("SELECT id, name, schema FROM \"$tables\"")
        .and_then(|mut sql| sql.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect())
        .at(path)?;
    let number =
        |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let mut file = CheckedFile {
        path: path.to_owned(),
        tables: tables.len() as u64,
        ticks: number("SELECT count(*) FROM \"$ticks\"").at(path)?,
        rows: number("SELECT coalesce(sum(rows), 0) FROM \"$ticks\" WHERE target IS NOT NULL").at(path)?,
        series: 0,
    };
    let strays = "SELECT printf('tick %d', id) FROM \"$ticks\"
        WHERE target NOT IN (SELECT id FROM \"$tables\") OR connector NOT IN (SELECT id FROM \"$connectors\")";
    checked.take(path, "ticks of no table or no connector", &list(&connection, strays, []).at(path)?);
    let strays = "SELECT printf('tick %d', tick) FROM \"$blooms\"
        WHERE tick NOT IN (SELECT id FROM \"$ticks\" WHERE target IS NOT NULL)";
    checked.take(path, "filters of ticks without samples", &list(&connection, strays, []).at(path)?);
    for (id, name, schema) in &tables {
        let Some(schema) = schema_from_json(schema) else {
            checked.take(path, "a table's columns are unreadable", &[format!("{name}: {schema}")]);
            continue;
        };
        let table = Table { connection: &connection, path, id: *id, name, schema: &schema };
        file.series += table.check(checked).at(path)?;
    }
    Ok(file)
}

/// A table under check.
struct Table<'a> {
    connection: &'a Connection,
    path: &'a Path,
    id: i64,
    name: &'a str,
    schema: &'a Schema,
}

impl Table<'_> {
    /// Returns how many series there are.
    fn check(&self, checked: &mut Checked) -> rusqlite::Result<u64> {
        let names = |sql: &str| {
            sql.replace("{samples}", &quote(&format!("{}$samples", self.name)))
                .replace("{series}", &quote(&format!("{}$series", self.name)))
        };
        let columns: Vec<String> =
            list(self.connection, "SELECT name FROM pragma_table_info(?1) ORDER BY cid", [self.name])?;
        if !self.schema.columns().iter().map(Column::name).eq(&columns) {
            let found = format!("{} has {}", self.name, columns.join(", "));
            checked.take(self.path, "a view has other columns than its table", &[found]);
        }
        for (what, sql) in [
            ("samples that the ledger counts otherwise", include_str!("sql/check/miscounted_ticks.sql")),
            ("ticks without their samples", include_str!("sql/check/empty_ticks.sql")),
            ("samples of no series", include_str!("sql/check/stray_samples.sql")),
            ("series of another connector", include_str!("sql/check/misplaced_series.sql")),
        ] {
            let sql = names(sql).replace("{table}", &self.id.to_string());
            let found = list(self.connection, &sql, [])?;
            checked.take(self.path, format_args!("{}: {what}", self.name), &found);
        }
        let rows = format!("SELECT count(*) FROM {}", quote(self.name));
        let rows: i64 = self.connection.query_row(&rows, [], |row| row.get(0))?;
        let told = "SELECT coalesce(sum(rows), 0) FROM \"$ticks\" WHERE target = ?1";
        let told: i64 = self.connection.query_row(told, [self.id], |row| row.get(0))?;
        if rows != told {
            let found = format!("{} has {rows}, and the ledger says {told}", self.name);
            checked.take(self.path, "a view shows other rows than were committed", &[found]);
        }
        let found = self.hiding_filters()?;
        checked.take(self.path, format_args!("{}: filters that hide values", self.name), &found);
        let several = names(include_str!("sql/check/several_series.sql"));
        if let [first, more @ ..] = &list(self.connection, &several, [])?[..] {
            checked.notes.push(format!(
                "{}: {}: {} keys have several series, as they came back after many new ones: {first}",
                self.path.display(),
                self.name,
                1 + more.len(),
            ));
        }
        let (series, wrong) = self.check_hashes()?;
        checked.take(self.path, format_args!("{}: series whose hash is not their key's", self.name), &wrong);
        Ok(series)
    }

    /// The ticks with a value that their filter does not have.
    fn hiding_filters(&self) -> rusqlite::Result<Vec<String>> {
        let columns: Vec<(usize, &Column)> =
            self.schema.with_role(Role::Value).filter(|(_, column)| bloom::has(column)).collect();
        let names: Vec<String> = columns.iter().map(|(_, column)| quote(column.name())).collect();
        let mut samples = self.connection.prepare(&format!(
            "SELECT {} FROM {} WHERE \"$id\" BETWEEN ?1 AND ?2",
            if names.is_empty() { "1".to_owned() } else { names.join(", ") },
            quote(&format!("{}$samples", self.name)),
        ))?;
        let mut filters = self.connection.prepare(
            "SELECT b.tick, b.bits FROM \"$blooms\" b JOIN \"$ticks\" t ON t.id = b.tick WHERE t.target = ?1",
        )?;
        let (mut filters, mut hiding) = (filters.query([self.id])?, Vec::new());
        while let Some(row) = filters.next()? {
            let (tick, filter) = (row.get(0)?, row.get_ref(1)?.as_blob()?);
            let ids = ids_of(tick);
            let mut samples = samples.query([ids.start(), ids.end()])?;
            'samples: while let Some(sample) = samples.next()? {
                for (at, (column, _)) in columns.iter().enumerate() {
                    if !bloom::may_have(filter, bloom::hash(*column, sample.get_ref(at)?)) {
                        hiding.push(format!("tick {tick}"));
                        break 'samples;
                    }
                }
            }
        }
        Ok(hiding)
    }

    /// Computes each series' hash again, and returns their number and those that differ.
    fn check_hashes(&self) -> rusqlite::Result<(u64, Vec<String>)> {
        let keys: Vec<(usize, &Column)> = self.schema.with_role(Role::Key).collect();
        let columns: String = keys.iter().map(|(_, column)| format!(", {}", quote(column.name()))).collect();
        let series = quote(&format!("{}$series", self.name));
        let mut select = self
            .connection
            .prepare(&format!("SELECT \"$id\", \"$high\", \"$low\", \"$nth\"{columns} FROM {series}"))?;
        let mut found = select.query([])?;
        let mut rows = Rows::new(self.schema);
        let mut stored: Vec<(i64, (i64, i64), u32)> = Vec::new();
        let (mut count, mut wrong, mut bytes) = (0, Vec::new(), Vec::new());
        loop {
            let row = found.next()?;
            if let Some(row) = row {
                stored.push((row.get(0)?, (row.get(1)?, row.get(2)?), row.get(3)?));
                for (at, (index, column)) in keys.iter().enumerate() {
                    let Some(text) = row.get::<_, Option<String>>(4 + at)? else { continue };
                    if column.kind() == ColumnType::Dynamic {
                        let Entries(entries) = serde_json::from_str(&text).unwrap_or_default();
                        for (key, value) in &entries {
                            rows.entry(*index, key, value);
                        }
                    } else {
                        rows.string(*index, &text);
                    }
                }
                rows.end_row();
            }
            let is_last = row.is_none();
            if is_last || stored.len() == BATCH {
                let keys = Keys::new(self.schema, &rows);
                for (row, (id, stored, nth)) in stored.iter().enumerate() {
                    if halves(mark(keys.hash(row, &mut bytes), *nth)) != *stored {
                        wrong.push(format!("series {} of connector {}", number_in(*id), id >> NUMBER_BITS));
                    }
                }
                count += stored.len() as u64;
                stored.clear();
                rows.clear();
            }
            if is_last {
                return Ok((count, wrong));
            }
        }
    }
}

/// A map as it was written, entries that come twice included.
#[derive(Default)]
struct Entries(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        input.deserialize_map(All)
    }
}

fn list(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map(values, |row| row.get(0))?.collect()
}
