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

/// Bytes in flight from which on a cell has to be asked for, and has few rounds.
const LARGE: usize = 1_000_000_000;

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
            if size.bytes * in_flight < LARGE || large {
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

/// A client that scrapes round after round.
struct Client {
    process: Process,
    outcome: Option<Outcome>,
}

impl Client {
    fn round(&mut self) {
        self.process.go();
        let line = self.process.line();
        let figures: Vec<u64> = line.split(' ').map(|text| text.parse().expect("a figure")).collect();
        let [wall, cpu, memory] = figures[..] else { panic!("three figures") };
        let memory = memory as f64 / 1e6;
        self.outcome = Some(match self.outcome.take() {
            // The first round opens connections and grows buffers.
            None => Outcome { wall: Duration::MAX, cpu: Duration::MAX, first: memory, last: memory },
            Some(before) => Outcome {
                wall: before.wall.min(Duration::from_nanos(wall)),
                cpu: before.cpu.min(Duration::from_nanos(cpu)),
                last: memory,
                ..before
            },
        });
    }
}

fn cell(port: &str, size: &Size, in_flight: usize) {
    let is_large = size.bytes * in_flight >= LARGE;
    let rounds = if is_large { 3 } else { ROUNDS };
    let each = (MOST_SCRAPES.min(MOST_BYTES / size.bytes) / in_flight).max(1);
    let scrapes = (each * in_flight) as u32;
    let start = |kind: usize| {
        let numbers = [size.bytes, in_flight, each].map(|n| n.to_string());
        let kind = kind.to_string();
        let process = Process::start(&["--client", &kind, port, &numbers[0], &numbers[1], &numbers[2]]);
        Client { process, outcome: None }
    };
    let kinds = 0..Kind::ALL.len();
    let outcomes: Vec<Outcome> = if is_large {
        // Memory is enough for one client at a time.
        let run = |kind| {
            let mut client = start(kind);
            (0..=rounds).for_each(|_| client.round());
            client.outcome.expect("a round")
        };
        kinds.map(run).collect()
    } else {
        let mut clients: Vec<Client> = kinds.map(start).collect();
        (0..=rounds).for_each(|_| clients.iter_mut().for_each(Client::round));
        clients.into_iter().map(|client| client.outcome.expect("a round")).collect()
    };
    println!("\n{} × {in_flight} in flight, {scrapes} scrapes a round, best of {rounds}", size.name);
    println!(
        "  {:<28} {:>10} {:>14} {:>14} {:>12} {:>11} {:>12}",
        "", "scrapes/s", "time / reqwest", "CPU µs/scrape", "− hyper, µs", "memory, MB", "since then"
    );
    let micros = |outcome: &Outcome| outcome.cpu.as_secs_f64() * 1e6 / f64::from(scrapes);
    let of = |kind: Kind| &outcomes[kind as usize];
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
