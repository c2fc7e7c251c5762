//! What must hold of a store's folder, whatever happened to the daemons that used it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use connector_runtime::model::{Millis, Outcome, TickRecord};
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};

use crate::exporter::SAMPLES;

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    /// The records of ticks, for each connector's name, in the order of their buckets.
    pub(crate) ledger: HashMap<String, Vec<TickRecord>>,
    /// The answers of the exporter that landed.
    pub(crate) answers: HashSet<u64>,
}

impl Holdings {
    pub(crate) fn ticks(&self) -> usize {
        self.ledger.values().flatten().filter(|tick| tick.outcome == Outcome::Committed).count()
    }
}

/// Checks a folder that no daemon uses any more: every bucket once and whole, ledger and `control.db` of one mind, and
/// all there that was `reported` as committed.
pub(crate) fn check(folder: &Path, reported: &HashSet<(String, Millis)>) -> Holdings {
    let control = Connection::open(folder.join("control.db")).unwrap();
    let data = Connection::open(folder.join("plant.db")).unwrap();
    for file in [&control, &data] {
        let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
    }
    let landed = landed(&data);
    let mut holdings = Holdings::default();
    let mut rows = 0;
    for (id, name, last) in connectors(&control) {
        let ledger = ledger(&data, &id);
        for record in &ledger {
            let bucket = record.scheduled_for;
            let tick = landed.get(&(name.clone(), bucket));
            if record.outcome != Outcome::Committed {
                assert!(
                    tick.is_none() && record.rows == 0,
                    "{name}: rows of a bucket that failed: {record:?}"
                );
                continue;
            }
            let tick = tick.unwrap_or_else(|| panic!("{name}: no rows of {record:?}"));
            assert_eq!((tick.rows, record.rows), (SAMPLES, SAMPLES), "{name}: a bucket in part: {record:?}");
            assert_eq!(tick.answers.0, tick.answers.1, "{name}: a bucket of two answers: {record:?}");
            assert!(
                holdings.answers.insert(tick.answers.0),
                "{name}: an answer that landed twice: {record:?}"
            );
            rows += tick.rows;
        }
        let newest = ledger.iter().max_by_key(|record| (record.finished_at, record.scheduled_for));
        assert_eq!(last.as_ref(), newest, "{name}: control.db and the ledger differ");
        for (_, bucket) in reported.iter().filter(|(reported, _)| *reported == id) {
            let is_there =
                ledger.iter().any(|record| record.scheduled_for == *bucket && record.rows == SAMPLES);
            assert!(is_there, "{name}: {bucket} was reported as committed and is gone");
        }
        holdings.ledger.insert(name, ledger);
    }
    let all: i64 = data.query_row("SELECT count(*) FROM metrics", [], |row| row.get(0)).unwrap();
    assert_eq!(all.cast_unsigned(), rows, "rows that no tick of the ledger accounts for");
    holdings
}

/// A lease that has not been freed.
pub(crate) struct Lease {
    pub(crate) connector: String,
    pub(crate) runner: String,
    pub(crate) scheduled_for: Millis,
    /// Milliseconds until it ends; less than nothing if it has.
    pub(crate) left: Millis,
}

/// The leases that are held now, by whoever, alive or dead.
pub(crate) fn leases(folder: &Path) -> Vec<Lease> {
    const SQL: &str = "SELECT c.name, t.runner, t.scheduled_for, t.expires FROM tasks t
        JOIN connectors c ON c.seq = t.connector WHERE t.owner IS NOT NULL";
    let control = Connection::open(folder.join("control.db")).unwrap();
    control.busy_timeout(Duration::from_secs(60)).unwrap();
    let uptime = clock_gettime(ClockId::Boottime);
    let uptime = uptime.tv_sec * 1000 + uptime.tv_nsec / 1_000_000;
    let mut statement = control.prepare(SQL).unwrap();
    let leases = statement.query_map([], |row| {
        let left = row.get::<_, Millis>(3)? - uptime;
        Ok(Lease { connector: row.get(0)?, runner: row.get(1)?, scheduled_for: row.get(2)?, left })
    });
    leases.unwrap().collect::<Result<_, _>>().unwrap()
}

struct Landed {
    rows: u64,
    answers: (u64, u64),
}

/// What the table shows of each bucket of each connector.
fn landed(data: &Connection) -> HashMap<(String, i64), Landed> {
    const SQL: &str =
        "SELECT labels ->> '$.c', timestamp, count(*), min(value), max(value) FROM metrics GROUP BY 1, 2";
    let mut statement = data.prepare(SQL).unwrap();
    let rows = statement.query_map([], |row| {
        let answers = (row.get::<_, f64>(3)? as u64, row.get::<_, f64>(4)? as u64);
        Ok(((row.get(0)?, row.get(1)?), Landed { rows: row.get::<_, i64>(2)?.cast_unsigned(), answers }))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn connectors(control: &Connection) -> Vec<(String, String, Option<TickRecord>)> {
    let sql = "SELECT c.id, c.name, t.last_tick FROM connectors c JOIN tasks t ON t.connector = c.seq";
    let mut statement = control.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let last: Option<String> = row.get(2)?;
        Ok((row.get(0)?, row.get(1)?, last.map(|json| serde_json::from_str(&json).unwrap())))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn ledger(data: &Connection, id: &str) -> Vec<TickRecord> {
    const SQL: &str = "SELECT scheduled_for, started_at, finished_at, outcome, rows, attempts, error, runner
        FROM \"$ticks\" WHERE connector = (SELECT id FROM \"$connectors\" WHERE uuid = ?1) ORDER BY scheduled_for";
    let mut statement = data.prepare(SQL).unwrap();
    let rows = statement.query_map([id], |row| {
        let outcome: String = row.get(3)?;
        Ok(TickRecord {
            scheduled_for: row.get(0)?,
            started_at: row.get(1)?,
            finished_at: row.get(2)?,
            outcome: Outcome::from_name(&outcome).unwrap(),
            rows: row.get::<_, i64>(4)?.cast_unsigned(),
            attempts: row.get(5)?,
            error: row.get(6)?,
            runner: row.get(7)?,
        })
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}
