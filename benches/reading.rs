//! Reading a large table while ticks go on landing in it: through the view with plain SQLite, and as the API reads.
//!
//! ```text
//! cargo bench -p benches --bench reading                      # 5 million samples
//! cargo bench -p benches --bench reading -- 100000000         # as many as that: 22 bytes each, below TMPDIR
//! cargo bench -p benches --bench reading -- 100000000 FOLDER  # kept in that folder, and found there the next time
//! ```

#[path = "reading/api.rs"]
mod api;
#[path = "reading/fill.rs"]
mod fill;
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

use std::path::PathBuf;
use std::time::Duration;

use fill::{CONNECTORS, SERIES, fill, newest, scrapes};
use subject::{BEGIN, INTERVAL};
use writing::Writing;

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
