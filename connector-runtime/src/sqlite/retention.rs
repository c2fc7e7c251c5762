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
//! series then looks at the ticks that were written since, and begins a new epoch, which tells other processes to forget
//! what they remember of series. To find it out takes a look at all that is kept of a connector, so connectors have that
//! done in turn, a few times while a tick ages.

mod delete;
mod find;
mod metrics;
#[cfg(test)]
mod tests;

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

/// From how many series on they go in one transaction, which so has fewer than twice as many.
const SERIES: usize = 1_000;

/// The connectors that they are of, at most: each has the ticks looked through that have been written since its series were.
const CONNECTORS: usize = 64;

/// How often a connector has its turn while one of its ticks ages.
const TURNS: i64 = 4;

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
        let turns = Turns((kept / TURNS).max(1));
        loop {
            let jump = clocks.ahead(clock::wall(), clock::uptime());
            if jump > DRIFT {
                tracing::warn!(
                    jump_ms = jump,
                    "the clock has jumped forwards: nothing is deleted before it has gone on steadily for a while"
                );
            } else {
                let result = self.pass(clock::wall().saturating_sub(kept), Some(turns)).await;
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
    /// When the store failed. What was deleted by then is deleted; databases without a failure are done.
    pub async fn expire(&self, before: Millis) -> Result<Expired, StoreError> {
        self.pass(before, None).await
    }

    /// One pass over all databases. With `turns`, only connectors whose turn it is have their series looked through, and
    /// those that no row is left of.
    async fn pass(&self, before: Millis, turns: Option<Turns>) -> Result<Expired, StoreError> {
        let (mut expired, mut failed) = (Expired::default(), Ok(()));
        for database in self.readers.control(Control::all_databases).await? {
            let mut pass = Pass::new(self, &database, before, turns);
            failed = failed.and(pass.run().await);
            expired += pass.done;
        }
        failed.map(|()| expired)
    }
}

/// How often a connector has its series looked through for those that no row is left of, in milliseconds of what is deleted.
#[derive(Clone, Copy)]
struct Turns(i64);

impl Turns {
    /// Whether a connector has its turn when its ticks from the bucket `gone` on are deleted, and `left` is the first that
    /// stays. Its number says when, so that connectors have theirs at different times, and a restart changes nothing.
    fn is_of(self, connector: i64, gone: Millis, left: Millis) -> bool {
        let spread = connector.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let nth = |time: Millis| time.saturating_add(spread.cast_signed() % self.0).div_euclid(self.0);
        nth(gone) < nth(left)
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
    turns: Option<Turns>,
    done: Expired,
    /// The tables and connectors that rows went of, each with the oldest of those ticks.
    touched: BTreeMap<(i64, i64), Millis>,
    told: Instant,
}

impl<'a> Pass<'a> {
    fn new(store: &'a SqliteStore, database: &'a str, before: Millis, turns: Option<Turns>) -> Self {
        let (done, touched) = Default::default();
        Self { store, database, before, turns, done, touched, told: Instant::now() }
    }

    async fn run(&mut self) -> Result<(), StoreError> {
        self.delete_ticks().await?;
        self.delete_series().await?;
        self.give_back().await?;
        self.tell("deleted old ticks");
        Ok(())
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
                for (place, bucket) in gone.touched {
                    let oldest = self.touched.entry(place).or_insert(bucket);
                    *oldest = bucket.min(*oldest);
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
        let mut batch: Vec<Unused> = Vec::new();
        for (place, gone) in std::mem::take(&mut self.touched) {
            let (turns, (_, connector)) = (self.turns, place);
            let is_turn = move |left| turns.is_none_or(|turns| turns.is_of(connector, gone, left));
            let find = move |c: &Connection, path: &Path| find_unused(c, place, is_turn).at(path);
            let Some(unused) = self.store.readers.data(self.database, find).await?.flatten() else {
                continue;
            };
            for numbers in unused.numbers.chunks(SERIES) {
                let Unused { place, ref table, seen, .. } = unused;
                batch.push(Unused { place, table: table.clone(), numbers: numbers.to_vec(), seen });
                let series: usize = batch.iter().map(|unused| unused.numbers.len()).sum();
                if series >= SERIES || batch.len() == CONNECTORS {
                    self.delete_batch(std::mem::take(&mut batch)).await?;
                }
            }
        }
        self.delete_batch(batch).await
    }

    async fn delete_batch(&mut self, batch: Vec<Unused>) -> Result<(), StoreError> {
        if !batch.is_empty() {
            let series = self.write(move |file| file.delete_series(&batch)).await?;
            self.count(Expired { series, ..Expired::default() });
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
