//! Files that are moved, removed, damaged or locked under a store.

use std::fs;
use std::io::Write as _;

use connector_runtime::store::Store;
use rusqlite::Connection;

use crate::stage::{Stage, check, told};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_lands_in_a_folder_that_was_removed() {
    let stage = Stage::start();
    let connector = stage.connector("plant", "plant", 250).await;
    stage.commits(connector).await;
    let (folder, away) = (stage.folder(), stage.folder().with_file_name("away"));
    fs::rename(&folder, &away).unwrap();
    let error = stage.not_ready().await;
    assert!(error.contains("control.db is gone"), "{error}");
    assert!(!folder.exists(), "the folder came back by itself");

    fs::rename(&away, &folder).unwrap();
    stage.ready().await;
    stage.commits(connector).await;
    let reported = stage.store.ticks(connector, 1000).await.unwrap();
    let folder = stage.stop().await;
    let landed = check(&folder.path().join("store"), "plant", "plant");
    for tick in reported.iter().filter(|tick| tick.rows > 0) {
        assert!(landed.contains(&tick.scheduled_for), "{tick:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_tables_that_is_moved_away_begins_anew() {
    let stage = Stage::start();
    let connector = stage.connector("plant", "plant", 250).await;
    stage.commits(connector).await;
    let away = stage.folder().with_file_name("away");
    fs::create_dir(&away).unwrap();
    for file in ["plant.db", "plant.db-wal", "plant.db-shm"] {
        fs::rename(stage.folder().join(file), away.join(file)).unwrap();
    }
    stage.commits(connector).await;
    stage.ready().await;
    let folder = stage.stop().await;
    check(&folder.path().join("store"), "plant", "plant");
    check(&away, "plant", "plant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_told_and_holds_up_nothing_else() {
    let stage = Stage::start();
    let connector = stage.connector("plant", "plant", 250).await;
    let other = stage.connector("other", "other", 250).await;
    stage.commits(connector).await;
    let above = stage.stop().await;
    let file = above.path().join("store/plant.db");
    fs::write(&file, vec![0x5A; 64 << 10]).unwrap();

    let stage = Stage::start_on(above);
    let error = stage.not_ready().await;
    assert!(error.contains("plant.db is damaged or no SQLite database"), "{error}");
    stage.commits(other).await;
    let error = stage.store.ticks(connector, 10).await.unwrap_err();
    assert!(told(&error).contains("move it away to begin anew"), "{}", told(&error));

    fs::rename(&file, file.with_extension("damaged")).unwrap();
    stage.ready().await;
    stage.commits(connector).await;
    let folder = stage.stop().await;
    check(&folder.path().join("store"), "plant", "plant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_while_it_is_open_is_told() {
    let stage = Stage::start();
    let connector = stage.connector("plant", "plant", 250).await;
    stage.commits(connector).await;
    // Closing brings all into the file itself.
    let stage = Stage::start_on(stage.stop().await);
    stage.commits(connector).await;
    stage.ready().await;
    let path = stage.folder().join("plant.db");
    let pages = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(&vec![0x5A; pages]).unwrap();
    let error = stage.not_ready().await;
    assert!(error.contains("plant.db is damaged or no SQLite database"), "{error}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_is_told_and_the_work_goes_on_once_it_is_free() {
    let stage = Stage::start();
    let connector = stage.connector("plant", "plant", 250).await;
    stage.commits(connector).await;
    for file in ["plant.db", "control.db"] {
        let locker = Connection::open(stage.folder().join(file)).unwrap();
        locker.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        locker.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = stage.not_ready().await;
        assert!(error.contains(file) && error.contains("is locked by another program"), "{error}");
        locker.execute_batch("ROLLBACK").unwrap();
        stage.ready().await;
        stage.commits(connector).await;
    }
    let folder = stage.stop().await;
    check(&folder.path().join("store"), "plant", "plant");
}
