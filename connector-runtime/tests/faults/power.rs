//! The power goes at any moment: what was reported as committed is there afterwards, whole.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use connector_core::{Connector, Rows};
use connector_runtime::model::{Millis, Outcome, TickRecord};
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::{Claim, Claimed, FinishedTick, Store};
use rusqlite::Connection;
use uuid::Uuid;

use crate::disk::Disk;
use crate::stage::{Counter, ROWS, committed, intact, spec};
use crate::vfs;

/// Everything that a folder holds is checked after each round, so it must not grow for ever.
const ROUNDS_OF_A_FOLDER: u64 = 6;

/// What a store has said to have done.
#[derive(Default)]
struct Reported {
    connectors: Vec<(Uuid, String)>,
    ticks: HashSet<(Uuid, Millis)>,
}

/// `FAULT_ROUNDS` says how often the power goes, 12 times unless set.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_as_committed_outlives_the_loss_of_power() {
    let rounds: u64 = std::env::var("FAULT_ROUNDS").map_or(12, |text| text.parse().unwrap());
    let seed = std::env::var("FAULT_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("FAULT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let counter = Counter::default();
    let mut folder = tempfile::tempdir().unwrap();
    let mut all = Reported::default();
    let (mut ticks, mut connectors, mut lost) = (0, 0, 0);
    for round in 0..rounds {
        if round % ROUNDS_OF_A_FOLDER == 0 {
            (folder, all) = (tempfile::tempdir().unwrap(), Reported::default());
        }
        let disk = Disk::with_power();
        disk.hold(folder.path());
        vfs::mount(folder.path(), &disk);
        disk.lose_power_after(random.u64(20..1500));
        let reported = work(folder.path(), &counter, round).await;
        ticks += reported.ticks.len() as u64;
        connectors += reported.connectors.len();
        all.connectors.extend(reported.connectors);
        all.ticks.extend(reported.ticks);

        let remains = tempfile::tempdir().unwrap();
        lost += disk.remains(remains.path(), &mut random);
        folder = remains;
        assert_all_there(folder.path(), &all).await;
    }
    println!(
        "{rounds} losses of power, {lost} writes lost with them: {ticks} ticks and {connectors} connectors \
         reported, all there"
    );
    assert!(lost > 0 && ticks > rounds);
}

/// Commits ticks of new connectors until the power goes.
async fn work(folder: &Path, counter: &Counter, round: u64) -> Reported {
    let reported = Arc::new(Mutex::new(Reported::default()));
    let Ok(store) = SqliteStore::open(folder) else { return Reported::default() };
    let store = Arc::new(store);
    let (committed, commits) = std::sync::mpsc::channel();
    let mut tasks = Vec::new();
    for i in 0..4 {
        let (store, reported, counter) = (store.clone(), reported.clone(), counter.clone());
        let committed = committed.clone();
        tasks.push(tokio::spawn(async move {
            let name = format!("c{round}_{i}");
            let schema = Arc::new(counter.schema());
            let Ok(connector) = store.create(spec("plant", &name, 1000), &schema).await else { return };
            reported.lock().unwrap().connectors.push((connector.id, name));
            for bucket in (0..).map(|n| n * 1000) {
                let claim =
                    Claim { connector: connector.id, generation: 0, scheduled_for: bucket, triggered: false };
                let claimed = store.claim(Uuid::new_v4(), "runner", &[claim]).await;
                let Ok([Claimed::Granted(lease)]) = claimed.as_deref() else { return };
                let mut rows = Rows::new(&schema);
                counter.write(&mut rows);
                let record = TickRecord {
                    scheduled_for: bucket,
                    started_at: bucket,
                    finished_at: bucket,
                    outcome: Outcome::Committed,
                    rows: ROWS.unsigned_abs(),
                    attempts: 1,
                    error: None,
                    runner: "runner".to_owned(),
                };
                let rows = Some((schema.clone(), Arc::new(rows)));
                if store.finish(FinishedTick { lease: *lease, record, rows }).await.is_err() {
                    return;
                }
                reported.lock().unwrap().ticks.insert((connector.id, bucket));
                committed.send(()).unwrap();
            }
        }));
    }
    drop(committed);
    // Checkpoints come seldom by themselves; here one comes beside every few commits.
    let checkpoints = {
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || {
            while commits.recv().is_ok() {
                for file in ["plant.db", "control.db"] {
                    if let Ok(file) = Connection::open(folder.join(file)) {
                        let _ = file.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
                    }
                }
                commits.try_iter().for_each(drop);
            }
        })
    };
    for task in tasks {
        task.await.unwrap();
    }
    checkpoints.await.unwrap();
    drop(store);
    std::mem::take(&mut *reported.lock().unwrap())
}

/// Opens what is left and looks for all that was reported.
async fn assert_all_there(folder: &Path, all: &Reported) {
    let store = SqliteStore::open(folder).unwrap();
    store.ready().await.unwrap();
    for (id, name) in &all.connectors {
        let connector = store.get(*id).await.unwrap().unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(connector.spec.name, *name);
    }
    drop(store);
    if !folder.join("plant.db").exists() {
        assert!(all.ticks.is_empty());
        return;
    }
    let file = intact(folder, "plant");
    for (id, name) in &all.connectors {
        let landed = committed(&file, name);
        for (_, bucket) in all.ticks.iter().filter(|(of, _)| of == id) {
            assert!(landed.contains(bucket), "{name}: bucket {bucket} was reported and is gone");
        }
    }
}
