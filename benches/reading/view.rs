//! Plain SQL on the view, as any client sends it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Params};

use crate::{SERIES, Wanted, times};

const HOUR: i64 = 3_600_000;

pub(crate) fn measure(folder: &Path, wanted: &Wanted) {
    let file = folder.join("default.db");
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store's file");
    println!("\nthrough the view, SQLite {}", rusqlite::version());
    let client = Client(connection);
    let until = wanted.newest + 1;
    let (name, label) = (&wanted.name, |key: &str| wanted.labels[key].as_str().expect("a label").to_owned());
    let (device, pod) = (label("device"), label("pod"));

    let series = "SELECT timestamp, value FROM metrics WHERE name = ?1 AND labels ->> 'device' = ?2
        AND labels ->> 'pod' = ?3 AND timestamp >= ?4 AND timestamp < ?5";
    client.ask("one series over a day", series, (name, &device, &pod, until - 24 * HOUR, until));
    client.ask("one series over an hour", series, (name, &device, &pod, until - HOUR, until));
    client.ask(
        "one series, all of it",
        &series.replace("AND timestamp >= ?4 AND timestamp < ?5", ""),
        (name, &device, &pod),
    );
    let latest = "SELECT labels, value, max(timestamp) FROM metrics WHERE name = ?1 AND timestamp >= ?2
        AND timestamp < ?3 GROUP BY labels";
    client.ask("the latest values of a name, within a minute", latest, (name, until - 60_000, until));
    client.ask(
        "the names, within a minute",
        "SELECT DISTINCT name FROM metrics WHERE timestamp >= ?1",
        [until - 60_000],
    );
    client.ask(
        "averages of each name over an hour",
        "SELECT name, avg(value) FROM metrics WHERE timestamp >= ?1 AND timestamp < ?2 GROUP BY name",
        (until - HOUR, until),
    );
    client.ask("the newest rows", "SELECT * FROM metrics ORDER BY timestamp DESC LIMIT 100", []);
    client.ask("the newest time", "SELECT max(timestamp) FROM metrics", []);
    client.ask(
        "the newest rows of a name",
        "SELECT * FROM metrics WHERE name = ?1 ORDER BY timestamp DESC LIMIT 100",
        [name],
    );
    client.ask("a name that is not there", "SELECT * FROM metrics WHERE name = 'nothing'", []);
    client.ask("count(*)", "SELECT count(*) FROM metrics", []);
    client.ask(
        "count(*) of the samples alone: what a scan needs",
        "SELECT count(*) FROM \"metrics$samples\"",
        [],
    );
    client.ask("sum(value)", "SELECT sum(value) FROM metrics", []);
    client.ask("sum(value) of the samples alone", "SELECT sum(value) FROM \"metrics$samples\"", []);

    client.check_that_ticks_are_whole();
}

struct Client(Connection);

impl Client {
    /// Looks at the ticks that land at this moment.
    fn check_that_ticks_are_whole(&self) {
        const NEWEST: &str = "SELECT count(*) FROM metrics
            WHERE timestamp >= (SELECT max(scheduled_for) FROM \"$ticks\") - 15000 GROUP BY timestamp";
        for _ in 0..200 {
            let mut statement = self.0.prepare_cached(NEWEST).expect("SQL");
            let counts = statement.query_map([], |row| row.get::<_, i64>(0)).expect("a query");
            for count in counts {
                assert_eq!(count.expect("a number") % SERIES as i64, 0, "part of a tick was seen");
            }
        }
    }

    fn ask(&self, what: &str, sql: &str, parameters: impl Params + Clone) {
        times::measure(what, || {
            let mut statement = self.0.prepare_cached(sql).expect("SQL");
            let mut rows = statement.query(parameters.clone()).expect("a query");
            let mut count = 0;
            while rows.next().expect("rows").is_some() {
                count += 1;
            }
            count
        });
        let mut plan = self.0.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("SQL");
        let mut steps = plan.query(parameters).expect("a plan");
        while let Some(step) = steps.next().expect("a plan") {
            println!("      {}", step.get::<_, String>(3).expect("a step"));
        }
    }
}
