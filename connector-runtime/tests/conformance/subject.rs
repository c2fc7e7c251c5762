//! A store under test, and what the cases say again and again.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connector_core::{Column, ColumnType, Rows, Schema};
use connector_runtime::memory::MemoryStore;
use connector_runtime::model::{ConnectorRecord, ConnectorSpec, Millis, Outcome, TickRecord};
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::{
    Assignment, Cell, Change, Claim, Claimed, FinishedTick, LEASE, Lease, Revision, RowQuery, Store,
    StoreError,
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

/// The interval of [`spec`], in milliseconds.
pub(super) const INTERVAL: Millis = 15_000;

/// The beginning of some bucket of [`INTERVAL`].
pub(super) const T: Millis = 1_777_716_000_000;

/// Two runners.
pub(super) const OWNER: Uuid = Uuid::from_u128(0xA11CE);
pub(super) const OTHER: Uuid = Uuid::from_u128(0xB0B);

/// Half a lease: far enough from its end for a clock that goes on by itself.
pub(super) const HALF: Duration = Duration::from_millis(LEASE.as_millis() as u64 / 2);

/// A new store.
pub(super) struct Subject {
    store: Arc<dyn Store>,
    time: Time,
    /// Goes last, after the store in it.
    folder: Option<TempDir>,
}

/// How time goes by for a store's leases.
enum Time {
    /// By the runtime's clock, which is paused.
    Paused,
    /// By moving the ends of leases in this `control.db` instead.
    Moved(PathBuf),
}

impl Subject {
    pub(super) fn memory() -> Self {
        Self { store: Arc::new(MemoryStore::new()), time: Time::Paused, folder: None }
    }

    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
        Self { store, time: Time::Moved(folder.path().join("control.db")), folder: Some(folder) }
    }

    /// The store, to share with a task.
    pub(super) fn shared(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// A second handle on the same contents, as another runner would have it.
    pub(super) fn peer(&self) -> Arc<dyn Store> {
        match &self.folder {
            None => self.shared(),
            Some(folder) => Arc::new(SqliteStore::open(folder.path()).unwrap()),
        }
    }

    /// Lets time go by for the leases.
    pub(super) async fn pass(&self, time: Duration) {
        match &self.time {
            Time::Paused => tokio::time::advance(time).await,
            Time::Moved(control) => {
                let control = rusqlite::Connection::open(control).unwrap();
                control.busy_timeout(Duration::from_secs(10)).unwrap();
                let millis = i64::try_from(time.as_millis()).unwrap();
                control.execute("UPDATE tasks SET expires = expires - ?1", [millis]).unwrap();
            }
        }
    }

    /// A new connector with [`spec`] and [`schema`].
    pub(super) async fn connector(&self, name: &str) -> ConnectorRecord {
        self.create(spec(name), &schema()).await.unwrap()
    }

    /// The connector of that id as it is now.
    pub(super) async fn record(&self, id: Uuid) -> ConnectorRecord {
        self.get(id).await.unwrap().unwrap()
    }

    /// What runners are told of a connector.
    pub(super) async fn assignment(&self, id: Uuid) -> Assignment {
        let changes = self.changes(Revision::default()).await.unwrap();
        let mut present = changes.connectors.into_iter().filter_map(|change| match change {
            Change::Present(assignment) if assignment.id == id => Some(*assignment),
            _ => None,
        });
        present.next().unwrap()
    }

    /// One claim by `owner`, for the connector as it is now.
    pub(super) async fn claim_as(&self, owner: Uuid, id: Uuid, bucket: Millis, triggered: bool) -> Claimed {
        let generation = self.assignment(id).await.generation;
        let claim = Claim { connector: id, generation, scheduled_for: bucket, triggered };
        let answers = self.claim(owner, "runner", &[claim]).await.unwrap();
        assert_eq!(answers.len(), 1);
        answers[0]
    }

    /// A lease for [`OWNER`], by schedule.
    pub(super) async fn lease(&self, id: Uuid, bucket: Millis) -> Lease {
        granted(self.claim_as(OWNER, id, bucket, false).await)
    }

    /// Ends a tick with that outcome and no rows.
    pub(super) async fn end(&self, lease: Lease, outcome: Outcome) -> Result<(), StoreError> {
        self.finish(FinishedTick { lease, record: record(&lease, outcome), rows: None }).await
    }

    /// Ends a tick with these rows, of [`schema`].
    pub(super) async fn land(&self, lease: Lease, rows: Rows) -> Result<(), StoreError> {
        self.finish(landing(lease, schema(), rows)).await
    }

    /// Claims and commits a tick with these rows.
    pub(super) async fn commit(&self, id: Uuid, bucket: Millis, rows: Rows) {
        let lease = self.lease(id, bucket).await;
        self.land(lease, rows).await.unwrap();
    }

    /// Claims a tick and lets it fail.
    pub(super) async fn fail(&self, id: Uuid, bucket: Millis, outcome: Outcome) {
        let lease = self.lease(id, bucket).await;
        self.end(lease, outcome).await.unwrap();
    }

    /// All rows that a query finds.
    pub(super) async fn read(&self, query: RowQuery) -> Vec<Vec<Cell>> {
        let stream = self.rows(query).await.unwrap();
        let width = stream.columns.len();
        let rows = drain(stream.batches).await;
        assert!(rows.iter().all(|row| row.len() == width), "{rows:?}");
        rows
    }

    /// The names in the rows of [`spec`]'s table, in order.
    pub(super) async fn names(&self, query: RowQuery) -> Vec<String> {
        self.read(query).await.iter().map(|row| text(&row[1])).collect()
    }
}

impl Deref for Subject {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// A connector of that name, on the table `plant.readings`.
pub(super) fn spec(name: &str) -> ConnectorSpec {
    ConnectorSpec {
        name: name.to_owned(),
        type_id: "thermometer".to_owned(),
        target_database: "plant".to_owned(),
        target_table: "readings".to_owned(),
        schedule_ms: INTERVAL,
        config: json!({"rooms": ["hall", null], "scale": {"unit": "K", "factor": 1.5}}),
    }
}

/// A column of each type in each role that it can have.
pub(super) fn schema() -> Schema {
    Schema::new([
        Column::time("timestamp"),
        Column::key("name", ColumnType::String),
        Column::value("value", ColumnType::Real),
        Column::key("labels", ColumnType::Dynamic),
        Column::value("seen", ColumnType::Timestamp),
        Column::value("note", ColumnType::String),
        Column::value("extra", ColumnType::Dynamic),
    ])
    .unwrap()
}

/// One row for each name, with nothing else in it.
pub(super) fn named(names: &[&str]) -> Rows {
    let mut rows = Rows::new(&schema());
    for name in names {
        rows.string(1, name).end_row();
    }
    rows
}

/// The record of a tick that ended so.
pub(super) fn record(lease: &Lease, outcome: Outcome) -> TickRecord {
    let failed = !matches!(outcome, Outcome::Committed);
    TickRecord {
        scheduled_for: lease.scheduled_for,
        started_at: lease.scheduled_for + 40,
        finished_at: lease.scheduled_for + 90,
        outcome,
        rows: 0,
        attempts: 3,
        error: failed.then(|| format!("it was {}: \"so\"\nand more", outcome.as_str())),
        runner: "runner".to_owned(),
    }
}

/// A committed tick.
pub(super) fn landing(lease: Lease, schema: Schema, rows: Rows) -> FinishedTick {
    let record = TickRecord { rows: rows.len() as u64, ..record(&lease, Outcome::Committed) };
    FinishedTick { lease, record, rows: Some((Arc::new(schema), Arc::new(rows))) }
}

/// All rows of `plant.readings`.
pub(super) fn all() -> RowQuery {
    RowQuery {
        database: "plant".to_owned(),
        table: "readings".to_owned(),
        limit: 1_000_000,
        since: None,
        until: None,
        filters: Vec::new(),
    }
}

/// The lease of a claim that was granted.
#[track_caller]
pub(super) fn granted(claimed: Claimed) -> Lease {
    match claimed {
        Claimed::Granted(lease) => lease,
        other => panic!("not granted: {other:?}"),
    }
}

/// The rest of a claim that another lease stands against.
#[track_caller]
pub(super) fn held(claimed: Claimed) -> Duration {
    match claimed {
        Claimed::Held(remaining) => remaining,
        other => panic!("not held: {other:?}"),
    }
}

/// The text in a cell.
#[track_caller]
pub(super) fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

/// What is left in a stream of rows.
pub(super) async fn drain(
    mut batches: tokio::sync::mpsc::Receiver<Result<Vec<Vec<Cell>>, StoreError>>,
) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    while let Some(batch) = batches.recv().await {
        rows.extend(batch.unwrap());
    }
    rows
}

/// Waits for what must happen. One that never does fails here rather than hanging.
pub(super) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), event).await.expect("this should have happened")
}
