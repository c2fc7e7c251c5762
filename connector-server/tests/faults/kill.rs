//! `kill -9` at every step of a tick, and at any time.

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, Instant};

use connector_runtime::model::{Millis, Outcome, TickRecord};
use connector_runtime::store::LEASE;
use rustix::process::Signal;

use crate::daemon::{Daemon, now};
use crate::exporter::Exporter;
use crate::folder::{check, leases};

/// The steps of a tick, in their order.
const STEPS: [&str; 9] = [
    "claimed",
    "half an answer",
    "ticked",
    "rows",
    "data-commit",
    "data-committed",
    "control-commit",
    "control-committed",
    "answer",
];

const CONNECTORS: usize = 3;

/// How long a busy machine may take to run a tick that is due, in milliseconds.
const LATE: Millis = 5_000;

#[test]
fn a_tick_lands_once_and_whole_wherever_its_runner_is_killed() {
    let steps: Vec<_> = STEPS.iter().map(|step| (step, thread::spawn(move || die_at(step)))).collect();
    for (step, thread) in steps {
        let (back, ticks) = thread.join().unwrap_or_else(|_| panic!("killed at {step}"));
        println!("killed at {step}: back after {back:.1?}, {ticks} ticks, each once and whole");
    }
}

/// Kills a daemon at that step of a tick, starts another one, and waits until all connectors are back.
fn die_at(step: &str) -> (Duration, usize) {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start();
    let first = Daemon::start(folder.path());
    for i in 0..CONNECTORS {
        first.create(&exporter, &format!("c{i}"), 250);
    }
    first.wait_for_commits(CONNECTORS, 0);
    let mut reported: HashSet<_> = first.committed().unwrap().into_iter().collect();
    first.stop();

    let mut doomed = if step == "half an answer" {
        exporter.close_gate();
        let mut doomed = Daemon::start(folder.path());
        exporter.wait_for_a_half_answer();
        doomed.kill();
        exporter.open_gate();
        doomed
    } else {
        // Not the first pass, so that ticks have landed before.
        Daemon::armed(folder.path(), Some(&format!("{step}:9")))
    };
    let status = loop {
        if let Some(status) = doomed.wait_for_end(Duration::from_millis(10)) {
            break status;
        }
        reported.extend(doomed.committed().unwrap_or_default());
    };
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}: {}", doomed.log());

    let (died, died_at) = (Instant::now(), now());
    let left = leases(folder.path()).iter().map(|lease| lease.left).max().unwrap_or(0);
    assert!(left <= LEASE.as_millis() as Millis, "a lease of {left} ms");
    let next = Daemon::start(folder.path());
    let free_at = now().max(died_at + left);
    next.wait_for_commits(CONNECTORS, died_at);
    let back = died.elapsed();
    reported.extend(next.committed().unwrap());
    next.stop();
    let holdings = check(folder.path(), &reported);
    for (name, ledger) in &holdings.ledger {
        let is_back = |tick: &&TickRecord| tick.outcome == Outcome::Committed && tick.scheduled_for > died_at;
        let first = ledger.iter().find(is_back).unwrap().scheduled_for;
        assert!(first <= free_at + LATE, "{name}: free at {free_at} at the latest, and back at {first}");
    }
    (back, holdings.ticks())
}

/// `FAULT_KILLS` says how many, 60 unless set.
#[test]
#[ignore = "takes two minutes"]
fn nothing_is_lost_or_doubled_by_many_random_kills() {
    const CONNECTORS: usize = 40;
    let kills: usize = std::env::var("FAULT_KILLS").map_or(60, |text| text.parse().unwrap());
    let seed = std::env::var("FAULT_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("FAULT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start();
    let first = Daemon::start(folder.path());
    for i in 0..CONNECTORS {
        first.create(&exporter, &format!("c{i}"), 400);
    }
    let mut reported = HashSet::new();
    let mut at_points = 0;
    drop(first);
    for _ in 0..kills {
        let point = STEPS[random.usize(..STEPS.len())];
        let failpoint = format!("{point}:{}", random.u32(1..60));
        let mut doomed = Daemon::armed(folder.path(), random.bool().then_some(&failpoint));
        let doom = Instant::now() + Duration::from_millis(random.u64(0..1500));
        loop {
            let left = doom.saturating_duration_since(Instant::now());
            if let Some(status) = doomed.wait_for_end(left.min(Duration::from_millis(50))) {
                assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}: {}", doomed.log());
                at_points += 1;
                break;
            }
            if left.is_zero() {
                doomed.kill();
                break;
            }
            reported.extend(doomed.committed().unwrap_or_default());
        }
    }
    let since = now();
    let last = Daemon::start(folder.path());
    last.wait_for_commits(CONNECTORS, since);
    reported.extend(last.committed().unwrap());
    last.stop();
    let ticks = check(folder.path(), &reported).ticks();
    println!(
        "{kills} kills, {at_points} of them at named points: {ticks} ticks landed once and whole, {} of them seen as \
         committed while daemons died; the exporter answered {} times",
        reported.len(),
        exporter.answers()
    );
}
