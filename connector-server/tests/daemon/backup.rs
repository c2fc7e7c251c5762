//! Copies that are taken while the daemon works, and daemons that go on with them.

use std::path::Path;

use rusqlite::Connection;

use crate::commands::output;
use crate::daemon::Daemon;
use crate::source::Source;

const BODY: &str = "a 1\nb 2\nc 3\n";
const ROWS: i64 = 3;

fn copy(from: &Path, to: &Path, file: &str) {
    let copy = to.join(file);
    Connection::open(from.join(file)).unwrap().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
}

/// The buckets of a table's ticks, each with its number of rows.
fn ticks(folder: &Path, table: &str) -> Vec<(i64, i64)> {
    let data = Connection::open(folder.join("default.db")).unwrap();
    let sql = format!("SELECT timestamp, count(*) FROM {table} GROUP BY 1 ORDER BY 1");
    let mut ticks = data.prepare(&sql).unwrap();
    ticks.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_copy_taken_while_ticks_commit_is_whole_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (live, backup) = (folder.path().join("live"), folder.path().join("backup"));
    std::fs::create_dir(&backup).unwrap();
    let source = Source::text(BODY);
    let daemon = Daemon::start(&live);
    let ids = ["one", "two"].map(|name| daemon.create(name, 100, &source.config(5_000)));
    (0..3).for_each(|_| daemon.ticked("one", "committed"));
    copy(&live, &backup, "control.db");
    // The ledger is to know more than control.db.
    (0..5).for_each(|_| daemon.ticked("one", "committed"));
    (0..5).for_each(|_| daemon.ticked("two", "committed"));
    copy(&live, &backup, "default.db");
    daemon.ticked("one", "committed");
    daemon.ticked("two", "committed");
    drop(daemon);

    let told = output(&backup, &["store", "check"]);
    assert!(told.ends_with("all is as it should be\n"), "{told}");
    let before = ["one", "two"].map(|table| ticks(&backup, table));
    for (before, table) in before.iter().zip(["one", "two"]) {
        assert!(before.len() >= 5 && before.iter().all(|(_, rows)| *rows == ROWS), "{before:?}");
        assert!(ticks(&live, table).starts_with(before));
    }

    let daemon = Daemon::start(&backup);
    for (id, table) in ids.iter().zip(["one", "two"]) {
        (0..3).for_each(|_| daemon.ticked(table, "committed"));
        assert_eq!(daemon.call("POST", &format!("/v1/connectors/{id}/pause"), None).0, 200);
    }
    for (before, table) in before.iter().zip(["one", "two"]) {
        let after = ticks(&backup, table);
        assert!(after.starts_with(before) && after.len() >= before.len() + 3, "{before:?} {after:?}");
        assert!(after.iter().all(|(_, rows)| *rows == ROWS), "{after:?}");
    }
    drop(daemon);
    let told = output(&backup, &["store", "check"]);
    assert!(told.ends_with("all is as it should be\n") && !told.contains("note"), "{told}");
}
