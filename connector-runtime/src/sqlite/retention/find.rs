//! What is to go, as readers find it.

use std::collections::{HashMap, HashSet};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};

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

/// Series of a connector without samples, as a reader saw it.
pub(super) struct Unused {
    /// The table's id, and the connector's.
    pub(super) place: (i64, i64),
    pub(super) table: String,
    /// Their numbers.
    pub(super) numbers: Vec<i64>,
    /// The latest write that the reader saw.
    pub(super) seen: i64,
}

/// A tick that has rows.
pub(super) struct Tick {
    id: i64,
    rows: i64,
    scheduled_for: Millis,
}

fn tick(row: &Row<'_>) -> rusqlite::Result<Tick> {
    Ok(Tick { id: row.get(0)?, rows: row.get(1)?, scheduled_for: row.get(2)? })
}

/// The series of a connector that no tick has a sample of. Nothing where the connector has ticks, and it is not its turn when
/// the oldest of them is the first one left.
///
/// To be sure of a single one takes a look at all ticks. But most series that are in use are so for a while, and are
/// soon found among the newest ticks, or here and there: so little is left to look for in all the others.
pub(super) fn find_unused(
    connection: &Connection,
    (table, connector): (i64, i64),
    is_turn: impl Fn(Millis) -> bool,
) -> rusqlite::Result<Option<Unused>> {
    let Some(name) = tables(connection)?.remove(&table) else { return Ok(None) };
    let mut first_from = connection.prepare_cached(include_str!("../sql/data/tick_with_rows.sql"))?;
    let mut first_from = |time: Millis| first_from.query_row((connector, table, time), tick).optional();
    let oldest = first_from(Millis::MIN)?.map(|tick| tick.scheduled_for);
    if oldest.is_some_and(|oldest| !is_turn(oldest)) {
        return Ok(None);
    }
    let sql =
        format!("SELECT \"$id\" FROM {} WHERE \"$id\" BETWEEN ?1 AND ?2", quote(&format!("{name}$series")));
    let ids = ids_of(connector);
    let mut unused: HashSet<i64> = connection
        .prepare_cached(&sql)?
        .query_map([ids.start(), ids.end()], |row| row.get(0).map(number_in))?
        .collect::<Result<_, _>>()?;
    let mut samples = Samples::new(connection, &name)?;
    let mut ledger = connection.prepare_cached(include_str!("../sql/data/ticks_with_rows.sql"))?;
    let mut newest_first = ledger.query_map([connector, table], tick)?;
    let mut until = Millis::MIN;
    for tick in newest_first.by_ref().take(usize::from(u8::MAX)) {
        let tick = tick?;
        until = tick.scheduled_for;
        samples.remove_used(&tick, &mut unused)?;
    }
    let oldest = oldest.unwrap_or(until);
    // In the middle, then in the middle of both halves, and so on.
    for part in (0..=u8::MAX).map(u8::reverse_bits) {
        if unused.is_empty() || oldest >= until {
            break;
        }
        if let Some(tick) = first_from(oldest + (until - oldest) / 256 * i64::from(part))? {
            samples.remove_used(&tick, &mut unused)?;
        }
    }
    while !unused.is_empty()
        && let Some(tick) = newest_first.next()
    {
        samples.remove_used(&tick?, &mut unused)?;
    }
    let seen = connection.query_row("SELECT coalesce(max(id), 0) FROM \"$ticks\"", [], |row| row.get(0))?;
    let mut numbers: Vec<i64> = unused.into_iter().collect();
    numbers.sort_unstable();
    Ok(Some(Unused { place: (table, connector), table: name, numbers, seen }))
}

/// The ticks of a connector and table that were written after the one with the id `seen`, and have rows.
pub(super) fn newer_ticks(
    connection: &Connection,
    seen: i64,
    connector: i64,
    table: i64,
) -> rusqlite::Result<Vec<Tick>> {
    connection
        .prepare_cached(include_str!("../sql/data/newer_ticks.sql"))?
        .query_map([seen, connector, table], tick)?
        .collect()
}

/// Looks for samples of series in ticks.
pub(super) struct Samples<'a> {
    of_series: CachedStatement<'a>,
    of_tick: CachedStatement<'a>,
}

impl<'a> Samples<'a> {
    pub(super) fn new(connection: &'a Connection, table: &str) -> rusqlite::Result<Self> {
        let samples = quote(&format!("{table}$samples"));
        let of_series = format!("SELECT 1 FROM {samples} WHERE \"$id\" = ?1");
        let of_tick = format!("SELECT \"$id\" FROM {samples} WHERE \"$id\" BETWEEN ?1 AND ?2");
        Ok(Self {
            of_series: connection.prepare_cached(&of_series)?,
            of_tick: connection.prepare_cached(&of_tick)?,
        })
    }

    /// Takes those out of `unused` that the tick has samples of.
    pub(super) fn remove_used(&mut self, tick: &Tick, unused: &mut HashSet<i64>) -> rusqlite::Result<()> {
        let ids = ids_of(tick.id);
        if i64::try_from(unused.len()).is_ok_and(|unused| unused <= tick.rows / 8) {
            let mut used = Vec::new();
            for number in unused.iter() {
                if self.of_series.exists([ids.start() + number])? {
                    used.push(*number);
                }
            }
            for number in used {
                unused.remove(&number);
            }
        } else {
            let mut all = self.of_tick.query([ids.start(), ids.end()])?;
            while let Some(row) = all.next()? {
                unused.remove(&number_in(row.get(0)?));
            }
        }
        Ok(())
    }
}

/// The names of tables.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<HashMap<i64, String>> {
    connection
        .prepare_cached("SELECT id, name FROM \"$tables\"")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
