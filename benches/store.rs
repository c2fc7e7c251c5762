//! How fast ticks become durable rows: ours, beside the naive design and bare SQLite.
//!
//! ```text
//! cargo bench -p benches --bench store                     # everything
//! cargo bench -p benches --bench store -- disk ticks       # some of it: disk, ticks, series
//! ```
//!
//! Files are written below `TMPDIR`: put it on the disk that is asked about.

#[path = "store/disk.rs"]
mod disk;
#[path = "store/rivals.rs"]
mod rivals;
#[path = "store/series.rs"]
mod series;
#[path = "store/subject.rs"]
mod subject;
#[path = "store/ticks.rs"]
mod ticks;
#[path = "store/workload.rs"]
mod workload;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|arg| arg == part);
    if wants("disk") {
        let folder = subject::folder();
        let (syncs, bytes) = (disk::syncs_per_second(folder.path()), disk::bytes_per_second(folder.path()));
        println!("disk: {syncs:.0} fdatasync/s of 8 KiB, {:.0} MB/s one after the other", bytes / 1e6);
    }
    if wants("ticks") {
        ticks::compare(&ticks::Size { samples: 1_000, connectors: 64, ticks: 40, naive_ticks: 4 });
        ticks::compare(&ticks::Size { samples: 100, connectors: 256, ticks: 100, naive_ticks: 8 });
    }
    if wants("series") {
        series::measure();
    }
}
