//! Reading: connections that only read, each in its own snapshot, off the runtime's threads.

use std::convert::Infallible;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::{
    control::{Control, NO_CONNECTOR},
    data,
    fault::At,
    files,
    migrate::{self, Step},
    place::Place,
};
use crate::model::TickRecord;
use crate::store::StoreError;

/// How many short reads go on at once.
const SHORT: usize = 4;

/// How many tables are streamed at once: each takes a thread, and keeps the file from shrinking while it goes on.
const STREAMS: usize = 16;

/// How many connections are kept for the next reader, to all files together: each takes up to 2 MB and open files.
const IDLE: usize = 32;

/// How long a store that is closed waits for reads that are going on.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

/// Connections for reading, kept for the next reader.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    dir: Arc<Path>,
    /// The one that was used last goes last.
    idle: Arc<Mutex<Vec<Idle>>>,
    short: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Goes last: when all of these are gone, so are all connections.
    _open: Sender<Infallible>,
}

/// Waits, when dropped, until reads that are going on have ended, and their connections are closed.
#[derive(Debug)]
pub(super) struct Ends(Mutex<Receiver<Infallible>>);

impl Drop for Ends {
    fn drop(&mut self) {
        let ends = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ends.recv_timeout(ENDS_WITHIN);
    }
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    place: Place,
}

impl Readers {
    pub(super) fn new(dir: &Path) -> (Self, Ends) {
        let (open, ends) = channel();
        let readers = Self {
            dir: dir.into(),
            idle: Arc::default(),
            short: Arc::new(Semaphore::new(SHORT)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            _open: open,
        };
        (readers, Ends(Mutex::new(ends)))
    }

    /// Reads `control.db` within one snapshot.
    pub(super) async fn control<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Control) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.clone();
        let permit = permit(&self.short).await?;
        off_the_runtime(permit, move || readers.on_control(read)).await
    }

    /// The ticks of a connector, the newest bucket first.
    pub(super) async fn ticks(&self, id: Uuid, limit: usize) -> Result<Vec<TickRecord>, StoreError> {
        let readers = self.clone();
        let permit = permit(&self.short).await?;
        off_the_runtime(permit, move || {
            let targets =
                readers.on_control(|control| control.targets(control.find(id)?.ok_or(NO_CONNECTOR)?.seq))?;
            let mut ticks = Vec::new();
            for database in targets {
                let newest =
                    |connection: &Connection, path: &Path| newest_ticks(connection, id, limit).at(path);
                ticks.extend(readers.on_data(&database, newest)?.unwrap_or_default());
            }
            ticks.sort_by_key(|tick: &TickRecord| std::cmp::Reverse(tick.scheduled_for));
            // A bucket can be in two databases when the connector was given another one: the commit counts.
            ticks.dedup_by(|later, earlier| later.scheduled_for == earlier.scheduled_for);
            ticks.truncate(limit);
            Ok(ticks)
        })
        .await
    }

    /// Reads a file of tables within one snapshot; nothing, when there is no such file.
    pub(super) async fn data<T: Send + 'static>(
        &self,
        database: &str,
        read: impl FnOnce(&Connection, &Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let (readers, database) = (self.clone(), database.to_owned());
        let permit = permit(&self.short).await?;
        off_the_runtime(permit, move || readers.on_data(&database, read)).await
    }

    /// A place among those who stream tables.
    pub(super) async fn stream_permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        permit(&self.streams).await
    }

    pub(super) fn on_control<T>(
        &self,
        read: impl FnOnce(&Control) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = files::control_path(&self.dir);
        let Idle { connection, place } = self.take(&path, migrate::CONTROL)?;
        connection.execute_batch("BEGIN").at(&path)?;
        let control = Control { connection, path };
        let result = read(&control)?;
        self.put_back(Idle { connection: control.connection, place });
        Ok(result)
    }

    /// Reads a file of tables within one snapshot; nothing, when there is no such file.
    pub(super) fn on_data<T>(
        &self,
        database: &str,
        read: impl FnOnce(&Connection, &Path) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let path = files::data_path(&self.dir, database)?;
        if files::is_reserved(database) || !path.exists() {
            return Ok(None);
        }
        let idle = self.take(&path, migrate::DATA)?;
        idle.connection.execute_batch("BEGIN").at(&path)?;
        let result = read(&idle.connection, &path)?;
        self.put_back(idle);
        Ok(Some(result))
    }

    fn take(&self, path: &Path, steps: &[Step]) -> Result<Idle, StoreError> {
        while let Some(idle) = self.take_idle(path) {
            if idle.place.holds() {
                return Ok(idle);
            }
        }
        let connection = files::open_reader(path)?;
        migrate::require(&connection, path, steps)?;
        Ok(Idle { connection, place: Place::of(path) })
    }

    fn take_idle(&self, path: &Path) -> Option<Idle> {
        let mut idle = self.lock();
        let latest = idle.iter().rposition(|idle| idle.place.path() == path)?;
        Some(idle.remove(latest))
    }

    /// Keeps a connection that worked, in place of the one that has been idle for longest. One that failed is closed instead.
    fn put_back(&self, used: Idle) {
        if used.connection.execute_batch("COMMIT").is_ok() {
            let mut idle = self.lock();
            let too_many = (idle.len() >= IDLE).then(|| idle.remove(0));
            idle.push(used);
            drop(idle);
            drop(too_many);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what blocks on a thread that may, holding the permit meanwhile.
pub(super) async fn off_the_runtime<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let work = move || {
        let _permit = permit;
        work()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::failed("reading the store was broken off", error)),
    }
}

/// Whether the tables and the ledger of a file can be read.
pub(super) fn probe(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut newest = connection
        .prepare_cached("SELECT (SELECT max(id) FROM \"$tables\"), (SELECT max(id) FROM \"$ticks\")")
        .at(path)?;
    newest.query_row([], |_| Ok(())).at(path)
}

async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    semaphore.clone().acquire_owned().await.map_err(|_| StoreError::Closed)
}

fn newest_ticks(connection: &Connection, id: Uuid, limit: usize) -> rusqlite::Result<Vec<TickRecord>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(include_str!("sql/data/newest_ticks.sql"))?
        .query_map((data::text(id), limit), data::tick_record)?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connections_are_bounded_over_all_files_and_the_latest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (readers, _ends) = Readers::new(folder.path());
        let databases: Vec<String> = (0..2 * IDLE).map(|n| format!("db{n}")).collect();
        for database in &databases {
            files::open_data(&folder.path().join(format!("{database}.db"))).unwrap();
        }
        let path = |connection: &Connection, _: &Path| Ok(connection.path().map(str::to_owned));
        for database in &databases {
            let read = readers.on_data(database, path).unwrap().flatten().unwrap();
            assert!(read.ends_with(&format!("/{database}.db")), "{read}");
        }
        let of_idle = || readers.lock().iter().map(|idle| idle.place.path().to_owned()).collect::<Vec<_>>();
        let mut kept = of_idle();
        assert_eq!(
            kept,
            databases[IDLE..].iter().map(|name| folder.path().join(format!("{name}.db"))).collect::<Vec<_>>()
        );

        readers.on_data(&databases[IDLE], path).unwrap();
        kept.rotate_left(1);
        assert_eq!(of_idle(), kept, "the one that was used is the latest now");
    }
}
