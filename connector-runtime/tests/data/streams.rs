//! Reading a table while the receiver takes its time.

use std::time::{Duration, Instant};

use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::{RowQuery, RowStream, Store};
use rusqlite::Connection;
use tokio::time::advance;

use crate::folder::{Folder, commit, connector};

/// Twice as many batches as wait for a receiver.
const TICKS: i64 = 8;
const ROWS: usize = 1000;

/// A table of which a reader has begun to take rows, and more rows that came after that.
async fn begin(folder: &Folder) -> (SqliteStore, RowStream) {
    let store = folder.open();
    let one = connector(&store, "one").await;
    let names: Vec<String> = (0..ROWS).map(|n| n.to_string()).collect();
    for n in 0..TICKS {
        commit(&store, one, n, &names).await;
    }
    let query = RowQuery {
        database: "plant".to_owned(),
        table: "readings".to_owned(),
        limit: usize::MAX,
        since: None,
        until: None,
        filters: Vec::new(),
    };
    let stream = store.rows(query).await.unwrap();
    commit(&store, one, TICKS, &names).await;
    (store, stream)
}

/// Whether the write-ahead log can be cut back to nothing.
fn can_cut_back(folder: &Folder) -> bool {
    let data = Connection::open(folder.path().join("plant.db")).unwrap();
    data.busy_timeout(Duration::ZERO).unwrap();
    let busy: i64 = data.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    busy == 0
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_nothing_is_cut_off_and_told_so() {
    let folder = Folder::new();
    let (_store, mut stream) = begin(&folder).await;
    assert!(!can_cut_back(&folder));
    let begun = Instant::now();
    while !stream.batches.is_closed() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not cut off");
        advance(Duration::from_secs(1)).await;
    }
    assert!(can_cut_back(&folder));
    let mut rows = 0;
    let error = loop {
        match stream.batches.recv().await.expect("an end that is no error") {
            Ok(batch) => rows += batch.len(),
            Err(error) => break connector_core::chain(&error),
        }
    };
    assert_eq!(rows, 4 * ROWS);
    assert_eq!(error, "reading the table was broken off: nobody has taken any of its rows for 60s");
    assert!(stream.batches.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_its_time_gets_all() {
    let folder = Folder::new();
    let (_store, mut stream) = begin(&folder).await;
    let mut rows = 0;
    while let Some(batch) = stream.batches.recv().await {
        rows += batch.unwrap().len();
        advance(Duration::from_secs(50)).await;
    }
    assert_eq!(rows, TICKS as usize * ROWS);
}
