//! Whole ticks of known series: claim, fenced commit, rows looked up from their bytes, the tick's record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connector_core::{ColumnData, Rows};

use crate::rivals::{Bare, Naive};
use crate::subject::{self, BEGIN, INTERVAL, Subject};
use crate::workload;

/// Rounds; the best of each design counts, the rest shows how noisy the machine is.
const ROUNDS: usize = 3;

/// Ticks in one transaction of bare SQLite.
const GROUP: usize = 32;

/// How much is written.
pub(crate) struct Size {
    pub(crate) samples: usize,
    pub(crate) connectors: usize,
    /// Ticks of each connector, all connectors at once.
    pub(crate) ticks: usize,
    /// The naive design slows down as its index grows: fewer ticks flatter it.
    pub(crate) naive_ticks: usize,
}

/// One design's round.
#[derive(Clone, Copy)]
struct Run {
    ticks: usize,
    time: Duration,
    /// Of all threads. What neighbours on the machine take is not in it, nor is waiting for the disk.
    cpu: Duration,
    bytes_a_sample: f64,
}

pub(crate) fn compare(size: &Size) {
    println!(
        "\nticks of {} samples, {} connectors at once, WAL, synchronous=FULL",
        size.samples, size.connectors
    );
    let scrapes: Vec<[Arc<Rows>; 2]> = (0..size.connectors)
        .map(|target| [0, 1].map(|tick| Arc::new(workload::scrape(target, size.samples, tick))))
        .collect();
    let scrapes = Arc::new(scrapes);
    let designs: [(&str, &dyn Fn() -> Run); 3] = [
        ("naive: flat table, index, row inserts", &|| naive(size, &scrapes)),
        ("ours: Store::claim and Store::finish", &|| ours(size, &scrapes)),
        ("bare SQLite: no lookups, no leases", &|| bare(size, &scrapes)),
    ];
    let mut runs = vec![Vec::new(); designs.len()];
    for _ in 0..ROUNDS {
        for ((_, run), runs) in designs.iter().zip(&mut runs) {
            runs.push(run());
        }
    }
    println!(
        "  {:<38} {:>9} {:>9} {:>9} {:>8} {:>11} {:>8} {:>9}",
        "", "ticks/s", "rows/s", "worst", "× naive", "CPU µs/tick", "× naive", "B/sample"
    );
    let mut floor = None;
    for ((name, _), runs) in designs.iter().zip(runs) {
        let speeds = || runs.iter().map(|run| run.ticks as f64 / run.time.as_secs_f64());
        let (best, worst) = (speeds().fold(0.0, f64::max), speeds().fold(f64::MAX, f64::min));
        let cpu =
            runs.iter().map(|run| run.cpu.as_secs_f64() * 1e6 / run.ticks as f64).fold(f64::MAX, f64::min);
        let (naive_best, naive_cpu) = *floor.get_or_insert((best, cpu));
        println!(
            "  {name:<38} {best:>9.0} {:>8.2}M {worst:>9.0} {:>8.1} {cpu:>11.1} {:>8.1} {:>9.1}",
            best * size.samples as f64 / 1e6,
            best / naive_best,
            naive_cpu / cpu,
            runs[0].bytes_a_sample,
        );
    }
}

/// Times all of `write`, closing the files included, which brings everything from the log into the database.
fn timed(size: &Size, ticks: usize, folder: &std::path::Path, before: u64, write: impl FnOnce()) -> Run {
    let (start, cpu) = (Instant::now(), subject::cpu_time());
    write();
    let (time, cpu) = (start.elapsed(), subject::cpu_time() - cpu);
    let ticks = ticks * size.connectors;
    let bytes = subject::bytes_on_disk(folder) - before;
    Run { ticks, time, cpu, bytes_a_sample: bytes as f64 / (ticks * size.samples) as f64 }
}

fn ours(size: &Size, scrapes: &Arc<Vec<[Arc<Rows>; 2]>>) -> Run {
    let (folder, runtime) = (subject::folder(), subject::runtime());
    let subject = runtime.block_on(Subject::open(folder.path(), size.connectors));
    let scrapes = Arc::clone(scrapes);
    let rows = move |connector: usize, tick: usize| Arc::clone(&scrapes[connector][tick % 2]);
    runtime.block_on(subject.run(0..2, rows.clone()));
    let before = subject::bytes_on_disk(folder.path());
    let run = timed(size, size.ticks, folder.path(), before, || {
        runtime.block_on(subject.run(2..size.ticks + 2, rows));
        drop(subject);
    });
    assert_eq!(subject::count(folder.path()), ((size.ticks + 2) * size.connectors * size.samples) as i64);
    run
}

fn naive(size: &Size, scrapes: &[[Arc<Rows>; 2]]) -> Run {
    let folder = subject::folder();
    let scrapes: Vec<_> =
        scrapes.iter().map(|scrapes| scrapes.each_ref().map(|rows| workload::as_tuples(rows))).collect();
    let mut naive = Naive::open(&folder.path().join("naive.db"));
    timed(size, size.naive_ticks, folder.path(), 0, || {
        for tick in 0..size.naive_ticks {
            for scrapes in &scrapes {
                naive.tick(BEGIN + INTERVAL * tick as i64, &scrapes[tick % 2]);
            }
        }
        drop(naive);
    })
}

fn bare(size: &Size, scrapes: &[[Arc<Rows>; 2]]) -> Run {
    let folder = subject::folder();
    let values = |rows: &Rows| match &rows.columns()[workload::VALUE] {
        ColumnData::Real(values) => values.values().to_vec(),
        _ => unreachable!("the column of values"),
    };
    let values: Vec<_> = scrapes.iter().map(|scrapes| scrapes.each_ref().map(|rows| values(rows))).collect();
    let mut bare = Bare::open(&folder.path().join("bare.db"));
    timed(size, size.ticks, folder.path(), 0, || {
        let ticks =
            (0..size.ticks).flat_map(|tick| (0..size.connectors).map(move |connector| (connector, tick)));
        let mut group = Vec::new();
        for (connector, tick) in ticks {
            let values = values[connector][tick % 2].as_slice();
            group.push((connector as i64, BEGIN + INTERVAL * tick as i64, values));
            if group.len() == GROUP {
                bare.group(&group);
                group.clear();
            }
        }
        bare.group(&group);
        drop(bare);
    })
}
