//! Ten thousand connectors at once: is every bucket committed, and in time, and what does it cost?
//!
//! ```text
//! cargo bench -p benches --bench many                      # 10,000 connectors, 4 intervals, then idle
//! cargo bench -p benches --bench many -- 2000 2            # other numbers of connectors and intervals
//! cargo bench -p benches --bench many -- 10000 4 hosts     # each connector's exporter on a loopback address of its own
//! ```
//!
//! The exporter is a process of its own, so that memory and CPU time are the runner's and the store's alone.

#[path = "many/exporter.rs"]
mod exporter;
#[path = "many/fleet.rs"]
mod fleet;
#[path = "many/ledger.rs"]
mod ledger;
#[path = "many/process.rs"]
mod process;

use std::time::Duration;

use fleet::Fleet;

/// Milliseconds between the ticks of a connector.
const INTERVAL: i64 = 15_000;

/// Samples in a scrape.
const SAMPLES: usize = 100;

/// How long the idle runner is watched.
const IDLE: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if arguments.first().is_some_and(|first| first == exporter::ARGUMENT) {
        return exporter::serve(SAMPLES);
    }
    let mut numbers = arguments.iter().filter_map(|arg| arg.parse().ok());
    let (connectors, intervals) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(4));
    let hosts = arguments.iter().any(|arg| arg == "hosts");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("an async runtime");
    process::allow_many_files();
    if intervals > 0 {
        runtime.block_on(punctuality(connectors, intervals, hosts));
    }
    for connectors in [1, connectors] {
        runtime.block_on(idle(connectors));
    }
}

async fn punctuality(connectors: usize, intervals: usize, hosts: bool) {
    let exporter = exporter::Child::start();
    let place = if hosts { "a host each" } else { "one host" };
    println!("{connectors} connectors of {SAMPLES} samples every {} s, {place}", INTERVAL / 1000);
    let fleet = Fleet::create(connectors, INTERVAL, |n| exporter.url(n, hosts)).await;
    println!("  created in {:.2} s", fleet.creation.as_secs_f64());
    let running = fleet.start();
    // The first interval opens connections and meets each series for the first time.
    tokio::time::sleep(Duration::from_millis(INTERVAL.unsigned_abs())).await;
    let settled = process::Usage::now();
    let span = Duration::from_millis(INTERVAL.unsigned_abs()) * intervals as u32;
    tokio::time::sleep(span).await;
    let used = process::Usage::now();
    running.stop().await;
    let from = fleet.began + INTERVAL;
    let ticks = ledger::read(fleet.folder(), INTERVAL, from, from + INTERVAL * intervals as i64);
    ticks.report(connectors, intervals);
    let cpu = used.cpu - settled.cpu;
    println!(
        "  CPU {:.0} % of a core, {:.2} s a million samples; resident {} MB, at most {} MB",
        100.0 * cpu.as_secs_f64() / span.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / ticks.rows as f64,
        used.resident >> 20,
        process::most_resident() >> 20
    );
}

/// What a runner costs that has nothing to do.
async fn idle(connectors: usize) {
    const DAY: i64 = 86_400_000;
    let fleet = Fleet::create(connectors, DAY, |_| "http://127.0.0.1:9/metrics".to_owned()).await;
    fleet.pause().await;
    let running = fleet.start();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = process::Usage::now();
    tokio::time::sleep(IDLE).await;
    let cpu = process::Usage::now().cpu - before.cpu;
    running.stop().await;
    println!(
        "idle, {connectors} connectors: {:.3} % of a core over {} s",
        100.0 * cpu.as_secs_f64() / IDLE.as_secs_f64(),
        IDLE.as_secs()
    );
}
