//! What commits feel of a backup, and of the deletion of a large table's old ticks.
//!
//! ```text
//! cargo bench -p benches --bench keeping              # 5 million samples
//! cargo bench -p benches --bench keeping -- 10000000
//! ```

#[path = "reading/fill.rs"]
mod fill;
#[expect(dead_code, reason = "what only the bench of the writer needs")]
#[path = "store/subject.rs"]
mod subject;
#[expect(dead_code, reason = "what only the bench of the writer needs")]
#[path = "store/workload.rs"]
mod workload;
#[path = "reading/writing.rs"]
mod writing;

use std::time::{Duration, Instant};

use connector_runtime::sqlite;
use fill::{CONNECTORS, SERIES, fill, newest, scrapes};
use subject::{BEGIN, INTERVAL};
use writing::Writing;

/// How long the writer is alone, to see what the rest changes for it.
const ALONE: Duration = Duration::from_secs(5);

fn main() {
    let samples: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(5_000_000);
    let ticks = samples.div_ceil(CONNECTORS * SERIES);
    let folder = subject::folder();
    let runtime = subject::runtime();
    let subject = runtime.block_on(fill(folder.path(), ticks));
    let next = newest(folder.path()) + INTERVAL;
    let first = usize::try_from((next - BEGIN) / INTERVAL).expect("a small number");
    let writing = Writing::start(&runtime, subject.clone(), first, scrapes());
    std::thread::sleep(ALONE);
    writing.report("alone");

    let (start, to) = (Instant::now(), subject::folder());
    let backup = sqlite::back_up(folder.path(), &to.path().join("backup")).expect("a backup");
    let bytes: u64 = backup.files.iter().map(|file| file.bytes).sum();
    println!("a backup of {:.1} MB took {:.1} s", bytes as f64 / 1e6, start.elapsed().as_secs_f64());
    writing.report("beside the backup");

    let start = Instant::now();
    let gone = runtime.block_on(subject.store.expire(next)).expect("a deletion");
    println!(
        "{} rows deleted and {:.1} MB given back in {:.1} s",
        gone.rows,
        gone.bytes as f64 / 1e6,
        start.elapsed().as_secs_f64()
    );
    writing.report("beside the deletion");
    writing.stop(&runtime);
}
