//! The store under test, driven as a runner drives it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connector_core::{Rows, Schema};
use connector_runtime::model::{ConnectorSpec, Outcome, TickRecord};
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::{Claim, Claimed, FinishedTick, Store};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::workload;

/// Milliseconds between ticks.
pub(crate) const INTERVAL: i64 = 15_000;

/// The first bucket.
pub(crate) const BEGIN: i64 = 1_777_716_000_000;

/// A new folder, removed in the end.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

/// A runtime as the daemon has it.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().expect("an async runtime")
}

/// A store with connectors.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) store: Arc<SqliteStore>,
    schema: Arc<Schema>,
    owner: Uuid,
    pub(crate) connectors: Vec<Uuid>,
}

impl Subject {
    /// Opens the store in that folder, and creates the connectors that it has not yet.
    pub(crate) async fn open(folder: &Path, connectors: usize) -> Self {
        let store = Arc::new(SqliteStore::open(folder).expect("a store in a new folder"));
        let schema = workload::schema();
        let mut known = store.list(None, connectors).await.expect("the store's connectors");
        known.sort_by_key(|connector| (connector.spec.name.len(), connector.spec.name.clone()));
        let mut ids: Vec<Uuid> = known.iter().map(|connector| connector.id).collect();
        for n in ids.len()..connectors {
            let spec = ConnectorSpec {
                name: format!("target-{n}"),
                type_id: "prometheus".to_owned(),
                target_database: "default".to_owned(),
                target_table: "metrics".to_owned(),
                schedule_ms: INTERVAL,
                config: serde_json::json!({"endpoint": format!("http://10.0.0.{n}:9100/metrics")}),
            };
            ids.push(store.create(spec, &schema).await.expect("a new connector").id);
        }
        Self { store, schema, owner: Uuid::new_v4(), connectors: ids }
    }

    /// One whole tick: its claim, then its rows and its record.
    pub(crate) async fn tick(&self, connector: usize, tick: usize, rows: Arc<Rows>) {
        let connector = self.connectors[connector];
        let scheduled_for = BEGIN + INTERVAL * i64::try_from(tick).expect("a small number");
        let claim = Claim { connector, generation: 0, scheduled_for, triggered: false };
        let answers = self.store.claim(self.owner, "runner-0a1b2c3d", &[claim]).await.expect("a claim");
        let Claimed::Granted(lease) = answers[0] else { panic!("not granted: {:?}", answers[0]) };
        let record = TickRecord {
            scheduled_for,
            started_at: scheduled_for + 1_234,
            finished_at: scheduled_for + 1_256,
            outcome: Outcome::Committed,
            rows: rows.len() as u64,
            attempts: 1,
            error: None,
            runner: "runner-0a1b2c3d".to_owned(),
        };
        let tick = FinishedTick { lease, record, rows: Some((Arc::clone(&self.schema), rows)) };
        self.store.finish(tick).await.expect("a commit");
    }

    /// Ticks of all connectors at once, each connector's one after the other; `rows` says what of connector and tick.
    pub(crate) async fn run(
        &self,
        ticks: std::ops::Range<usize>,
        rows: impl Fn(usize, usize) -> Arc<Rows> + Clone + Send + 'static,
    ) {
        let running: Vec<_> = (0..self.connectors.len())
            .map(|connector| {
                let (subject, ticks, rows) = (self.clone(), ticks.clone(), rows.clone());
                tokio::spawn(async move {
                    for tick in ticks {
                        subject.tick(connector, tick, rows(connector, tick)).await;
                    }
                })
            })
            .collect();
        for connector in running {
            connector.await.expect("a connector whose ticks all commit");
        }
    }
}

/// How many rows the table has, as any SQLite client counts them.
pub(crate) fn count(folder: &Path) -> i64 {
    let connection = rusqlite::Connection::open(folder.join("default.db")).expect("the store's file");
    connection.query_row("SELECT count(*) FROM metrics", [], |row| row.get(0)).expect("a view named metrics")
}

/// Bytes of all files in a store's folder, with nothing left in a log.
pub(crate) fn bytes_on_disk(folder: &Path) -> u64 {
    for database in
        ["control.db", "default.db"].map(|name| folder.join(name)).iter().filter(|file| file.exists())
    {
        let connection = rusqlite::Connection::open(database).expect("the store's file");
        let checkpoint =
            || connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        // The store itself may be moving pages after its last commit.
        let emptied = (0..500).any(|_| {
            let busy = checkpoint().expect("a file in WAL mode") != 0;
            if busy {
                std::thread::sleep(Duration::from_millis(10));
            }
            !busy
        });
        assert!(emptied, "somebody holds {}", database.display());
    }
    let files = std::fs::read_dir(folder).expect("the store's folder");
    files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// CPU time of this process.
pub(crate) fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}
