//! Tables: the rows of each committed tick, as the connector left them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use connector_core::{ColumnData, Rows, Schema};
use tokio::sync::mpsc;

use super::filter::Filter;
use crate::model::Millis;
use crate::store::{Cell, RowQuery, RowStream, StoreError};

/// Rows sent at once.
const BATCH: usize = 1024;

/// All tables, by database and name. The case of either makes no difference, as in SQL.
#[derive(Debug, Default)]
pub(super) struct Tables {
    by_name: BTreeMap<(String, String), Table>,
}

impl Tables {
    /// Makes a table known, unless it exists already with just these columns.
    pub(super) fn declare(&mut self, database: &str, table: &str, schema: &Schema) -> Result<(), StoreError> {
        let new = || Table { schema: Arc::new(schema.clone()), ticks: BTreeMap::new(), appended: 0 };
        let known = self.by_name.entry(key(database, table)).or_insert_with(new);
        known.check(table, schema)
    }

    pub(super) fn append(
        &mut self,
        database: &str,
        table: &str,
        schema: &Schema,
        scheduled_for: Millis,
        rows: Arc<Rows>,
    ) -> Result<(), StoreError> {
        rows.check().map_err(|error| StoreError::failed("the tick's rows cannot be kept", error))?;
        self.declare(database, table, schema)?;
        let known = self.by_name.get_mut(&key(database, table)).ok_or(NO_TABLE)?;
        known.appended += 1;
        known.ticks.insert((scheduled_for, known.appended), rows);
        Ok(())
    }

    /// What a query will read. The rows are shared and never change, so nothing is copied.
    pub(super) fn snapshot(&self, query: &RowQuery) -> Result<Snapshot, StoreError> {
        let table = self.by_name.get(&key(&query.database, &query.table)).ok_or(NO_TABLE)?;
        let filters = query.filters.iter();
        let filters: Vec<Filter> = filters
            .map(|(column, value)| Filter::new(&table.schema, column, value))
            .collect::<Result<_, _>>()?;
        let mut ticks = Vec::new();
        let mut rows = 0;
        for (scheduled_for, tick) in table.newest_first(query.since..query.until) {
            if rows >= query.limit {
                break;
            }
            if filters.is_empty() {
                rows += tick.len();
            }
            ticks.push((scheduled_for, Arc::clone(tick)));
        }
        Ok(Snapshot { schema: Arc::clone(&table.schema), ticks, filters, limit: query.limit })
    }
}

fn key(database: &str, table: &str) -> (String, String) {
    (database.to_ascii_lowercase(), table.to_ascii_lowercase())
}

#[derive(Debug)]
struct Table {
    schema: Arc<Schema>,
    /// By bucket, and by the order of commits where connectors share the table.
    ticks: BTreeMap<(Millis, u64), Arc<Rows>>,
    appended: u64,
}

impl Table {
    fn check(&self, name: &str, schema: &Schema) -> Result<(), StoreError> {
        if *self.schema == *schema { Ok(()) } else { Err(StoreError::SchemaMismatch(name.to_owned())) }
    }

    fn newest_first(&self, times: Range<Option<Millis>>) -> impl Iterator<Item = (Millis, &Arc<Rows>)> {
        let begin = times.start.unwrap_or(Millis::MIN);
        // A range that ends before it begins is an empty one here, and a panic in the map.
        let end = times.end.map_or((Millis::MAX, u64::MAX), |end| (end.max(begin), 0));
        self.ticks.range((begin, 0)..end).rev().map(|((scheduled_for, _), rows)| (*scheduled_for, rows))
    }
}

/// What one query reads.
#[derive(Debug)]
pub(super) struct Snapshot {
    schema: Arc<Schema>,
    ticks: Vec<(Millis, Arc<Rows>)>,
    filters: Vec<Filter>,
    limit: usize,
}

impl Snapshot {
    /// Reads in a task of its own.
    pub(super) fn stream(self) -> RowStream {
        let columns = self.schema.columns().iter().map(|c| (c.name().to_owned(), c.kind())).collect();
        let (sender, batches) = mpsc::channel(2);
        tokio::spawn(self.send(sender));
        RowStream { columns, batches }
    }

    async fn send(self, sender: mpsc::Sender<Result<Vec<Vec<Cell>>, StoreError>>) {
        let mut left = self.limit;
        for (scheduled_for, rows) in &self.ticks {
            for begin in (0..rows.len()).step_by(BATCH) {
                let end = rows.len().min(begin + BATCH);
                let kept = (begin..end).filter(|i| self.keeps(*scheduled_for, rows, *i)).take(left);
                let batch: Vec<_> = kept.map(|i| cells(*scheduled_for, rows, i)).collect();
                left -= batch.len();
                if !batch.is_empty() && sender.send(Ok(batch)).await.is_err() || left == 0 {
                    return;
                }
                // A filter may keep nothing for long: let others run.
                tokio::task::yield_now().await;
            }
        }
    }

    fn keeps(&self, scheduled_for: Millis, rows: &Rows, row: usize) -> bool {
        self.filters.iter().all(|filter| filter.keeps(scheduled_for, rows, row))
    }
}

fn cells(scheduled_for: Millis, rows: &Rows, row: usize) -> Vec<Cell> {
    let cell = |column: &ColumnData| match column {
        ColumnData::Time => Cell::Timestamp(scheduled_for),
        ColumnData::Timestamp(c) => c.get(row).map_or(Cell::Null, Cell::Timestamp),
        ColumnData::String(c) => c.get(row).map_or(Cell::Null, |text| Cell::Text(text.to_owned())),
        ColumnData::Real(c) => c.get(row).map_or(Cell::Null, Cell::Real),
        ColumnData::Dynamic(c) => {
            let mut json = String::new();
            c.write_json(row, &mut json);
            Cell::Json(json)
        }
        other => unreachable!("a column that schemas do not have: {other:?}"),
    };
    rows.columns().iter().map(cell).collect()
}

const NO_TABLE: StoreError = StoreError::NotFound("table");
