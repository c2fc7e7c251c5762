//! Reading a large table while ticks go on landing in it: through the view with plain SQLite, and as the API reads.
//!
//! ```text
//! cargo bench -p benches --bench reading                      # 5 million samples
//! cargo bench -p benches --bench reading -- 100000000         # as many as that: 22 bytes each, below TMPDIR
//! cargo bench -p benches --bench reading -- 100000000 FOLDER  # kept in that folder, and found there the next time
//! ```

#[path = "reading/api.rs"]
mod api;
#[expect(dead_code, reason = "what only the bench of the writer needs")]
#[path = "store/subject.rs"]
mod subject;
#[path = "reading/times.rs"]
mod times;
#[path = "reading/view.rs"]
mod view;
#[path = "store/workload.rs"]
mod workload;
#[path = "reading/writing.rs"]
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector_core::Rows;
use subject::{BEGIN, INTERVAL, Subject};
use writing::Writing;

const CONNECTORS: usize = 10;
const SERIES: usize = 1_000;

/// How long the writer is alone, to see what readers change for it.
const ALONE: Duration = Duration::from_secs(5);

/// What is asked for.
pub(crate) struct Wanted {
    /// One name, which some connectors have.
    pub(crate) name: String,
    /// The labels of one of its series.
    pub(crate) labels: serde_json::Value,
    /// A value of the newest tick.
    pub(crate) value: f64,
    /// When the newest tick was due as the measurements began.
    pub(crate) newest: i64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let samples: usize = arguments.first().and_then(|arg| arg.parse().ok()).unwrap_or(5_000_000);
    let ticks = samples.div_ceil(CONNECTORS * SERIES);
    let temporary = subject::folder();
    let folder = arguments.get(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let runtime = subject::runtime();
    let subject = runtime.block_on(fill(&folder, ticks));
    let newest = newest(&folder);
    let wanted = wanted(newest);
    let next = (newest - BEGIN) / INTERVAL + 1;
    let writing = Writing::start(&runtime, subject.clone(), next as usize, scrapes());
    std::thread::sleep(ALONE);
    writing.report("alone");
    view::measure(&folder, &wanted);
    runtime.block_on(api::measure(&*subject.store, &wanted));
    writing.report("beside the readers");
    writing.stop(&runtime);
}

/// A store with so many ticks of each connector, unless the folder has one.
async fn fill(folder: &Path, ticks: usize) -> Subject {
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
fn newest(folder: &Path) -> i64 {
    let connection = rusqlite::Connection::open(folder.join("default.db")).expect("the store's file");
    let sql = "SELECT max(scheduled_for) FROM \"$ticks\"";
    connection.query_row(sql, [], |row| row.get(0)).expect("the store's ledger")
}

/// Two scrapes of each connector.
fn scrapes() -> Arc<Vec<[Arc<Rows>; 2]>> {
    let scrape = |target| [0, 1].map(|tick| Arc::new(workload::scrape(target, SERIES, tick)));
    Arc::new((0..CONNECTORS).map(scrape).collect())
}

fn wanted(newest: i64) -> Wanted {
    let tick = (newest - BEGIN) / INTERVAL % 2;
    let (name, value, labels) =
        workload::as_tuples(&workload::scrape(3, SERIES, tick as usize)).swap_remove(123);
    Wanted {
        name,
        labels: serde_json::from_str(&labels).expect("labels are JSON"),
        value: value.expect("a number"),
        newest,
    }
}
