//! Copies that are taken while the daemon works, and daemons that go on with them.

use std::path::Path;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::commands::{output, run};
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

    goes_on(&backup, &ids);
}

/// Lets a daemon go on with a copy: what is there stays, and what comes is whole.
fn goes_on(backup: &Path, ids: &[String; 2]) {
    let before = ["one", "two"].map(|table| ticks(backup, table));
    let daemon = Daemon::start(backup);
    for (id, table) in ids.iter().zip(["one", "two"]) {
        (0..3).for_each(|_| daemon.ticked(table, "committed"));
        assert_eq!(daemon.call("POST", &format!("/v1/connectors/{id}/pause"), None).0, 200);
    }
    for (before, table) in before.iter().zip(["one", "two"]) {
        let after = ticks(backup, table);
        assert!(after.starts_with(before) && after.len() >= before.len() + 3, "{before:?} {after:?}");
        assert!(after.iter().all(|(_, rows)| *rows == ROWS), "{after:?}");
    }
    drop(daemon);
    let told = output(backup, &["store", "check"]);
    assert!(told.ends_with("all is as it should be\n") && !told.contains("note"), "{told}");
}

#[test]
fn a_backup_holds_all_that_had_committed_and_a_daemon_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let source = Source::text(BODY);
    let daemon = Daemon::start(&live);
    let ids = ["one", "two"].map(|name| daemon.create(name, 100, &source.config(5_000)));
    let mut last = folder.path().to_owned();
    for n in 0..5 {
        daemon.ticked("one", "committed");
        let before = ["one", "two"].map(|table| ticks(&live, table));
        last = folder.path().join(format!("backups/{n}"));
        let told = output(&live, &["store", "backup", "--to", last.to_str().unwrap()]);
        let files: Vec<&str> = told.lines().map(|line| line.rsplit_once(": ").unwrap().0).collect();
        let wanted = ["control.db", "default.db"].map(|file| last.join(file).display().to_string());
        assert_eq!(files, wanted);
        for (before, table) in before.iter().zip(["one", "two"]) {
            assert!(ticks(&last, table).starts_with(before), "{table}: {before:?}");
        }
        let told = output(&last, &["store", "check"]);
        assert!(told.ends_with("all is as it should be\n"), "{told}");
    }
    drop(daemon);
    for table in ["one", "two"] {
        assert!(ticks(&live, table).starts_with(&ticks(&last, table)));
    }
    goes_on(&last, &ids);
}

#[test]
fn a_backup_overwrites_nothing_and_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (live, to) = (folder.path().join("live"), folder.path().join("copy"));
    let mut daemon = Daemon::start(&live);
    daemon.create("one", 100, &Source::text(BODY).config(5_000));
    daemon.ticked("one", "committed");
    // No write-ahead log is left, in which all would be yet.
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    let back_up = || run(&live, &["store", "backup", "--to", to.to_str().unwrap()]);
    let fails = |words: &str| {
        let failed = back_up();
        let told = String::from_utf8(failed.stderr).unwrap();
        assert!(failed.status.code() == Some(1) && told.contains(words), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    };
    std::fs::create_dir_all(to.join("treasure")).unwrap();
    fails("it exists already: name a new folder");
    std::fs::remove_dir(to.join("treasure")).unwrap();
    let partial = folder.path().join("copy.partial");
    std::fs::create_dir(&partial).unwrap();
    fails("another backup is being taken, or one was cut off");
    std::fs::remove_dir(&partial).unwrap();

    let data = live.join("default.db");
    let good = std::fs::read(&data).unwrap();
    std::fs::write(&data, "no database at all, though long enough to be read as one".repeat(100)).unwrap();
    fails("default.db is damaged or no SQLite database");
    assert!(!partial.exists() && std::fs::read_dir(&to).unwrap().next().is_none());
    std::fs::write(&data, good).unwrap();

    // An empty folder is as good as none.
    assert_eq!(back_up().status.code(), Some(0));
    assert_eq!(ticks(&to, "one"), ticks(&live, "one"));
    std::fs::remove_file(&data).unwrap();
    std::fs::remove_dir_all(&to).unwrap();
    let told = String::from_utf8(back_up().stdout).unwrap();
    assert!(told.contains("default.db is missing, though connectors have rows in it"), "{told}");
}
