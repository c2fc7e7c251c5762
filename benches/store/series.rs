//! New series, and series in another order.

use std::sync::Arc;
use std::time::Instant;

use connector_core::Rows;

use crate::subject::{self, Subject};
use crate::workload::{self, Series};

const CONNECTORS: usize = 100;
const SAMPLES: usize = 1_000;

pub(crate) fn measure() {
    println!("\nseries, {CONNECTORS} connectors of {SAMPLES} samples at once");
    let (folder, runtime) = (subject::folder(), subject::runtime());
    let open = || runtime.block_on(Subject::open(folder.path(), CONNECTORS));
    let subject = open();
    let all: Vec<_> = (0..SAMPLES).map(Series::nth).collect();
    let reversed: Vec<_> = all.iter().rev().copied().collect();
    // A part of the series is replaced each tick by others with other names, from where the scrapes before have come to.
    let churned = |reached: usize, new: usize, tick: usize| {
        (0..SAMPLES).map(|n| Series::nth(reached + new * tick + n)).collect::<Vec<_>>()
    };
    // A part of the pods is replaced each tick, whose series have the names of those before. Each pod has `new` of them.
    let replaced = |new: usize, tick: usize| {
        let pods = SAMPLES / new;
        // The first pod goes first, and again once all others have gone.
        let pod_of = |n: usize| (tick + pods - 1 - n / new) / pods;
        (0..SAMPLES).map(|n| Series { n, pod: pod_of(n) }).collect::<Vec<_>>()
    };

    let timed = |subject: &Subject, what: &str, first, orders: &[Vec<Series>], counted, of: &str| {
        let scrapes: Vec<Vec<Arc<Rows>>> = (0..CONNECTORS)
            .map(|target| {
                orders.iter().map(|order| Arc::new(workload::scrape_of(target, order, 0))).collect()
            })
            .collect();
        let before = subject::bytes_on_disk(folder.path());
        let start = Instant::now();
        let ticks = first..first + orders.len();
        runtime.block_on(
            subject.run(ticks, move |connector, tick| Arc::clone(&scrapes[connector][tick - first])),
        );
        let time = start.elapsed().as_secs_f64();
        let bytes = (subject::bytes_on_disk(folder.path()) - before) as f64;
        let rows = (orders.len() * CONNECTORS * SAMPLES) as f64;
        println!(
            "  {what:<38} {:>8.0} k {of}/s {:>8.2} M rows/s {:>9.1} KB a scrape {:>7.1} B a sample",
            (counted * CONNECTORS) as f64 / time / 1e3,
            rows / time / 1e6,
            bytes / 1e3 / (CONNECTORS * orders.len()) as f64,
            bytes / rows,
        );
    };
    timed(&subject, "a target's first scrape", 0, std::slice::from_ref(&all), SAMPLES, "new series");
    timed(&subject, "the same again, ten times", 1, &vec![all.clone(); 10], 10 * SAMPLES, "samples");
    runtime.block_on(async { drop(subject) });
    let subject = open();
    timed(&subject, "the first one after a restart", 11, std::slice::from_ref(&all), SAMPLES, "samples");
    let turns: Vec<_> =
        (0..10).map(|tick| if tick % 2 == 0 { reversed.clone() } else { all.clone() }).collect();
    timed(&subject, "the other way round each time", 12, &turns, 10 * SAMPLES, "samples");
    let (tenth, half) = (SAMPLES / 10, SAMPLES / 2);
    let churn: Vec<_> = (1..=10).map(|tick| replaced(tenth, tick)).collect();
    timed(&subject, "a tenth of the pods replaced each time", 22, &churn, 10 * tenth, "new series");
    let churn: Vec<_> = (1..=10).map(|tick| churned(0, tenth, tick)).collect();
    timed(&subject, "a tenth new each time, names too", 32, &churn, 10 * tenth, "new series");
    let churn: Vec<_> = (1..=10).map(|tick| churned(10 * tenth, half, tick)).collect();
    timed(&subject, "half of the series new each time", 42, &churn, 10 * half, "new series");
    runtime.block_on(async { drop(subject) });
}
