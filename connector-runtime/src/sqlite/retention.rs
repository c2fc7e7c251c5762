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

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

use super::{
    SqliteStore, clock, control::Control, data::DataFile, fault::At, table::quote, writer::Durability,
};
use crate::model::{Millis, format_millis};
use crate::store::StoreError;

/// The samples that go in one transaction, unless a single tick has more: it goes whole.
const ROWS: i64 = 10_000;

/// The ticks that go in one transaction.
const TICKS: usize = 250;

/// The ticks that are looked for at once.
const SLICE: usize = 10_000;

/// The series that go in one transaction.
const SERIES: usize = 1_000;

/// The pages that are given back in one transaction.
const PAGES: i64 = 250;

/// Space is given back when more than this part of a file is free; new ticks use the rest.
const FREE_PART: i64 = 10;

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

impl SqliteStore {
    /// Keeps ticks for that long: deletes what is older, now and then, a twenty-fourth of that time after it is due and
    /// at the latest after an hour. It never ends by itself; a failure is logged, and tried again the next time.
    pub async fn retain(&self, retention: Duration) {
        let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let every = (retention / 24).clamp(Duration::from_secs(1), Duration::from_secs(3600));
        let drift = || clock::wall() - clock::uptime();
        let mut before = drift();
        loop {
            let jump = drift() - before;
            before += jump;
            if jump > DRIFT {
                tracing::warn!(
                    jump_ms = jump,
                    "the clock has jumped forwards: nothing is deleted before it has gone on steadily for a while"
                );
            } else if let Err(error) = self.expire(clock::wall().saturating_sub(kept)).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "could not delete old ticks");
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
            expired.ticks += pass.done.ticks;
            expired.rows += pass.done.rows;
            expired.series += pass.done.series;
            expired.bytes += pass.done.bytes;
        }
        Ok(expired)
    }
}

/// One pass over one database.
struct Pass<'a> {
    store: &'a SqliteStore,
    database: &'a str,
    before: Millis,
    done: Expired,
    /// The greatest series in the deleted ticks, for each table and connector: of those up to it, some may be left
    /// without a sample. Younger ones were created in ticks that are still there.
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
                self.done.ticks += gone.ticks;
                self.done.rows += gone.rows;
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
            for ids in unused.ids.chunks(SERIES) {
                let unused = Unused { ids: ids.to_vec(), table: unused.table.clone(), seen: unused.seen };
                self.done.series +=
                    self.write(move |file| file.delete_series(&unused, table, connector)).await?;
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
            self.done.bytes += bytes;
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

    fn tell(&self, message: &str) {
        let Expired { ticks, rows, series, bytes } = self.done;
        if self.done != Expired::default() {
            let before = format_millis(self.before);
            tracing::info!(database = self.database, before, ticks, rows, series, bytes, "{message}");
        }
    }
}

/// Ticks that may go, with the number of their rows.
struct Slice {
    from: Millis,
    until: Millis,
    ticks: Vec<(i64, i64)>,
}

/// The first slice of time from there on in which there are ticks.
fn find_slice(
    connection: &Connection,
    from: Millis,
    width: i64,
    before: Millis,
) -> rusqlite::Result<Option<Slice>> {
    let oldest: Option<Millis> = connection
        .prepare_cached(include_str!("sql/data/oldest_tick.sql"))?
        .query_row([from], |row| row.get(0))?;
    let Some(from) = oldest.filter(|oldest| *oldest < before) else { return Ok(None) };
    let until = from.saturating_add(width).min(before);
    let limit = i64::try_from(SLICE).unwrap_or(i64::MAX);
    let ticks = connection
        .prepare_cached(include_str!("sql/data/expired_ticks.sql"))?
        .query_map((from, until, limit), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(Some(Slice { from, until, ticks }))
}

/// The ids of the ticks that go together.
fn chunks(ticks: &[(i64, i64)]) -> impl Iterator<Item = Vec<i64>> {
    let mut rest = ticks;
    std::iter::from_fn(move || {
        let mut rows = 0;
        let fits = |(_, more): &&(i64, i64)| {
            rows += more;
            rows <= ROWS
        };
        let len = rest.iter().take(TICKS).take_while(fits).count().max(1).min(rest.len());
        let (chunk, left) = rest.split_at(len);
        rest = left;
        (len > 0).then(|| chunk.iter().map(|(id, _)| *id).collect())
    })
}

/// Series without samples, as a reader saw it.
struct Unused {
    table: String,
    ids: Vec<i64>,
    /// The latest write that the reader saw.
    seen: i64,
}

/// The series of a connector up to `bound` that no tick has a sample of.
fn find_unused(
    connection: &Connection,
    table: i64,
    connector: i64,
    bound: i64,
) -> rusqlite::Result<Option<Unused>> {
    let Some(name) = tables(connection)?.remove(&table) else { return Ok(None) };
    let sql = format!(
        "SELECT \"$id\" FROM {} WHERE \"$connector\" = ?1 AND \"$id\" <= ?2",
        quote(&format!("{name}$series"))
    );
    let mut unused: HashSet<i64> = connection
        .prepare_cached(&sql)?
        .query_map([connector, bound], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut ledger = connection.prepare_cached(include_str!("sql/data/ticks_with_rows.sql"))?;
    let mut ticks = ledger.query([connector, table])?;
    while !unused.is_empty()
        && let Some(tick) = ticks.next()?
    {
        remove_used(connection, &name, tick.get(0)?, tick.get(1)?, &mut unused)?;
    }
    let seen = connection.query_row("SELECT coalesce(max(id), 0) FROM \"$ticks\"", [], |row| row.get(0))?;
    let mut ids: Vec<i64> = unused.into_iter().collect();
    ids.sort_unstable();
    Ok(Some(Unused { table: name, ids, seen }))
}

/// Takes those out of `unused` that the tick has samples of.
fn remove_used(
    connection: &Connection,
    table: &str,
    tick: i64,
    rows: i64,
    unused: &mut HashSet<i64>,
) -> rusqlite::Result<()> {
    let samples = quote(&format!("{table}$samples"));
    if i64::try_from(unused.len()).is_ok_and(|unused| unused <= rows / 8) {
        let sql = format!("SELECT 1 FROM {samples} WHERE \"$tick\" = ?1 AND \"$series\" = ?2");
        let mut find = connection.prepare_cached(&sql)?;
        let mut used = Vec::new();
        for id in unused.iter() {
            if find.exists([tick, *id])? {
                used.push(*id);
            }
        }
        for id in used {
            unused.remove(&id);
        }
    } else {
        let sql = format!("SELECT \"$series\" FROM {samples} WHERE \"$tick\" = ?1");
        let mut all = connection.prepare_cached(&sql)?;
        let mut used = all.query([tick])?;
        while let Some(row) = used.next()? {
            unused.remove(&row.get(0)?);
        }
    }
    Ok(())
}

/// The names of tables.
fn tables(connection: &Connection) -> rusqlite::Result<HashMap<i64, String>> {
    connection
        .prepare_cached("SELECT id, name FROM \"$tables\"")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// What one transaction has deleted.
#[derive(Default)]
struct Gone {
    ticks: u64,
    rows: u64,
    touched: Vec<((i64, i64), i64)>,
}

impl DataFile {
    fn delete_ticks(&mut self, ticks: &[i64], before: Millis) -> Result<Gone, StoreError> {
        self.within(|file| delete_ticks(file.connection(), ticks, before).at(file.path()))
    }

    fn delete_series(&mut self, unused: &Unused, table: i64, connector: i64) -> Result<u64, StoreError> {
        let deleted =
            self.within(|file| delete_series(file.connection(), unused, table, connector).at(file.path()));
        self.forget();
        deleted
    }

    /// Gives some pages back where too many are free. Returns their bytes.
    fn give_back(&mut self) -> Result<u64, StoreError> {
        let number = |name| self.connection().pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let count = || Ok::<_, rusqlite::Error>((number("page_count")?, number("freelist_count")?));
        let (pages, free) = count().at(self.path())?;
        let excess = (free - pages / FREE_PART).min(PAGES);
        if excess <= 0 {
            return Ok(0);
        }
        vacuum(self.connection(), excess).at(self.path())?;
        let fewer = pages - count().at(self.path())?.0;
        let size = number("page_size").at(self.path())?;
        Ok(u64::try_from(fewer * size).unwrap_or(0))
    }
}

/// Gives pages back: one with each step of the statement.
fn vacuum(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

fn delete_ticks(connection: &Connection, ticks: &[i64], before: Millis) -> rusqlite::Result<Gone> {
    let tables = tables(connection)?;
    let mut gone = Gone::default();
    let mut find = connection.prepare_cached(include_str!("sql/data/find_expired.sql"))?;
    for id in ticks {
        let found = find.query_row((id, before), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, bool>(2)?))
        });
        let Some((connector, target, is_superseded)) = found.optional()? else { continue };
        if let Some((target, name)) = target.and_then(|target| Some((target, tables.get(&target)?))) {
            let samples = quote(&format!("{name}$samples"));
            let last = format!("SELECT max(\"$series\") FROM {samples} WHERE \"$tick\" = ?1");
            let last: Option<i64> = connection.prepare_cached(&last)?.query_row([id], |row| row.get(0))?;
            if let Some(last) = last {
                let delete = format!("DELETE FROM {samples} WHERE \"$tick\" = ?1");
                gone.rows += connection.prepare_cached(&delete)?.execute([id])? as u64;
                gone.touched.push(((target, connector), last));
            }
        }
        if is_superseded {
            connection.prepare_cached("DELETE FROM \"$ticks\" WHERE id = ?1")?.execute([id])?;
            gone.ticks += 1;
        } else {
            connection.prepare_cached("UPDATE \"$ticks\" SET target = NULL WHERE id = ?1")?.execute([id])?;
        }
    }
    Ok(gone)
}

fn delete_series(
    connection: &Connection,
    unused: &Unused,
    table: i64,
    connector: i64,
) -> rusqlite::Result<u64> {
    let mut ids: HashSet<i64> = unused.ids.iter().copied().collect();
    let mut newer = connection.prepare_cached(include_str!("sql/data/newer_ticks.sql"))?;
    let mut ticks = newer.query([unused.seen, connector, table])?;
    while let Some(tick) = ticks.next()? {
        remove_used(connection, &unused.table, tick.get(0)?, tick.get(1)?, &mut ids)?;
    }
    let series = quote(&format!("{}$series", unused.table));
    let mut delete = connection.prepare_cached(&format!("DELETE FROM {series} WHERE \"$id\" = ?1"))?;
    let mut deleted = 0;
    for id in ids {
        deleted += delete.execute([id])? as u64;
    }
    connection.prepare_cached("UPDATE \"$epoch\" SET series = series + 1")?.execute([])?;
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_back_by_the_hundred() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = DataFile::open(folder.path().join("plant.db")).unwrap();
        let fill = "CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
            SELECT zeroblob(4000) FROM n";
        file.connection().execute_batch(fill).unwrap();
        file.connection().execute_batch("DROP TABLE filler").unwrap();
        let given_back: Vec<u64> =
            std::iter::from_fn(|| Some(file.give_back().unwrap()).filter(|bytes| *bytes > 0)).collect();
        // A page of the map of pages may go with them.
        let some = u64::try_from(PAGES).unwrap() * 4096;
        assert!(
            given_back.len() < 10 && given_back[..3].iter().all(|bytes| *bytes >= some),
            "{given_back:?}"
        );
    }
}
