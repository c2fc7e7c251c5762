//! The write-ahead log of a file, and when its pages move into the file.
//!
//! Left alone, SQLite moves them within some commit, whose callers then wait for that too, and it begins a log anew only
//! in a moment without readers: under readers that always overlap the log grows for ever. Here pages move between two
//! rounds, and once a log has become long, its readers are waited for, the longer the longer it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

/// The log's growth, in pages, after which they are moved.
const OFTEN: u32 = 4_000;

/// The length, in pages, from which on readers are waited for.
const LONG: u32 = 16_000;

/// How long they are waited for, for each [`LONG`] that the log has. Commits wait meanwhile.
const PATIENCE: Duration = Duration::from_millis(50);

/// As above, at most.
const LONGEST: Duration = Duration::from_secs(2);

/// What is known of the log of one connection's file.
#[derive(Debug)]
pub(super) struct Log {
    /// As of the last commit.
    pages: Arc<AtomicU32>,
    /// How many there were when they were last moved.
    moved_at: u32,
}

impl Log {
    /// Watches the connection's commits, which no longer move pages.
    pub(super) fn of(connection: &mut Connection) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut _, pages: i32| {
            seen.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages, moved_at: 0 })
    }

    /// Moves pages if it is time to. `patience` is the connection's own.
    pub(super) fn tend(&mut self, connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.moved_at {
            self.moved_at = 0;
        }
        if pages - self.moved_at < OFTEN {
            return Ok(());
        }
        self.moved_at = pages;
        if pages < LONG {
            return connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
        connection.busy_timeout((PATIENCE * (pages / LONG)).min(LONGEST))?;
        let moved = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        connection.busy_timeout(patience)?;
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use super::*;
    use crate::sqlite::files;

    /// Half a megabyte.
    const WRITE: &str = "INSERT INTO t VALUES (zeroblob(524288))";

    fn length(file: &Path) -> u64 {
        std::fs::metadata(file.with_extension("db-wal")).unwrap().len()
    }

    fn open(file: &Path) -> (Connection, Log) {
        let mut connection = files::open_data(file).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        let log = Log::of(&mut connection).unwrap();
        (connection, log)
    }

    /// How long a reader goes on reading while the writer waits.
    const A_WHILE: Duration = Duration::from_millis(1);

    /// What the writer does, for readers to see.
    #[derive(Default)]
    struct Writing {
        commits: AtomicU32,
        waits: AtomicBool,
        ended: AtomicBool,
    }

    /// Reads all the time, each time for some commits, or until the writer has waited for a while, and beginning before
    /// the last one has ended.
    fn read_without_a_gap(file: &Path, writing: &Writing) {
        const READ: &str = "BEGIN; SELECT count(*) FROM sqlite_schema";
        let mut readers = [0, 1].map(|_| files::open_reader(file).unwrap());
        readers[0].execute_batch(READ).unwrap();
        let ended = || writing.ended.load(Ordering::Relaxed);
        while !ended() {
            readers[1].execute_batch(READ).unwrap();
            let end = writing.commits.load(Ordering::Relaxed) + 3;
            let mut waited = None;
            while writing.commits.load(Ordering::Relaxed) < end && !ended() {
                std::thread::yield_now();
                if writing.waits.load(Ordering::Relaxed)
                    && waited.get_or_insert_with(Instant::now).elapsed() > A_WHILE
                {
                    break;
                }
            }
            readers[0].execute_batch("COMMIT").unwrap();
            readers.swap(0, 1);
        }
    }

    #[test]
    fn a_log_stays_short_under_readers_that_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let (connection, mut log) = open(&file);
        let writing = Writing::default();
        std::thread::scope(|scope| {
            scope.spawn(|| read_without_a_gap(&file, &writing));
            for _ in 0..800 {
                connection.execute_batch(WRITE).unwrap();
                writing.commits.fetch_add(1, Ordering::Relaxed);
                let pages = log.pages.load(Ordering::Relaxed);
                writing.waits.store(pages >= LONG.max(log.moved_at + OFTEN), Ordering::Relaxed);
                log.tend(&connection, Duration::from_secs(2)).unwrap();
                writing.waits.store(false, Ordering::Relaxed);
            }
            writing.ended.store(true, Ordering::Relaxed);
        });
        let page = 4096;
        assert!(length(&file) < 4 * page * u64::from(LONG), "{} bytes", length(&file));
    }

    #[test]
    fn a_reader_that_stays_does_not_stop_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let (connection, mut log) = open(&file);
        let reader = files::open_reader(&file).unwrap();
        reader.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema").unwrap();
        for _ in 0..200 {
            connection.execute_batch(WRITE).unwrap();
            log.tend(&connection, Duration::from_secs(2)).unwrap();
        }
        let long = length(&file);
        assert!(long > 100 << 20, "{long} bytes");
        reader.execute_batch("COMMIT").unwrap();
        for _ in 0..40 {
            connection.execute_batch(WRITE).unwrap();
            log.tend(&connection, Duration::from_secs(2)).unwrap();
        }
        assert!(length(&file) < long, "{} bytes", length(&file));
    }
}
