//! A store on a disk of ours, a runner, and connectors whose every tick can be told from every other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connector_core::{
    Column, ColumnType, Connector, Registry, ResolveSecret, Rows, Schema, Secret, SecretError, SecretRef,
    Tick, TickError,
};
use connector_runtime::model::{ConnectorSpec, Millis, Outcome, TickRecord};
use connector_runtime::runner::{Runner, RunnerOptions};
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::{Store, StoreError};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::disk::Disk;
use crate::vfs;

/// The rows of a tick: several inserts of many, and single ones.
pub(crate) const ROWS: i64 = 120;

/// Writes [`ROWS`] rows with the number of the tick, and counts the ticks.
#[derive(Clone, Default)]
pub(crate) struct Counter(pub(crate) Arc<AtomicU64>);

impl Connector for Counter {
    const TYPE_ID: &'static str = "counter";
    type Config = Value;

    fn config_schema(&self) -> Value {
        json!({})
    }

    fn schema(&self) -> Schema {
        Schema::new([
            Column::time("at"),
            Column::key("name", ColumnType::String),
            Column::value("tick", ColumnType::Real),
        ])
        .unwrap()
    }

    async fn tick(&self, _: &Tick<'_, Value>, rows: &mut Rows) -> Result<(), TickError> {
        self.write(rows);
        Ok(())
    }
}

impl Counter {
    pub(crate) fn write(&self, rows: &mut Rows) {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        for i in 0..ROWS {
            rows.string(1, &i.to_string()).real(2, number as f64).end_row();
        }
    }
}

struct NoSecrets;

impl ResolveSecret for NoSecrets {
    fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        Err(SecretError::new(reference, "there are no secrets here"))
    }
}

/// A runner at work.
pub(crate) struct Stage {
    above: TempDir,
    pub(crate) disk: Arc<Disk>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) counter: Counter,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Stage {
    pub(crate) fn start() -> Self {
        Self::start_on(tempfile::tempdir().unwrap())
    }

    /// The same in the folder `store` below this one.
    pub(crate) fn start_on(above: TempDir) -> Self {
        let folder = above.path().join("store");
        let disk = Disk::new();
        vfs::mount(&folder, &disk);
        let store = Arc::new(SqliteStore::open(&folder).unwrap());
        let counter = Counter::default();
        let registry = Registry::new().with(counter.clone());
        let runner = Runner::new(store.clone(), registry, Arc::new(NoSecrets), RunnerOptions::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(runner.run(async { drop(stopped.await) }));
        Self { above, disk, store, counter, stop, running }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.above.path().join("store")
    }

    /// A connector that writes to the table of its own name in that database.
    pub(crate) async fn connector(&self, database: &str, name: &str, schedule_ms: i64) -> Uuid {
        self.store.create(spec(database, name, schedule_ms), &Counter::default().schema()).await.unwrap().id
    }

    /// Waits until the connector has committed a bucket after the newest one that it has committed now.
    #[track_caller]
    pub(crate) fn commits(&self, connector: Uuid) -> impl Future<Output = TickRecord> {
        let now = chrono::Utc::now().timestamp_millis();
        self.tick(connector, move |tick| tick.outcome == Outcome::Committed && tick.scheduled_for > now)
    }

    /// Waits for a tick.
    #[track_caller]
    pub(crate) fn tick(
        &self,
        connector: Uuid,
        wanted: impl Fn(&TickRecord) -> bool,
    ) -> impl Future<Output = TickRecord> {
        until(async move || {
            let ticks = self.store.ticks(connector, 100).await.ok()?;
            ticks.into_iter().find(|tick| wanted(tick))
        })
    }

    /// Waits until the store says that it is not ready, and returns why.
    #[track_caller]
    pub(crate) fn not_ready(&self) -> impl Future<Output = String> {
        until(async || self.store.ready().await.err().map(|error| told(&error)))
    }

    #[track_caller]
    pub(crate) fn ready(&self) -> impl Future<Output = ()> {
        until(async || self.store.ready().await.ok())
    }

    /// Waits until the disk has failed so often again.
    #[track_caller]
    pub(crate) fn hits(&self, count: u64) -> impl Future<Output = ()> {
        let before = self.disk.hits();
        until(async move || (self.disk.hits() >= before + count).then_some(()))
    }

    /// Stops, and returns the folder above the store's.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
        // A renewal may be on its way yet.
        let mut store = self.store;
        until(async || Arc::get_mut(&mut store).map(drop)).await;
        self.above
    }
}

pub(crate) fn spec(database: &str, name: &str, schedule_ms: i64) -> ConnectorSpec {
    ConnectorSpec {
        name: name.to_owned(),
        type_id: "counter".to_owned(),
        target_database: database.to_owned(),
        target_table: name.to_owned(),
        schedule_ms,
        config: json!({}),
    }
}

/// An error and its cause.
pub(crate) fn told(error: &StoreError) -> String {
    connector_core::chain(error)
}

/// Waits until `look` finds something. One that never does fails here rather than hanging.
#[track_caller]
pub(crate) fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let found = timeout(Duration::from_secs(90), async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("what is waited for at {caller} should have happened"))
    }
}

/// Checks a file of tables that nobody uses any more, in which the connector `name` has the table `name`: every bucket
/// once and whole. Returns the buckets that committed.
pub(crate) fn check(folder: &Path, database: &str, name: &str) -> Vec<Millis> {
    let file = intact(folder, database);
    committed(&file, name)
}

/// Opens a file of tables whose every page is in order.
pub(crate) fn intact(folder: &Path, database: &str) -> Connection {
    let file = Connection::open(folder.join(format!("{database}.db"))).unwrap();
    let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    file
}

/// The buckets of the table `name` that committed, each of them once and whole.
pub(crate) fn committed(file: &Connection, name: &str) -> Vec<Millis> {
    let sql = format!("SELECT at, count(*), min(tick), max(tick) FROM \"{name}\" GROUP BY at ORDER BY at");
    let mut buckets = file.prepare(&sql).unwrap();
    let buckets = buckets.query_map([], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, f64>(2)?, row.get::<_, f64>(3)?))
    });
    let buckets: Vec<_> = buckets.unwrap().map(Result::unwrap).collect();
    for (at, rows, first, last) in &buckets {
        assert_eq!(*rows, ROWS, "{name}: bucket {at} in part");
        assert_eq!(first, last, "{name}: bucket {at} of two ticks");
    }
    let mut ticks: Vec<u64> = buckets.iter().map(|(_, _, tick, _)| *tick as u64).collect();
    ticks.sort_unstable();
    assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{name}: a tick landed twice: {ticks:?}");
    let sql = "SELECT scheduled_for FROM \"$ticks\" WHERE outcome = 'committed'
        AND target = (SELECT id FROM \"$tables\" WHERE name = ?1) ORDER BY scheduled_for";
    let mut ledger = file.prepare(sql).unwrap();
    let ledger: Vec<Millis> =
        ledger.query_map([name], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let landed: Vec<Millis> = buckets.iter().map(|bucket| bucket.0).collect();
    assert_eq!(landed, ledger, "{name}: rows and ledger differ");
    ledger
}
