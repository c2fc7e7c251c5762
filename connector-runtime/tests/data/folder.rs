//! A store's folder, with what the tests do to it again and again.

use std::path::Path;
use std::sync::Arc;

use connector_core::{Column, ColumnType, Rows, Schema};
use connector_runtime::model::{ConnectorSpec, Millis, Outcome, TickRecord};
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::{Change, Claim, Claimed, FinishedTick, Lease, Revision, Store};
use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

/// The interval of the connectors, in milliseconds.
pub(crate) const INTERVAL: Millis = 15_000;

/// The beginning of some bucket of [`INTERVAL`].
pub(crate) const T: Millis = 1_777_716_000_000;

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn open(&self) -> SqliteStore {
        SqliteStore::open(self.0.path()).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The file with the tables.
    pub(crate) fn data(&self) -> Connection {
        let data = Connection::open(self.0.path().join("plant.db")).unwrap();
        data.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        data
    }

    /// Time and name of each row in the view, in order.
    pub(crate) fn rows(&self) -> Vec<(Millis, String)> {
        let data = self.data();
        let mut rows = data.prepare("SELECT timestamp, name FROM readings ORDER BY 1, 2").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The number that a query finds in the file with the tables.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        self.data().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

pub(crate) fn schema() -> Schema {
    Schema::new([
        Column::time("timestamp"),
        Column::key("name", ColumnType::String),
        Column::value("value", ColumnType::Real),
        Column::key("labels", ColumnType::Dynamic),
    ])
    .unwrap()
}

/// A new connector on the table `plant.readings`.
pub(crate) async fn connector(store: &SqliteStore, name: &str) -> Uuid {
    let spec = ConnectorSpec {
        name: name.to_owned(),
        type_id: "thermometer".to_owned(),
        target_database: "plant".to_owned(),
        target_table: "readings".to_owned(),
        schedule_ms: INTERVAL,
        config: serde_json::Value::Null,
    };
    store.create(spec, &schema()).await.unwrap().id
}

/// One row for each name.
pub(crate) fn named<S: AsRef<str>>(names: &[S]) -> Rows {
    let mut rows = Rows::new(&schema());
    for name in names {
        rows.string(1, name.as_ref()).real(2, 1.5).entry(3, "room", "hall").end_row();
    }
    rows
}

pub(crate) async fn claim(store: &SqliteStore, id: Uuid, bucket: Millis, triggered: bool) -> Claimed {
    let changes = store.changes(Revision::default()).await.unwrap();
    let generation = changes.connectors.iter().find_map(|change| match change {
        Change::Present(assignment) if assignment.id == id => Some(assignment.generation),
        _ => None,
    });
    let claim = Claim { connector: id, generation: generation.unwrap(), scheduled_for: bucket, triggered };
    store.claim(Uuid::from_u128(1), "runner", &[claim]).await.unwrap()[0]
}

pub(crate) async fn lease(store: &SqliteStore, id: Uuid, bucket: Millis) -> Lease {
    match claim(store, id, bucket, false).await {
        Claimed::Granted(lease) => lease,
        other => panic!("not granted: {other:?}"),
    }
}

/// The record of a tick that committed with so many rows.
pub(crate) fn record(lease: Lease, rows: usize) -> TickRecord {
    TickRecord {
        scheduled_for: lease.scheduled_for,
        started_at: lease.scheduled_for + 40,
        finished_at: lease.scheduled_for + 90,
        outcome: Outcome::Committed,
        rows: rows as u64,
        attempts: 1,
        error: None,
        runner: "runner".to_owned(),
    }
}

/// Ends a tick: it committed with these rows, or failed.
pub(crate) async fn end(store: &SqliteStore, lease: Lease, rows: Option<Rows>) {
    let mut record = record(lease, rows.as_ref().map_or(0, Rows::len));
    if rows.is_none() {
        record.outcome = Outcome::Transient;
        record.error = Some("it did not answer".to_owned());
    }
    let rows = rows.map(|rows| (Arc::new(schema()), Arc::new(rows)));
    store.finish(FinishedTick { lease, record, rows }).await.unwrap();
}

/// Claims and commits the `n`th bucket after [`T`] with a row for each name.
pub(crate) async fn commit<S: AsRef<str>>(store: &SqliteStore, id: Uuid, n: i64, names: &[S]) {
    let lease = lease(store, id, T + n * INTERVAL).await;
    end(store, lease, Some(named(names))).await;
}

/// The beginning of the `n`th bucket after [`T`].
pub(crate) fn nth(n: i64) -> Millis {
    T + n * INTERVAL
}
