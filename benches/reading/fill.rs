//! A large table, and what is written to it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use connector_core::Rows;

use crate::subject::Subject;
use crate::workload;

pub(crate) const CONNECTORS: usize = 10;
pub(crate) const SERIES: usize = 1_000;

/// A store with so many ticks of each connector, unless the folder has one.
pub(crate) async fn fill(folder: &Path, ticks: usize) -> Subject {
    let is_there = folder.join("default.db").exists();
    let subject = Subject::open(folder, CONNECTORS).await;
    if is_there {
        return subject;
    }
    let (start, scrapes) = (Instant::now(), scrapes());
    subject.run(0..ticks, move |connector, tick| Arc::clone(&scrapes[connector][tick % 2])).await;
    let bytes = std::fs::metadata(folder.join("default.db")).map_or(0, |file| file.len());
    let samples = ticks * CONNECTORS * SERIES;
    println!(
        "{samples} samples of {CONNECTORS} connectors × {SERIES} series written in {:.1} s, {:.1} bytes each",
        start.elapsed().as_secs_f64(),
        bytes as f64 / samples as f64
    );
    subject
}

/// When the newest tick was due.
pub(crate) fn newest(folder: &Path) -> i64 {
    let connection = rusqlite::Connection::open(folder.join("default.db")).expect("the store's file");
    let sql = "SELECT max(scheduled_for) FROM \"$ticks\"";
    connection.query_row(sql, [], |row| row.get(0)).expect("the store's ledger")
}

/// Two scrapes of each connector.
pub(crate) fn scrapes() -> Arc<Vec<[Arc<Rows>; 2]>> {
    let scrape = |target| [0, 1].map(|tick| Arc::new(workload::scrape(target, SERIES, tick)));
    Arc::new((0..CONNECTORS).map(scrape).collect())
}
