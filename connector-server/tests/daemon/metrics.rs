//! What the daemon tells of itself, read as its users read it: by a scrape.

use prom_parse::{Format, strict};
use serde_json::json;

use crate::daemon::{DAY, Daemon};
use crate::source::Source;

#[test]
fn a_daemon_lands_its_own_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let id = daemon.create("itself", DAY, &json!({ "endpoint": format!("{}metrics", daemon.page()) }));
    for _ in 0..2 {
        daemon.trigger(&id);
        daemon.ticked("itself", "committed");
    }
    // The second tick saw the first one.
    let rows = daemon.rows("itself");
    let value = |name: &str, labels: serde_json::Value| {
        let row = rows.iter().find(|row| row["name"] == name && row["labels"] == labels);
        row.unwrap_or_else(|| panic!("no {name} in {rows:?}"))["value"].as_f64().unwrap()
    };
    assert_eq!(value("connectord_build_info", json!({ "version": env!("CARGO_PKG_VERSION") })), 1.0);
    assert_eq!(value("connectord_ticks_total", json!({ "outcome": "committed" })), 1.0);
    assert_eq!(value("connectord_ticks_in_flight", json!({})), 1.0);
    assert_eq!(value("connectord_write_duration_seconds_count", json!({})), 1.0);
    let landed = value("connectord_rows_total", json!({}));
    assert_eq!(landed, rows.len() as f64 / 2.0);
    if cfg!(target_os = "linux") {
        assert!(value("process_resident_memory_bytes", json!({})) > 1e6);
        assert!(value("process_start_time_seconds", json!({})) > 1.7e9);
    }
}

#[test]
fn both_formats_keep_every_rule() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let source = Source::text("a 1\n");
    let id = daemon.create("one", DAY, &source.config(5_000));
    daemon.trigger(&id);
    daemon.ticked("one", "committed");
    for (accept, content_type, format) in [
        (
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            "application/openmetrics-text",
            Format::OpenMetrics,
        ),
        ("text/plain", "text/plain; version=0.0.4", Format::Prometheus),
        ("*/*", "text/plain; version=0.0.4", Format::Prometheus),
    ] {
        let (head, body) = daemon.client().exchange("GET /metrics", &format!("accept: {accept}"), "");
        assert!(head.contains(&format!("content-type: {content_type}")), "{head}");
        let checked: Result<Vec<_>, _> = strict(body.as_bytes(), format).collect();
        assert!(checked.is_ok_and(|entries| entries.len() > 50), "{body}");
    }
}

#[test]
fn what_fails_and_what_is_late_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let source = Source::text("this is no exposition\n");
    let id = daemon.create("broken", DAY, &source.config(5_000));
    daemon.trigger(&id);
    daemon.ticked("broken", "permanent");
    assert_eq!(daemon.metric("connectord_ticks_total{outcome=\"permanent\"}"), 1.0);
    assert_eq!(daemon.metric("connectord_rows_total"), 0.0);
    // Nothing but the trigger was run, which no schedule asked for.
    assert_eq!(daemon.metric("connectord_tick_delay_seconds_count"), 0.0);

    let source = Source::text("a 1\n");
    daemon.create("steady", 100, &source.config(100));
    daemon.ticked("steady", "committed");
    assert!(daemon.metric("connectord_tick_delay_seconds_count") >= 1.0);
}
