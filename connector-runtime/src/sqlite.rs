//! A store in a folder of SQLite files: the embedded default.
//!
//! `control.db` holds connectors and leases. Each `<database>.db` holds the tables of one database **and the ledger of
//! its ticks**: a commit over two files is not atomic, so the ledger beside the rows is what makes a tick's rows land
//! exactly once, and `control.db` is brought into line from it.
//!
//! A table is a view over the ledger, the series (their distinct keys) and the samples of each tick, so that plain
//! SQL reads it, and a sample costs some 18 bytes on disk. Timestamps are integers: milliseconds since the Unix epoch.
//!
//! Several processes of one machine can share a folder. It must lie on a local file system.

mod backup;
mod bloom;
mod check;
mod clock;
mod control;
mod data;
mod dictionary;
mod fault;
mod files;
mod filter;
mod jobs;
mod keys;
mod lease;
mod log;
mod lookout;
mod migrate;
mod place;
mod read;
mod retention;
mod rows;
mod samples;
mod series;
mod siblings;
mod statistics;
mod stats;
mod stream;
mod table;
mod table_reader;
mod tasks;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::Schema;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use uuid::Uuid;

pub use self::backup::{Backup, CopiedFile, back_up};
pub use self::check::{Checked, CheckedFile, check};
pub use self::retention::Expired;
pub use self::stats::{Amount, ConnectorStats, DatabaseStats, TableStats, stats};
pub use self::table_reader::TableReader;

use self::control::Control;
use self::data::Digest;
use self::jobs::Durability;
use self::keys::{Keys, Prints};
use self::lookout::Lookout;
use self::read::{Ends, Readers};
use self::siblings::Siblings;
use self::writer::{Round, Writer};
use crate::model::{ConnectorRecord, ConnectorSpec, Millis, Outcome, TickRecord};
use crate::store::{
    Changes, Claim, Claimed, FinishedTick, Lease, Revision, RowQuery, RowStream, Store, StoreError,
};

/// How long a claim waits for another try when its database cannot be read.
const UNREADABLE: Duration = Duration::from_secs(1);

/// Keeps everything in SQLite files in one folder. Dropping it ends the work that waits, waits up to a second for reads, and
/// then closes the files.
///
/// ```
/// # use connector_core::{Column, ColumnType, Schema};
/// # use connector_runtime::{model::ConnectorSpec, sqlite::SqliteStore, store::Store};
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let store = SqliteStore::open(dir.path())?;
/// let schema = Schema::new([Column::time("timestamp"), Column::value("celsius", ColumnType::Real)])?;
/// let spec = ConnectorSpec {
///     name: "balcony".into(),
///     type_id: "thermometer".into(),
///     target_database: "home".into(),
///     target_table: "temperature".into(),
///     schedule_ms: 15_000,
///     config: serde_json::Value::Null,
/// };
/// let created = store.create(spec, &schema).await?;
/// assert_eq!(store.get(created.id).await?, Some(created));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    // These go first: the last one to close a file takes its write-ahead log over, and only who writes can do that.
    readers: Readers,
    _reads: Ends,
    _lookout: Lookout,
    writer: Writer,
    revision: Arc<watch::Sender<Revision>>,
    siblings: Arc<Siblings>,
    /// The fingerprint of each connector's latest rows.
    latest: Mutex<HashMap<Uuid, u128>>,
    expiry: retention::Metrics,
}

impl SqliteStore {
    /// Opens the store in a folder, and creates what is missing, the folder too. Files of earlier versions are brought to
    /// the newest layout, which can take a minute for each hundred million rows.
    ///
    /// # Errors
    ///
    /// [`NewerLayout`](StoreError::NewerLayout); [`Failed`](StoreError::Failed) when the folder or a file in it cannot
    /// be written or is damaged.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        files::create_folder(dir)?;
        let revision = Arc::new(watch::Sender::new(Revision::default()));
        let siblings = Arc::new(Siblings::default());
        let writer = Writer::start(dir, revision.clone(), siblings.clone())?;
        let (readers, reads) = Readers::new(dir);
        readers
            .on_control(Control::all_databases)?
            .iter()
            .for_each(|database| bring_up_to_date(dir, database));
        let lookout = Lookout::start(dir, revision.clone())?;
        let (latest, expiry) = Default::default();
        Ok(Self { readers, _reads: reads, _lookout: lookout, writer, revision, siblings, latest, expiry })
    }

    /// Whether a connector's latest rows had that fingerprint too, which is the one of its latest rows from now on.
    fn is_latest(&self, connector: Uuid, fingerprint: u128) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.insert(connector, fingerprint) == Some(fingerprint)
    }

    /// Adds what this store counts to a registry, for whoever scrapes this process: what [`retain`](Self::retain) has
    /// deleted and given back, and when it last got to its end.
    pub fn register(&self, registry: &mut Registry) {
        self.expiry.register(registry);
    }
}

/// Brings a file of tables to the newest layout, so that it can be read before anything is written to it. Where that fails,
/// whoever uses it is told.
fn bring_up_to_date(dir: &Path, database: &str) {
    let opened = match files::data_path(dir, database) {
        Ok(path) if path.exists() => files::open_data(&path).map(drop),
        other => other.map(drop),
    };
    if let Err(error) = opened {
        tracing::warn!(%error, database, "a database cannot be opened");
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create(&self, spec: ConnectorSpec, schema: &Schema) -> Result<ConnectorRecord, StoreError> {
        let schema = schema.clone();
        let work = move |round: &mut Round<'_>| {
            let record = round.control.create(&spec)?;
            round.write_to(&spec.target_database)?.ensure_table(&spec.target_table, &schema)?;
            Ok(record)
        };
        self.writer.run(Durability::Power, work).await
    }

    async fn get(&self, id: Uuid) -> Result<Option<ConnectorRecord>, StoreError> {
        self.readers.control(move |control| Ok(control.find(id)?.map(|known| known.record))).await
    }

    async fn list(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ConnectorRecord>, StoreError> {
        self.readers.control(move |control| control.list(after, limit)).await
    }

    async fn replace(
        &self,
        id: Uuid,
        spec: ConnectorSpec,
        schema: &Schema,
    ) -> Result<ConnectorRecord, StoreError> {
        let schema = schema.clone();
        let work = move |round: &mut Round<'_>| {
            let record = round.change(id).replace(id, &spec)?;
            round.write_to(&spec.target_database)?.ensure_table(&spec.target_table, &schema)?;
            Ok(record)
        };
        self.writer.run(Durability::Power, work).await
    }

    async fn delete(&self, id: Uuid) -> Result<(), StoreError> {
        self.writer.run(Durability::Power, move |round| round.change(id).delete(id)).await
    }

    async fn set_active(&self, id: Uuid, active: bool) -> Result<ConnectorRecord, StoreError> {
        self.writer.run(Durability::Power, move |round| round.change(id).set_active(id, active)).await
    }

    async fn trigger(&self, id: Uuid, now: Millis) -> Result<Millis, StoreError> {
        self.writer.run(Durability::Power, move |round| round.trigger(id, now)).await
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.readers.control(move |control| control.changes(since)).await
    }

    async fn changed(&self, since: Revision) {
        // Its sender lives as long as the store.
        let _ = self.revision.subscribe().wait_for(|now| *now > since).await;
    }

    async fn claim(&self, owner: Uuid, runner: &str, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
        let (runner, claims) = (runner.to_owned(), claims.to_vec());
        let work = move |round: &mut Round<'_>| {
            let mut failed = None;
            let mut answers = Vec::with_capacity(claims.len());
            for claim in &claims {
                answers.push(match round.claim(owner, &runner, claim) {
                    Err(error) if round.is_apart() => {
                        tracing::warn!(connector = %claim.connector, %error, "a claim failed");
                        failed = Some(error);
                        Claimed::Held(UNREADABLE)
                    }
                    answer => answer?,
                });
            }
            // One damaged file must not keep the connectors of other databases from ticking.
            match failed {
                Some(error) if !answers.iter().any(|answer| matches!(answer, Claimed::Granted(_))) => {
                    Err(error)
                }
                _ => Ok(answers),
            }
        };
        let answers = self.writer.run(Durability::Process, work).await?;
        for answer in &answers {
            if let Claimed::Granted(lease) = answer {
                self.siblings.begins(lease.connector);
            }
        }
        Ok(answers)
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, StoreError> {
        let leases = leases.to_vec();
        let work = move |round: &mut Round<'_>| leases.iter().map(|lease| round.renew(lease)).collect();
        self.writer.run(Durability::Process, work).await
    }

    async fn finish(&self, tick: FinishedTick) -> Result<(), StoreError> {
        let durability = match tick.record.outcome {
            Outcome::Config => Durability::Power,
            _ => Durability::Process,
        };
        // Here rather than in the one thread that writes: the rows are in this core's cache yet.
        let (mut prints, mut values) = (Prints::default(), None);
        if let Some((schema, rows)) = &tick.rows {
            rows.check().map_err(|error| StoreError::failed("the tick's rows cannot be kept", error))?;
            let keys = Keys::new(schema, rows);
            prints.whole = keys.fingerprint();
            if !self.is_latest(tick.lease.connector, prints.whole) {
                prints.rows = keys.hashes();
            }
            values = bloom::of(schema, rows);
        }
        self.siblings.ended(tick.lease.connector);
        let digest = Digest { prints, values };
        self.writer.run_with_siblings(durability, move |round| round.finish(&tick, &digest)).await
    }

    async fn ticks(&self, id: Uuid, limit: usize) -> Result<Vec<TickRecord>, StoreError> {
        self.readers.ticks(id, limit).await
    }

    async fn rows(&self, query: RowQuery) -> Result<RowStream, StoreError> {
        stream::stream(&self.readers, query).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let probe = |round: &mut Round<'_>| {
            round.control.run("UPDATE meta SET probes = probes + 1", [])?;
            let databases = round.control.databases()?;
            databases.iter().try_for_each(|database| round.check(database))?;
            Ok(databases)
        };
        let databases = self.writer.run(Durability::Process, probe).await?;
        // The writer has much of the files in its memory, and might not notice what has become of them.
        for database in databases {
            self.readers.data(&database, read::probe).await?;
        }
        self.readers.control(|control| control.revision().map(drop)).await
    }
}
