//! What is to go, as readers find it.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use crate::model::Millis;
use crate::sqlite::table::{ids_of, number_in, quote};

/// The samples that go in one transaction, unless a single tick has more: it goes whole.
const ROWS: i64 = 10_000;

/// The ticks that go in one transaction.
const TICKS: usize = 250;

/// The ticks that are looked for at once.
pub(super) const SLICE: usize = 10_000;

/// Ticks that may go, with the number of their rows.
pub(super) struct Slice {
    pub(super) from: Millis,
    pub(super) until: Millis,
    pub(super) ticks: Vec<(i64, i64)>,
}

/// The first slice of time from there on in which there are ticks.
pub(super) fn find_slice(
    connection: &Connection,
    from: Millis,
    width: i64,
    before: Millis,
) -> rusqlite::Result<Option<Slice>> {
    let oldest: Option<Millis> = connection
        .prepare_cached(include_str!("../sql/data/oldest_tick.sql"))?
        .query_row([from], |row| row.get(0))?;
    let Some(from) = oldest.filter(|oldest| *oldest < before) else { return Ok(None) };
    let until = from.saturating_add(width).min(before);
    let limit = i64::try_from(SLICE).unwrap_or(i64::MAX);
    let ticks = connection
        .prepare_cached(include_str!("../sql/data/expired_ticks.sql"))?
        .query_map((from, until, limit), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(Some(Slice { from, until, ticks }))
}

/// The ids of the ticks that go together.
pub(super) fn chunks(ticks: &[(i64, i64)]) -> impl Iterator<Item = Vec<i64>> {
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
pub(super) struct Unused {
    pub(super) table: String,
    /// Their numbers.
    pub(super) numbers: Vec<i64>,
    /// The latest write that the reader saw.
    pub(super) seen: i64,
}

/// The series of a connector up to `bound` that no tick has a sample of.
pub(super) fn find_unused(
    connection: &Connection,
    table: i64,
    connector: i64,
    bound: i64,
) -> rusqlite::Result<Option<Unused>> {
    let Some(name) = tables(connection)?.remove(&table) else { return Ok(None) };
    let sql =
        format!("SELECT \"$id\" FROM {} WHERE \"$id\" BETWEEN ?1 AND ?2", quote(&format!("{name}$series")));
    let first = *ids_of(connector).start();
    let mut unused: HashSet<i64> = connection
        .prepare_cached(&sql)?
        .query_map([first, first + bound], |row| row.get(0).map(number_in))?
        .collect::<Result<_, _>>()?;
    let mut ledger = connection.prepare_cached(include_str!("../sql/data/ticks_with_rows.sql"))?;
    let mut ticks = ledger.query([connector, table])?;
    while !unused.is_empty()
        && let Some(tick) = ticks.next()?
    {
        remove_used(connection, &name, tick.get(0)?, tick.get(1)?, &mut unused)?;
    }
    let seen = connection.query_row("SELECT coalesce(max(id), 0) FROM \"$ticks\"", [], |row| row.get(0))?;
    let mut numbers: Vec<i64> = unused.into_iter().collect();
    numbers.sort_unstable();
    Ok(Some(Unused { table: name, numbers, seen }))
}

/// Takes those out of `unused` that the tick has samples of.
pub(super) fn remove_used(
    connection: &Connection,
    table: &str,
    tick: i64,
    rows: i64,
    unused: &mut HashSet<i64>,
) -> rusqlite::Result<()> {
    let samples = quote(&format!("{table}$samples"));
    let ids = ids_of(tick);
    if i64::try_from(unused.len()).is_ok_and(|unused| unused <= rows / 8) {
        let sql = format!("SELECT 1 FROM {samples} WHERE \"$id\" = ?1");
        let mut find = connection.prepare_cached(&sql)?;
        let mut used = Vec::new();
        for number in unused.iter() {
            if find.exists([ids.start() + number])? {
                used.push(*number);
            }
        }
        for number in used {
            unused.remove(&number);
        }
    } else {
        let sql = format!("SELECT \"$id\" FROM {samples} WHERE \"$id\" BETWEEN ?1 AND ?2");
        let mut all = connection.prepare_cached(&sql)?;
        let mut used = all.query([ids.start(), ids.end()])?;
        while let Some(row) = used.next()? {
            unused.remove(&number_in(row.get(0)?));
        }
    }
    Ok(())
}

/// The names of tables.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<HashMap<i64, String>> {
    connection
        .prepare_cached("SELECT id, name FROM \"$tables\"")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
