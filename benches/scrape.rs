//! What a scrape costs over loopback: ours, beside `reqwest` and bare `hyper` doing the same GET.
//!
//! ```text
//! cargo bench -p benches --bench scrape                   # everything that fits into 4 GB of memory
//! cargo bench -p benches --bench scrape -- --large        # and 1,000 bodies of 8 MB at once, in 10 GB
//! cargo bench -p benches --bench scrape -- 64kB           # the cells of one size
//! ```
//!
//! The server is a process of its own, so that its CPU time is nobody's. Each target is a loopback address of its own
//! with a connection that is kept; all clients run on one thread and take turns, round after round.

#[path = "scrape/clients.rs"]
mod clients;
#[path = "scrape/server.rs"]
mod server;

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use clients::{Fetch, Kind};

struct Size {
    name: &'static str,
    bytes: usize,
}

const SIZES: [Size; 3] = [
    Size { name: "1kB", bytes: 1_000 },
    Size { name: "64kB", bytes: 64_000 },
    Size { name: "8MB", bytes: 8_000_000 },
];
const IN_FLIGHT: [usize; 3] = [1, 64, 1_000];
const ROUNDS: usize = 9;

/// How much one client scrapes in one round: whichever of the two it comes to first.
const MOST_SCRAPES: usize = 8_000;
const MOST_BYTES: usize = 400_000_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--serve") {
        return server::serve();
    }
    let large = args.iter().any(|arg| arg == "--large");
    let only: Vec<&Size> = SIZES.iter().filter(|size| args.iter().any(|arg| arg == size.name)).collect();
    let sizes = if only.is_empty() { SIZES.iter().collect() } else { only };
    let server = server::Process::start();
    for size in sizes {
        for in_flight in IN_FLIGHT {
            if size.bytes * in_flight < 1_000_000_000 || large {
                cell(&server, size, in_flight);
            }
        }
    }
}

/// The best round of one client.
#[derive(Clone, Copy)]
struct Best {
    wall: Duration,
    cpu: Duration,
}

fn cell(server: &server::Process, size: &Size, in_flight: usize) {
    let rounds = if size.bytes * in_flight < 1_000_000_000 { ROUNDS } else { 3 };
    let each = (MOST_SCRAPES.min(MOST_BYTES / size.bytes) / in_flight).max(1);
    let scrapes = (each * in_flight) as u32;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let urls: Vec<String> = (0..in_flight).map(|n| server.url(n, size.bytes)).collect();
    let mut best = [Best { wall: Duration::MAX, cpu: Duration::MAX }; Kind::ALL.len()];
    let mut memory = [(0, 0); Kind::ALL.len()];
    let clients: Vec<_> = Kind::ALL.iter().map(|kind| runtime.block_on(kind.connect(&urls))).collect();
    for round in 0..=rounds {
        for (at, fetchers) in clients.iter().enumerate() {
            let (wall, cpu) = (Instant::now(), cpu_time());
            runtime.block_on(run(fetchers, each, size.bytes));
            let (wall, cpu) = (wall.elapsed(), cpu_time() - cpu);
            // The first round opens connections and grows buffers.
            if round > 0 {
                best[at].wall = best[at].wall.min(wall);
                best[at].cpu = best[at].cpu.min(cpu);
                memory[at].1 = resident();
            } else {
                memory[at].0 = resident();
            }
        }
    }
    println!("\n{} × {in_flight} in flight, {scrapes} scrapes a round, best of {rounds}", size.name);
    println!(
        "  {:<26} {:>11} {:>14} {:>10} {:>12} {:>10}",
        "", "scrapes/s", "CPU µs/scrape", "/ reqwest", "− hyper, µs", "memory, MB"
    );
    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / f64::from(scrapes);
    let of = |kind: Kind| best[kind as usize];
    for (kind, (before, after)) in Kind::ALL.into_iter().zip(memory) {
        let Best { wall, cpu } = of(kind);
        println!(
            "  {:<26} {:>11.0} {:>14.1} {:>10.2} {:>12.1} {:>+10.1}",
            kind.name(),
            f64::from(scrapes) / wall.as_secs_f64(),
            micros(cpu),
            wall.as_secs_f64() / of(Kind::Reqwest).wall.as_secs_f64(),
            micros(cpu) - micros(of(Kind::Hyper).cpu),
            (after - before) as f64 / 1e6,
        );
    }
}

/// Each fetcher scrapes its target so many times, all of them at once.
async fn run(fetchers: &[Fetch], each: usize, bytes: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for fetch in fetchers {
        let fetch = fetch.clone();
        tasks.spawn(async move {
            for _ in 0..each {
                assert_eq!(fetch.once().await, bytes, "a body that is not whole");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no fetcher fails");
    }
}

/// CPU time of this process; the server's is not in it.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// Resident memory in bytes; 0 where the system does not tell.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = status.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}
