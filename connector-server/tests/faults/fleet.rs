//! Several daemons on one folder. One of them, and another one each time, is killed or paused; the others are well.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use connector_runtime::model::{Millis, Outcome};
use connector_runtime::store::LEASE;
use rusqlite::Connection;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use tempfile::TempDir;

use crate::daemon::{Daemon, now, until};
use crate::exporter::Exporter;
use crate::folder::{Holdings, check, leases};

const CONNECTORS: usize = 40;

/// Shorter than a lease, so that one that does not come back within one misses buckets.
const INTERVAL: Millis = 6_000;

/// How late a busy machine may be, in milliseconds.
const LATE: Millis = 2_000;

#[test]
#[ignore = "takes a minute"]
fn two_daemons_miss_nothing_while_one_of_them_is_well() {
    endure(2);
}

#[test]
#[ignore = "takes a minute"]
fn three_daemons_miss_nothing_while_two_of_them_are_well() {
    endure(3);
}

/// Kills and pauses daemons for `FAULT_SECONDS`, 40 unless set, and checks every bucket of every connector afterwards.
fn endure(daemons: usize) {
    let seconds = std::env::var("FAULT_SECONDS").map_or(40, |text| text.parse().unwrap());
    let seed = std::env::var("FAULT_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("FAULT_SEED={seed}");
    let mut fleet = Fleet::start(daemons, seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let victim = fleet.random.usize(..daemons);
        if fleet.random.bool() {
            fleet.kill(victim);
        } else {
            fleet.pause(victim);
        }
        fleet.note_what_is_reported();
    }
    fleet.stop();
}

struct Fleet {
    folder: TempDir,
    daemons: Vec<Daemon>,
    random: fastrand::Rng,
    reported: HashSet<(String, Millis)>,
    excuses: Vec<Excuse>,
    kills: usize,
    pauses: usize,
}

/// Buckets that may be missed: those that begin within a span of time.
#[derive(Debug)]
struct Excuse {
    /// Of one connector, whose lease the victim took with it; or of all, while nobody could write.
    connector: Option<String>,
    from: Millis,
    until: Millis,
}

impl Fleet {
    fn start(daemons: usize, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Long enough for some ticks to be in flight at any time.
        let exporter = Exporter::slow(Duration::from_millis(300));
        let daemons: Vec<_> = (0..daemons).map(|_| Daemon::start(folder.path())).collect();
        for i in 0..CONNECTORS {
            daemons[0].create(&exporter, &format!("c{i}"), INTERVAL.unsigned_abs());
        }
        daemons[0].wait_for_commits(CONNECTORS, 0);
        let random = fastrand::Rng::with_seed(seed);
        let (reported, excuses) = Default::default();
        Self { folder, daemons, random, reported, excuses, kills: 0, pauses: 0 }
    }

    /// Kills a daemon, and puts another one in its place after a while.
    fn kill(&mut self, victim: usize) {
        self.kills += 1;
        self.daemons[victim].kill();
        self.excuse_leases_of(victim);
        std::thread::sleep(Duration::from_millis(self.random.u64(..3_000)));
        let since = now();
        self.daemons[victim] = Daemon::start(self.folder.path());
        self.wait_until_it_works(victim, since);
    }

    /// Pauses a daemon, sometimes for longer than its leases last.
    fn pause(&mut self, victim: usize) {
        self.pauses += 1;
        let paused = &self.daemons[victim];
        let (from, pause) = (now(), Duration::from_millis(self.random.u64(..13_000)));
        paused.signal(Signal::STOP);
        waitid(WaitId::Pid(paused.pid()), WaitIdOptions::STOPPED).unwrap();
        // It may have stopped in the middle of a commit. Then all others wait for it.
        let is_locked = is_locked(self.folder.path());
        self.excuse_leases_of(victim);
        std::thread::sleep(pause);
        let since = now();
        self.daemons[victim].signal(Signal::CONT);
        if is_locked {
            self.excuses.push(Excuse { connector: None, from: from - INTERVAL, until: since + LATE });
        }
        self.wait_until_it_works(victim, since);
    }

    /// The leases that a daemon holds outlive it. Each of their connectors is back within that time.
    fn excuse_leases_of(&mut self, victim: usize) {
        let runner = self.daemons[victim].runner();
        for lease in leases(self.folder.path()).into_iter().filter(|lease| lease.runner == runner) {
            let left = lease.left.min(LEASE.as_millis() as Millis);
            let until = now() + left + LATE;
            self.excuses.push(Excuse { connector: Some(lease.connector), from: lease.scheduled_for, until });
        }
    }

    /// Waits until a daemon has run a tick that began after `since`.
    fn wait_until_it_works(&self, daemon: usize, since: Millis) {
        let daemon = &self.daemons[daemon];
        let runner = daemon.runner();
        let data = Connection::open(self.folder.path().join("plant.db")).unwrap();
        data.busy_timeout(Duration::from_secs(60)).unwrap();
        let sql = "SELECT 1 FROM \"$ticks\" WHERE runner = ?1 AND started_at > ?2 AND outcome = 'committed'";
        let mut ran = data.prepare(sql).unwrap();
        until(
            || format!("{runner} runs a tick: {}", daemon.log()),
            || ran.exists((&runner, since)).unwrap().then_some(()),
        );
    }

    fn note_what_is_reported(&mut self) {
        self.reported.extend(self.daemons.iter().flat_map(|daemon| daemon.committed().unwrap()));
    }

    /// Ends the daemons, and checks what they have done.
    fn stop(mut self) {
        self.daemons[0].wait_for_commits(CONNECTORS, now());
        self.note_what_is_reported();
        self.daemons.drain(..).for_each(Daemon::stop);
        let holdings = check(self.folder.path(), &self.reported);
        let missed = self.missed(&holdings);
        println!(
            "{} kills, {} pauses: {} ticks landed once and whole; {missed} buckets passed while a lease outlived its \
             runner or a daemon was paused within a commit, and no other",
            self.kills,
            self.pauses,
            holdings.ticks()
        );
    }

    /// How many buckets did not commit. Each of them has an excuse.
    fn missed(&self, holdings: &Holdings) -> usize {
        let mut missed = 0;
        for (name, ledger) in &holdings.ledger {
            let landed: HashSet<Millis> = ledger
                .iter()
                .filter(|tick| tick.outcome == Outcome::Committed)
                .map(|tick| tick.scheduled_for)
                .collect();
            let (first, last) = (*landed.iter().min().unwrap(), *landed.iter().max().unwrap());
            let buckets = (first..last).step_by(INTERVAL as usize);
            for bucket in buckets.filter(|bucket| !landed.contains(bucket)) {
                let is_excused = self.excuses.iter().any(|excuse| {
                    excuse.connector.as_ref().is_none_or(|connector| connector == name)
                        && (excuse.from..=excuse.until).contains(&bucket)
                });
                let about = || {
                    let near = |time: Millis| (bucket - 30_000..bucket + 30_000).contains(&time);
                    let ledger: Vec<_> = ledger.iter().filter(|tick| near(tick.scheduled_for)).collect();
                    let excuses: Vec<_> = self.excuses.iter().filter(|excuse| near(excuse.from)).collect();
                    format!("{name} missed {bucket}; {ledger:#?}; {excuses:#?}")
                };
                assert!(is_excused, "{}", about());
                missed += 1;
            }
        }
        missed
    }
}

/// Whether nobody gets to write for half a second.
fn is_locked(folder: &Path) -> bool {
    let is_locked = |file: PathBuf| {
        let file = Connection::open(file).unwrap();
        file.busy_timeout(Duration::from_millis(500)).unwrap();
        file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
    };
    is_locked(folder.join("control.db")) || is_locked(folder.join("plant.db"))
}
