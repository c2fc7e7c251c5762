//! How long something takes.

use std::time::{Duration, Instant};

/// How often each is measured, unless it takes long.
const TIMES: usize = 21;

/// Long enough not to be measured as often.
const LONG: Duration = Duration::from_secs(1);

/// Prints the shortest time and the median: on a busy machine, the shortest says most.
pub(crate) fn print(what: &str, rows: usize, times: &mut [Duration]) {
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "  {what:<58} {rows:>9} rows {:>10.2} ms, median {:>10.2} ms",
        ms(times[0]),
        ms(times[times.len() / 2])
    );
}

/// Measures what returns how many rows it saw.
pub(crate) fn measure(what: &str, mut work: impl FnMut() -> usize) {
    let (mut times, mut rows) = (Vec::new(), 0);
    while times.len() < TIMES && times.last().is_none_or(|last| *last < LONG) {
        let start = Instant::now();
        rows = work();
        times.push(start.elapsed());
    }
    print(what, rows, &mut times);
}
