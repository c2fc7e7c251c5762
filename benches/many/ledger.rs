//! What the store's own ledger says about a run.

use std::path::Path;

use connector_runtime::schedule;
use rusqlite::Connection;
use uuid::Uuid;

/// The ticks that were due within a span of time.
pub(crate) struct Ticks {
    committed: usize,
    other: usize,
    pub(crate) rows: i64,
    /// Milliseconds from when each was due until it started, sorted.
    late: Vec<i64>,
    /// Milliseconds from its start until its end, sorted.
    took: Vec<i64>,
}

/// Reads the ticks that were due from `from` until before `until`.
pub(crate) fn read(folder: &Path, interval: i64, from: i64, until: i64) -> Ticks {
    let connection = Connection::open(folder.join("default.db")).expect("the store's file");
    let mut ticks = Ticks { committed: 0, other: 0, rows: 0, late: Vec::new(), took: Vec::new() };
    let mut statement = connection
        .prepare(
            "SELECT c.uuid, t.scheduled_for, t.started_at, t.finished_at, t.outcome, t.rows
             FROM \"$ticks\" t JOIN \"$connectors\" c ON c.id = t.connector",
        )
        .expect("the store's own ledger");
    let mut rows = statement.query([]).expect("a ledger that can be read");
    while let Some(row) = rows.next().expect("a ledger that can be read") {
        let text: String = row.get(0).expect("a uuid");
        let id: Uuid = text.parse().expect("a uuid");
        let [scheduled_for, started_at, finished_at, count] =
            [1, 2, 3, 5].map(|column| row.get::<_, i64>(column).expect("a number"));
        let due = scheduled_for + schedule::offset(id, interval);
        if !(from..until).contains(&due) {
            continue;
        }
        if row.get::<_, String>(4).expect("an outcome") == "committed" {
            ticks.committed += 1;
            ticks.rows += count;
        } else {
            ticks.other += 1;
        }
        ticks.late.push(started_at - due);
        ticks.took.push(finished_at - started_at);
    }
    ticks.late.sort_unstable();
    ticks.took.sort_unstable();
    ticks
}

impl Ticks {
    pub(crate) fn report(&self, connectors: usize, intervals: usize) {
        println!(
            "  {} of {} buckets committed, {} failed, {} rows",
            self.committed,
            connectors * intervals,
            self.other,
            self.rows
        );
        for (what, times) in [("start after due", &self.late), ("scrape", &self.took)] {
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
            println!(
                "  {what}: p50 {} ms, p99 {} ms, p99.9 {} ms, at most {} ms",
                at(0.5),
                at(0.99),
                at(0.999),
                at(1.0)
            );
        }
    }
}
