//! A table's layout in SQLite, derived from the roles of its columns.
//!
//! A table `t` is a view over three tables: the ledger of ticks, `t$series` with the distinct keys of each connector, and
//! `t$samples` with the values of a series in a tick. `$` cannot be in a user's name, so nothing can clash.
//!
//! A connector's series are numbered from one. The number is the low part of two ids, each the key of its table: after
//! the connector's in `t$series`, after the tick's in `t$samples`. So a sample costs its values and one integer, is
//! appended, and leads to its tick and, with the tick's connector, to its series.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use connector_core::{Column, ColumnType, Role, Schema};
use serde::Deserialize;

/// SQLite takes no more parameters in one statement.
const MAX_PARAMETERS: usize = 32_766;

/// What the planner is told of the samples after the first of a tick's, and of those before its last: both together are
/// few.
const PART_OF_A_TICK: &str = "0.0002";

/// Rows in one insert, of which the greatest that fits is taken.
const ROWS_AN_INSERT: [usize; 4] = [64, 16, 4, 1];

/// The bits of an id that are the number of a series.
pub(super) const NUMBER_BITS: u32 = 24;

/// The greatest number that a series can have.
pub(super) const LAST_NUMBER: i64 = (1 << NUMBER_BITS) - 1;

/// The ids of all series of a connector, or of all samples of a tick: those with the numbers from zero on.
pub(super) fn ids_of(owner: i64) -> RangeInclusive<i64> {
    let first = owner << NUMBER_BITS;
    first..=first | LAST_NUMBER
}

/// The number of the series that an id ends with.
pub(super) fn number_in(id: i64) -> i64 {
    id & LAST_NUMBER
}

/// A table, and the statements that write it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) id: i64,
    pub(super) schema: Schema,
    /// The id and the values.
    pub(super) samples: Inserts,
    /// The values alone, if there are any, of samples that get the next ids.
    pub(super) appended: Option<Inserts>,
    pub(super) insert_series: String,
    pub(super) read_series: String,
    pub(super) latest_series: String,
    pub(super) last_series: String,
    pub(super) free_series: String,
}

/// Inserts of so many rows each.
#[derive(Debug)]
pub(super) struct Inserts(Vec<(usize, String)>);

impl Table {
    pub(super) fn new(id: i64, name: &str, schema: Schema) -> Self {
        let (series, samples) = (quote(&format!("{name}$series")), quote(&format!("{name}$samples")));
        let values: Vec<String> =
            schema.with_role(Role::Value).map(|(_, column)| quote(column.name())).collect();
        let into_values = format!("{samples} ({})", values.join(","));
        Self {
            id,
            samples: Inserts::new(&samples, 1 + values.len()),
            appended: (!values.is_empty()).then(|| Inserts::new(&into_values, values.len())),
            insert_series: format!(
                "INSERT INTO {series} VALUES {}",
                parameters(5 + schema.with_role(Role::Key).count())
            ),
            read_series: format!(
                "SELECT \"$id\", \"$high\", \"$low\" FROM {series} WHERE \"$id\" BETWEEN ?1 AND ?2"
            ),
            latest_series: include_str!("sql/data/latest_series.sql")
                .replace("{samples}", &samples)
                .replace("{series}", &series)
                .replace("{bits}", &NUMBER_BITS.to_string()),
            last_series: format!("SELECT max(\"$id\") FROM {series} WHERE \"$id\" BETWEEN ?1 AND ?2"),
            free_series: format!(
                "SELECT coalesce((SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM {series} WHERE \"$id\" = ?1)), \
                   (SELECT s.\"$id\" + 1 FROM {series} s WHERE s.\"$id\" >= ?1 AND s.\"$id\" < ?2 \
                      AND NOT EXISTS (SELECT 1 FROM {series} n WHERE n.\"$id\" = s.\"$id\" + 1) \
                    ORDER BY s.\"$id\" LIMIT 1))"
            ),
            schema,
        }
    }
}

impl Inserts {
    fn new(into: &str, columns: usize) -> Self {
        let row = parameters(columns);
        let insert = |rows| format!("INSERT INTO {into} VALUES {}", vec![row.as_str(); rows].join(","));
        let sizes = ROWS_AN_INSERT.into_iter().filter(|rows| rows * columns <= MAX_PARAMETERS);
        Self(sizes.map(|rows| (rows, insert(rows))).collect())
    }

    /// Each, the greatest first, with its number of rows.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().map(|(rows, sql)| (*rows, sql.as_str()))
    }
}

/// The values of a row, all of which are parameters.
fn parameters(columns: usize) -> String {
    format!("({})", vec!["?"; columns].join(","))
}

/// The statements that create a table.
pub(super) fn create(name: &str, schema: &Schema) -> String {
    let (view, series, samples) =
        (quote(name), quote(&format!("{name}$series")), quote(&format!("{name}$samples")));
    let mut columns = [String::new(), String::new(), String::new()];
    let [keys, values, visible] = &mut columns;
    for column in schema.columns() {
        let name = quote(column.name());
        let separator = if visible.is_empty() { "" } else { ", " };
        let _ = write!(visible, "{separator}{} AS {name}", qualified(column));
        match column.role() {
            Role::Time => {}
            Role::Key => drop(write!(keys, ", {name} {}", affinity(column.kind()))),
            Role::Value => drop(write!(values, ", {name} {}", affinity(column.kind()))),
        }
    }
    let by_key = schema.with_role(Role::Key).next().map(|(_, key)| {
        let index = quote(&format!("{name}$series_by_key"));
        format!("CREATE INDEX {index} ON {series} ({});", quote(key.name()))
    });
    format!(
        "CREATE TABLE {series} (\"$id\" INTEGER PRIMARY KEY, \"$connector\" INTEGER NOT NULL, \
           \"$high\" INTEGER NOT NULL, \"$low\" INTEGER NOT NULL, \"$nth\" INTEGER NOT NULL{keys});
         CREATE TABLE {samples} (\"$id\" INTEGER PRIMARY KEY{values});
         CREATE VIEW {view} AS SELECT {visible} FROM {series} s \
           JOIN \"$ticks\" t ON t.connector = s.\"$connector\" \
           JOIN {samples} x ON {join};
         {}",
        by_key.unwrap_or_default(),
        join = join("s", "t", "x"),
    )
}

/// How samples belong to their series and ticks, in each direction that a query may take: from a tick and a series to
/// the sample, from a tick to all of its samples, and from a sample to its series.
///
/// The planner is told how few of all samples are those of a tick. It would not guess, and read all series instead.
fn join(series: &str, tick: &str, sample: &str) -> String {
    let (s, t, x) = (format!("{series}.\"$id\""), format!("{tick}.id"), format!("{sample}.\"$id\""));
    format!(
        "{x} = ({t} << {NUMBER_BITS}) + ({s} & {LAST_NUMBER}) \
         AND likelihood({x} >= {t} << {NUMBER_BITS}, {PART_OF_A_TICK}) \
         AND likelihood({x} < ({t} + 1) << {NUMBER_BITS}, {PART_OF_A_TICK}) \
         AND {s} = ({tick}.connector << {NUMBER_BITS}) + ({x} & {LAST_NUMBER})"
    )
}

/// A column where the ledger is `t`, the series `s`, and the sample `x`.
pub(super) fn qualified(column: &Column) -> String {
    match column.role() {
        Role::Time => "t.scheduled_for".to_owned(),
        Role::Key => format!("s.{}", quote(column.name())),
        Role::Value => format!("x.{}", quote(column.name())),
    }
}

/// An identifier in SQL. Its parts were checked to be identifiers, so there is no quote inside.
pub(super) fn quote(name: &str) -> String {
    format!("\"{name}\"")
}

pub(super) fn affinity(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Timestamp => "INTEGER",
        ColumnType::Real => "REAL",
        _ => "TEXT",
    }
}

/// A schema as the registry of tables keeps it.
pub(super) fn schema_to_json(schema: &Schema) -> String {
    serde_json::to_string(schema).unwrap_or_default()
}

/// The schema that the registry of tables kept.
pub(super) fn schema_from_json(json: &str) -> Option<Schema> {
    #[derive(Deserialize)]
    struct Stored<'a> {
        name: &'a str,
        #[serde(rename = "type")]
        kind: &'a str,
        role: &'a str,
    }
    let stored: Vec<Stored<'_>> = serde_json::from_str(json).ok()?;
    let columns: Option<Vec<Column>> = stored
        .iter()
        .map(|column| {
            let kind = match column.kind {
                "timestamp" => ColumnType::Timestamp,
                "string" => ColumnType::String,
                "real" => ColumnType::Real,
                "dynamic" => ColumnType::Dynamic,
                _ => return None,
            };
            Some(match column.role {
                "time" => Column::time(column.name),
                "key" => Column::key(column.name, kind),
                "value" => Column::value(column.name, kind),
                _ => return None,
            })
        })
        .collect();
    Schema::new(columns?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_comes_back_from_the_registry() {
        let schema = Schema::new([
            Column::key("name", ColumnType::String),
            Column::time("at"),
            Column::key("labels", ColumnType::Dynamic),
            Column::value("value", ColumnType::Real),
            Column::value("seen", ColumnType::Timestamp),
        ])
        .unwrap();
        assert_eq!(schema_from_json(&schema_to_json(&schema)), Some(schema));
        assert_eq!(schema_from_json("[]"), None);
    }
}
