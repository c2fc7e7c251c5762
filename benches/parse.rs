//! How fast an exposition in memory becomes samples: ours, beside other crates and the floor.
//!
//! ```text
//! cargo bench -p benches --bench parse             # everything
//! cargo bench -p benches --bench parse -- ours     # without the rivals
//! ```

#[path = "parse/expositions.rs"]
mod expositions;
#[path = "parse/readers.rs"]
mod readers;

use std::time::Duration;

use prom_parse::Format;
use rustix::time::{ClockId, clock_gettime};

const MB: usize = 1_000_000;

struct Input {
    name: &'static str,
    format: Format,
    body: String,
}

fn main() {
    let ours_only = std::env::args().any(|arg| arg == "ours");
    let input = |name, format, body| Input { name, format, body };
    let inputs = [
        input("node.prom", Format::Prometheus, expositions::node(8 * MB, false)),
        input("ksm.prom", Format::Prometheus, expositions::ksm(20 * MB)),
        input("hist.prom", Format::Prometheus, expositions::hist(10 * MB, false)),
        input("node.om", Format::OpenMetrics, expositions::node(8 * MB, true)),
        input("hist.om", Format::OpenMetrics, expositions::hist(10 * MB, true)),
        input("escapes.prom", Format::Prometheus, expositions::escapes(8 * MB)),
        input("loose.prom", Format::Prometheus, expositions::loose(8 * MB)),
    ];
    for input in &inputs {
        compare(input, ours_only);
    }
    small();
}

fn compare(input: &Input, ours_only: bool) {
    let readers: Vec<_> =
        readers::all().into_iter().filter(|reader| !ours_only || !reader.name.starts_with("rival")).collect();
    let rounds = if ours_only { 40 } else { 15 };
    let mut times = vec![Vec::new(); readers.len()];
    let mut sums = vec![None; readers.len()];
    for round in 0..rounds {
        for (at, reader) in readers.iter().enumerate() {
            // A rival takes twenty times as long: five rounds tell.
            if reader.name.starts_with("rival") && round % 3 != 0 {
                continue;
            }
            let start = cpu_time();
            sums[at] = (reader.read)(&input.body, input.format);
            times[at].push(cpu_time() - start);
        }
    }
    let lines = input.body.lines().filter(|line| !line.starts_with('#'));
    let (samples, bytes) = lines.fold((0, 0), |(n, bytes), line| (n + 1, bytes + line.len() + 1));
    println!(
        "\n{}: {:.1} MB, {samples} samples, {} B a line",
        input.name,
        mega(input.body.len()),
        bytes / samples
    );
    let best_of = |name: &str| {
        let at = readers.iter().position(|reader| reader.name.contains(name))?;
        sums[at].and_then(|_| times[at].iter().min().map(Duration::as_secs_f64))
    };
    let (rival, floor) = (best_of("nom-openmetrics"), best_of("floor"));
    println!(
        "  {:<32} {:>9} {:>7} {:>11} {:>9} {:>8}",
        "", "best MB/s", "median", "M samples/s", "x nom-om", "of floor"
    );
    for ((reader, times), sum) in readers.iter().zip(&times).zip(&sums) {
        let mut times = times.clone();
        times.sort();
        let speed = |time: Duration| mega(input.body.len()) / time.as_secs_f64();
        let note = match sum {
            None => {
                println!("  {:<32} refuses this input", reader.name);
                continue;
            }
            Some(sum) if Some(*sum) == sums[0] => "",
            Some(_) if reader.regroups => "regroups: no checksum",
            Some(_) => "READS OTHERWISE",
        };
        let (best, median) = (times[0], times[times.len() / 2]);
        let rate = mega(samples) / best.as_secs_f64();
        let faster = rival.map_or("-".to_owned(), |rival| format!("{:.1}", rival / best.as_secs_f64()));
        let of_floor =
            floor.map_or("-".to_owned(), |floor| format!("{:.0} %", 100.0 * floor / best.as_secs_f64()));
        println!(
            "  {:<32} {:>9.0} {:>7.0} {rate:>11.1} {faster:>9} {of_floor:>8}  {note}",
            reader.name,
            speed(best),
            speed(median)
        );
        assert!(note != "READS OTHERWISE", "{} differs on {}", reader.name, input.name);
    }
}

/// What a target costs that has next to nothing to say.
fn small() {
    const TIMES: u32 = 100_000;
    let body = "# TYPE up gauge\nup{instance=\"10.0.0.1:9100\",job=\"node\"} 1\nabc 3\n";
    assert_eq!(body.len(), 64);
    println!("\na body of {} bytes, {TIMES} times", body.len());
    for reader in readers::all().iter().filter(|reader| !reader.name.starts_with("rival")) {
        let best = (0..20).map(|_| {
            let start = cpu_time();
            for _ in 0..TIMES {
                std::hint::black_box((reader.read)(std::hint::black_box(body), Format::Prometheus));
            }
            cpu_time() - start
        });
        let best = best.min().unwrap_or_default();
        println!("  {:<38} {:>9.0} ns", reader.name, best.as_nanos() as f64 / f64::from(TIMES));
    }
}

fn mega(n: usize) -> f64 {
    n as f64 / 1e6
}

/// CPU time of this thread: what a neighbour on the machine takes is not counted.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}
