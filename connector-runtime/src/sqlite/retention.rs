//! Letting go of old ticks, in small pieces between the commits of new ones.
//!
//! A pass deletes the ticks of one slice of time after the other, then the series that no sample is left of, and then
//! gives back space. What is to go is found by readers; only the deleting itself is done by the writer, in jobs that
//! are small, and rest in between for as long as they took.
//!
//! The newest tick of each connector stays in the ledger, so that its bucket cannot commit twice, though its rows go: its
//! `target` is null then.
//!
//! A series may go once no tick has a sample of it. A reader finds that out in its own time; the job that deletes the
//! series then looks at the ticks that were written since, and begins a new epoch, which tells all processes to forget
//! what they remember of series.

mod delete;
mod find;
mod metrics;

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use self::find::{SLICE, Unused, chunks, find_slice, find_unused};
pub(super) use self::metrics::Metrics;
use super::{SqliteStore, clock, control::Control, data::DataFile, fault::At, jobs::Durability};
use crate::model::{Millis, format_millis};
use crate::store::StoreError;

/// The series that go in one transaction.
const SERIES: usize = 1_000;

/// How often a long pass is told of.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// By how much the wall clock may drift between two passes.
const DRIFT: i64 = 60_000;

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expired {
    /// Ticks, records of failed ones included.
    pub ticks: u64,
    /// Rows of tables.
    pub rows: u64,
    /// Series that no row was left of.
    pub series: u64,
    /// Bytes by which files have become smaller.
    pub bytes: u64,
}

impl AddAssign for Expired {
    fn add_assign(&mut self, more: Self) {
        self.ticks += more.ticks;
        self.rows += more.rows;
        self.series += more.series;
        self.bytes += more.bytes;
    }
}

impl SqliteStore {
    /// Keeps ticks for that long: deletes what is older, now and then, a twenty-fourth of that time after it is due and
    /// at the latest after an hour. It never ends by itself; a failure is logged, and tried again the next time.
    pub async fn retain(&self, retention: Duration) {
        let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let every = (retention / 24).clamp(Duration::from_secs(1), Duration::from_secs(3600));
        let mut clocks = Clocks::at(clock::wall(), clock::uptime());
        loop {
            let jump = clocks.ahead(clock::wall(), clock::uptime());
            if jump > DRIFT {
                tracing::warn!(
                    jump_ms = jump,
                    "the clock has jumped forwards: nothing is deleted before it has gone on steadily for a while"
                );
            } else {
                let result = self.expire(clock::wall().saturating_sub(kept)).await;
                self.expiry.ended(result.is_ok(), clock::wall());
                if let Err(error) = result {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "could not delete old ticks");
                }
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Deletes all ticks whose bucket began before that time, with their rows, the oldest first; then the series that no
    /// row is left of. The record of each connector's newest tick stays.
    ///
    /// Commits go on meanwhile. Dropping the future ends the work between two transactions.
    ///
    /// # Errors
    ///
    /// When the store failed. What was deleted by then is deleted.
    pub async fn expire(&self, before: Millis) -> Result<Expired, StoreError> {
        let mut expired = Expired::default();
        for database in self.readers.control(Control::all_databases).await? {
            let mut pass = Pass::new(self, &database, before);
            pass.delete_ticks().await?;
            pass.delete_series().await?;
            pass.give_back().await?;
            pass.tell("deleted old ticks");
            expired += pass.done;
        }
        Ok(expired)
    }
}

/// How far the wall clock is from the uptime, in milliseconds.
struct Clocks(i64);

impl Clocks {
    fn at(wall: Millis, uptime: i64) -> Self {
        Self(wall - uptime)
    }

    /// By how much more than the uptime the wall clock has gone on since this was last asked.
    fn ahead(&mut self, wall: Millis, uptime: i64) -> i64 {
        let before = std::mem::replace(&mut self.0, wall - uptime);
        self.0 - before
    }
}

/// One pass over one database.
struct Pass<'a> {
    store: &'a SqliteStore,
    database: &'a str,
    before: Millis,
    done: Expired,
    /// The greatest number of a series in the deleted ticks, for each table and connector: of those up to it, some may be
    /// left without a sample.
    touched: BTreeMap<(i64, i64), i64>,
    told: Instant,
}

impl<'a> Pass<'a> {
    fn new(store: &'a SqliteStore, database: &'a str, before: Millis) -> Self {
        let (done, touched) = Default::default();
        Self { store, database, before, done, touched, told: Instant::now() }
    }

    async fn delete_ticks(&mut self) -> Result<(), StoreError> {
        let before = self.before;
        let (mut from, mut width) = (Millis::MIN, 60_000);
        loop {
            let find = move |c: &Connection, path: &Path| find_slice(c, from, width, before).at(path);
            let Some(slice) = self.store.readers.data(self.database, find).await?.flatten() else {
                return Ok(());
            };
            for chunk in chunks(&slice.ticks) {
                let chunk = chunk.to_vec();
                let gone = self.write(move |file| file.delete_ticks(&chunk, before)).await?;
                self.count(Expired { ticks: gone.ticks, rows: gone.rows, ..Expired::default() });
                for (place, last) in gone.touched {
                    let bound = self.touched.entry(place).or_insert(last);
                    *bound = last.max(*bound);
                }
                if self.told.elapsed() > TELL_EVERY {
                    self.told = Instant::now();
                    tracing::info!(
                        database = self.database,
                        ticks = self.done.ticks,
                        rows = self.done.rows,
                        reached = format_millis(slice.from),
                        "deleting old ticks"
                    );
                }
            }
            if slice.ticks.len() == SLICE {
                from = slice.from;
                width = (width / 2).max(1);
            } else {
                from = slice.until;
                width = if slice.ticks.len() < SLICE / 4 { width.saturating_mul(2) } else { width };
            }
        }
    }

    async fn delete_series(&mut self) -> Result<(), StoreError> {
        for ((table, connector), bound) in std::mem::take(&mut self.touched) {
            let find = move |c: &Connection, path: &Path| find_unused(c, table, connector, bound).at(path);
            let Some(unused) = self.store.readers.data(self.database, find).await?.flatten() else {
                continue;
            };
            for numbers in unused.numbers.chunks(SERIES) {
                let unused =
                    Unused { numbers: numbers.to_vec(), table: unused.table.clone(), seen: unused.seen };
                let series = self.write(move |file| file.delete_series(&unused, table, connector)).await?;
                self.count(Expired { series, ..Expired::default() });
            }
        }
        Ok(())
    }

    async fn give_back(&mut self) -> Result<(), StoreError> {
        if self.done.ticks == 0 && self.done.rows == 0 {
            return Ok(());
        }
        loop {
            let bytes = self.write(DataFile::give_back).await?;
            self.count(Expired { bytes, ..Expired::default() });
            if bytes == 0 {
                return Ok(());
            }
        }
    }

    /// Does something on the file in the writer's next round, and rests for as long as that took.
    async fn write<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut DataFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (database, begun) = (self.database.to_owned(), Instant::now());
        let work = move |round: &mut super::Round<'_>| work(round.write_to(&database)?);
        let done = self.store.writer.run(Durability::Process, work).await?;
        tokio::time::sleep(begun.elapsed()).await;
        Ok(done)
    }

    fn count(&mut self, more: Expired) {
        self.done += more;
        self.store.expiry.add(more);
    }

    fn tell(&self, message: &str) {
        let Expired { ticks, rows, series, bytes } = self.done;
        if self.done != Expired::default() {
            let before = format_millis(self.before);
            tracing::info!(database = self.database, before, ticks, rows, series, bytes, "{message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_clock_counts_once() {
        const HOUR: i64 = 3_600_000;
        let mut clocks = Clocks::at(1_777_716_000_000, 5_000);
        assert_eq!(clocks.ahead(1_777_716_000_000 + HOUR, 5_000 + HOUR), 0);
        assert_eq!(clocks.ahead(1_777_716_000_000 + 3 * HOUR, 5_000 + 2 * HOUR), HOUR);
        assert_eq!(clocks.ahead(1_777_716_000_000 + 4 * HOUR, 5_000 + 3 * HOUR), 0);
        assert_eq!(clocks.ahead(1_777_716_000_000 + 4 * HOUR, 5_000 + 4 * HOUR), -HOUR);
    }
}
