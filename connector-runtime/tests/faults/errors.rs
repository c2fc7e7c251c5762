//! Disks that are full or fail: what is said, what waits, and that it goes on by itself.

use std::sync::atomic::Ordering;

use connector_core::Connector;
use connector_runtime::model::Outcome;
use connector_runtime::store::Store;

use crate::disk::Fault;
use crate::stage::{Counter, Stage, check, spec, told};

const DAY: i64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn rows_wait_in_memory_while_the_disk_is_full() {
    let stage = Stage::start();
    let other = stage.connector("other", "other", 250).await;
    stage.commits(other).await;
    let slow = stage.connector("plant", "slow", DAY).await;
    stage.disk.fail(Fault::Full, "plant");
    let bucket = stage.store.trigger(slow, chrono::Utc::now().timestamp_millis()).await.unwrap();
    stage.hits(2).await;
    let ticked = |stage: &Stage| stage.counter.0.load(Ordering::SeqCst);
    let error = stage.not_ready().await;
    assert!(error.contains("plant.db: the disk is full; free some space"), "{error}");
    // What has another file goes on.
    stage.commits(other).await;
    assert_eq!(stage.store.ticks(slow, 10).await.unwrap(), []);

    stage.disk.heal();
    let tick = stage.tick(slow, |tick| tick.scheduled_for == bucket).await;
    assert_eq!((tick.outcome, tick.rows), (Outcome::Committed, 120));
    stage.ready().await;
    let total = ticked(&stage);
    let folder = stage.stop().await;
    let store = folder.path().join("store");
    // Every tick landed: none was taken again for the one that had to wait.
    let landed = check(&store, "plant", "slow").len() + check(&store, "other", "other").len();
    assert_eq!((landed as u64, check(&store, "plant", "slow")), (total, vec![bucket]));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_written_are_given_up_with_a_reason() {
    let stage = Stage::start();
    let fast = stage.connector("plant", "fast", 250).await;
    stage.commits(fast).await;
    stage.disk.fail(Fault::Full, "plant");
    // More tries than fit into the time that rows are kept for.
    stage.hits(9).await;
    stage.disk.heal();
    let tick = stage.tick(fast, |tick| tick.outcome == Outcome::Transient).await;
    let error = tick.error.unwrap();
    assert!(error.starts_with("the rows could not be written: "), "{error}");
    assert!(error.contains("the disk is full"), "{error}");
    assert_eq!(tick.rows, 0);
    stage.commits(fast).await;
    let folder = stage.stop().await;
    let landed = check(&folder.path().join("store"), "plant", "fast");
    assert!(!landed.contains(&tick.scheduled_for), "{landed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_fails_is_told_and_what_it_holds_goes_on_once_it_works() {
    let stage = Stage::start();
    let connector = stage.connector("plant", "plant", 250).await;
    stage.commits(connector).await;
    for (fault, file) in [
        (Fault::Write, "plant"),
        (Fault::Sync, "plant"),
        (Fault::Full, "control"),
        (Fault::Write, "control"),
        (Fault::Read, "control"),
    ] {
        stage.disk.fail(fault, file);
        let error = stage.not_ready().await;
        let words = if fault == Fault::Full { "the disk is full" } else { "the disk or file system failed" };
        assert!(error.contains(words) && error.contains(file), "{fault:?} of {file}: {error}");
        stage.disk.heal();
        stage.ready().await;
        stage.commits(connector).await;
    }
    let folder = stage.stop().await;
    check(&folder.path().join("store"), "plant", "plant");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_durable_is_not_said_to_be() {
    let stage = Stage::start();
    stage.disk.fail(Fault::Sync, "control");
    let schema = Counter::default().schema();
    let error = stage.store.create(spec("plant", "lost", 250), &schema).await.unwrap_err();
    assert!(told(&error).contains("control.db: the disk or file system failed"), "{}", told(&error));
    stage.disk.heal();
    assert_eq!(stage.store.list(None, 10).await.unwrap(), []);
    let connector = stage.connector("plant", "lost", 250).await;
    stage.commits(connector).await;

    stage.disk.fail(Fault::Read, "plant");
    let error = crate::stage::until(async || stage.store.ticks(connector, 10).await.err()).await;
    assert!(told(&error).contains("plant.db: the disk or file system failed"), "{}", told(&error));
    stage.disk.heal();
    stage.commits(connector).await;
    stage.stop().await;
}
