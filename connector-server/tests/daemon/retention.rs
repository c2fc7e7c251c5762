//! Letting go of old rows while the daemon works.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use crate::daemon::{DAY, Daemon, command};
use crate::source::Source;

#[test]
fn what_is_older_than_the_retention_goes_and_the_work_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::text("old 1\nstays 1\n");
    let daemon = Daemon::start(folder.path());
    let id = daemon.create("aged", 100, &source.config(5_000));
    (0..5).for_each(|_| daemon.ticked("aged", "committed"));
    assert_eq!(daemon.call("POST", &format!("/v1/connectors/{id}/pause"), None).0, 200);
    drop(daemon);

    // A day goes by.
    let data = Connection::open(folder.path().join("default.db")).unwrap();
    let day = i64::try_from(DAY).unwrap();
    data.execute("UPDATE \"$ticks\" SET scheduled_for = scheduled_for - ?1", [day]).unwrap();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    source.becomes("new 1\nstays 1\n");

    let mut command = command(folder.path());
    command.args(["--retention", "23h"]);
    let daemon = Daemon::spawn(command).unwrap();
    let told = daemon.logged(|line| line["message"] == "deleted old ticks");
    assert!(told["rows"].as_u64().unwrap() >= 10 && told["database"] == "default", "{told}");
    assert_eq!(told["series"], 2, "{told}");
    let told = |what: &str| told[what].as_u64().unwrap() as f64;
    for (what, metric) in [
        ("ticks", "deleted_ticks_total"),
        ("rows", "deleted_rows_total"),
        ("series", "deleted_series_total"),
        ("bytes", "freed_bytes_total"),
    ] {
        assert_eq!(daemon.metric(&format!("connectord_retention_{metric}")), told(what), "{what}");
    }
    assert_eq!(daemon.call("POST", &format!("/v1/connectors/{id}/resume"), None).0, 200);
    (0..3).for_each(|_| daemon.ticked("aged", "committed"));
    let count = |sql: &str| data.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(count("SELECT count(*) FROM aged") >= 6);
    assert_eq!(count("SELECT count(*) FROM aged WHERE name = 'old'"), 0);
    assert!(count("SELECT min(timestamp) FROM aged") > now - 100);
}
