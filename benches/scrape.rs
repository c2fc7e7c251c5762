//! What a scrape costs over loopback: ours, beside `reqwest` and bare `hyper` doing the same GET.
//!
//! ```text
//! cargo bench -p benches --bench scrape                   # everything that fits into 4 GB of memory
//! cargo bench -p benches --bench scrape -- --large        # and 1,000 bodies of 8 MB at once, in 10 GB
//! cargo bench -p benches --bench scrape -- 64kB           # the cells of one size
//! ```
//!
//! The server is a process of its own, so that its CPU time is nobody's, and so is each client, so that each has a heap to
//! itself. Each target is a loopback address of its own with a connection that is kept; a client runs on one thread, and
//! the clients take turns, round after round.

#[path = "scrape/clients.rs"]
mod clients;
#[path = "scrape/process.rs"]
mod process;
#[path = "scrape/server.rs"]
mod server;

use std::time::Duration;

use clients::Kind;
use process::Process;

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
const ROUNDS: usize = 15;

/// How much one client scrapes in one round: whichever of the two it comes to first.
const MOST_SCRAPES: usize = 8_000;
const MOST_BYTES: usize = 400_000_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--serve"] => return server::serve(),
        ["--client", kind, port, bytes, in_flight, each] => {
            let number = |text: &str| text.parse().expect("a number");
            let urls: Vec<_> = (0..number(in_flight)).map(|n| server::url(n, port, number(bytes))).collect();
            return clients::run(Kind::ALL[number(kind)], &urls, number(each), number(bytes));
        }
        _ => {}
    }
    let large = args.iter().any(|arg| arg == "--large");
    let only: Vec<&Size> = SIZES.iter().filter(|size| args.iter().any(|arg| arg == size.name)).collect();
    let sizes = if only.is_empty() { SIZES.iter().collect() } else { only };
    let mut server = Process::start(&["--serve"]);
    let port = server.line();
    for size in sizes {
        for in_flight in IN_FLIGHT {
            if size.bytes * in_flight < 1_000_000_000 || large {
                cell(&port, size, in_flight);
            }
        }
    }
}

/// The best rounds of one client, and its resident memory.
struct Outcome {
    wall: Duration,
    cpu: Duration,
    first: f64,
    last: f64,
}

fn cell(port: &str, size: &Size, in_flight: usize) {
    let rounds = if size.bytes * in_flight < 1_000_000_000 { ROUNDS } else { 3 };
    let each = (MOST_SCRAPES.min(MOST_BYTES / size.bytes) / in_flight).max(1);
    let scrapes = (each * in_flight) as u32;
    let mut clients: Vec<(Process, Outcome)> = (0..Kind::ALL.len())
        .map(|kind| {
            let numbers = [size.bytes, in_flight, each].map(|n| n.to_string());
            let kind = kind.to_string();
            let client = Process::start(&["--client", &kind, port, &numbers[0], &numbers[1], &numbers[2]]);
            (client, Outcome { wall: Duration::MAX, cpu: Duration::MAX, first: 0.0, last: 0.0 })
        })
        .collect();
    for round in 0..=rounds {
        for (client, outcome) in &mut clients {
            client.go();
            let line = client.line();
            let figures: Vec<u64> = line.split(' ').map(|text| text.parse().expect("a figure")).collect();
            let [wall, cpu, memory] = figures[..] else { panic!("three figures") };
            outcome.last = memory as f64 / 1e6;
            // The first round opens connections and grows buffers.
            if round == 0 {
                outcome.first = outcome.last;
            } else {
                outcome.wall = outcome.wall.min(Duration::from_nanos(wall));
                outcome.cpu = outcome.cpu.min(Duration::from_nanos(cpu));
            }
        }
    }
    println!("\n{} × {in_flight} in flight, {scrapes} scrapes a round, best of {rounds}", size.name);
    println!(
        "  {:<28} {:>10} {:>14} {:>14} {:>12} {:>11} {:>12}",
        "", "scrapes/s", "time / reqwest", "CPU µs/scrape", "− hyper, µs", "memory, MB", "since then"
    );
    let micros = |outcome: &Outcome| outcome.cpu.as_secs_f64() * 1e6 / f64::from(scrapes);
    let of = |kind: Kind| &clients[kind as usize].1;
    for kind in Kind::ALL {
        let outcome = of(kind);
        println!(
            "  {:<28} {:>10.0} {:>14.2} {:>14.1} {:>12.1} {:>11.1} {:>+12.1}",
            kind.name(),
            f64::from(scrapes) / outcome.wall.as_secs_f64(),
            outcome.wall.as_secs_f64() / of(Kind::Reqwest).wall.as_secs_f64(),
            micros(outcome),
            micros(outcome) - micros(of(Kind::Hyper)),
            outcome.first,
            outcome.last - outcome.first,
        );
    }
}
