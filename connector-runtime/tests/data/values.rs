//! How the values of many rows are found without reading them all.

use connector_core::Rows;
use connector_runtime::sqlite::{SqliteStore, check};
use connector_runtime::store::{Cell, RowQuery, Store as _};
use uuid::Uuid;

use crate::folder::{Folder, connector, end, lease, nth, schema};

/// Enough rows for a filter.
const ROWS: i64 = 300;

/// Two ticks: the values of the `n`th are `1000 n` and the whole numbers after it.
async fn filled(folder: &Folder) -> (SqliteStore, Uuid) {
    let store = folder.open();
    let id = connector(&store, "one").await;
    for n in 0..2 {
        let mut rows = Rows::new(&schema());
        for row in 0..ROWS {
            rows.string(1, &row.to_string()).real(2, (1_000 * n + row) as f64).end_row();
        }
        end(&store, lease(&store, id, nth(n)).await, Some(rows)).await;
    }
    (store, id)
}

/// The times of the rows with a value.
async fn found(store: &SqliteStore, value: i64) -> Vec<Cell> {
    let query = RowQuery {
        database: "plant".into(),
        table: "readings".into(),
        limit: 10,
        since: None,
        until: None,
        filters: vec![("value".into(), value.to_string())],
    };
    let mut stream = store.rows(query).await.unwrap();
    let mut times = Vec::new();
    while let Some(batch) = stream.batches.recv().await {
        times.extend(batch.unwrap().into_iter().map(|mut row| row.swap_remove(0)));
    }
    times
}

#[tokio::test]
async fn a_tick_without_a_value_is_passed_over() {
    let folder = Folder::new();
    let (store, _) = filled(&folder).await;
    for value in [0, 299, 1_000, 1_299] {
        assert_eq!(found(&store, value).await, [Cell::Timestamp(nth(value / 1_000))]);
    }
    assert_eq!(found(&store, 300).await, []);
    assert!(check(folder.path()).unwrap().faults.is_empty());

    // Its filter alone says what it has.
    folder.data().execute_batch("UPDATE \"$blooms\" SET bits = zeroblob(300) WHERE tick = 2").unwrap();
    assert_eq!(found(&store, 1_000).await, []);
    assert_eq!(found(&store, 0).await.len(), 1);
    let faults = check(folder.path()).unwrap().faults;
    assert!(
        faults.len() == 1 && faults[0].ends_with("readings: filters that hide values: tick 2"),
        "{faults:?}"
    );

    // As it is in a file of before.
    folder.data().execute_batch("DELETE FROM \"$blooms\"").unwrap();
    assert_eq!(found(&store, 1_000).await.len(), 1);
    assert!(check(folder.path()).unwrap().faults.is_empty());
}

#[tokio::test]
async fn a_filter_goes_with_its_tick() {
    let folder = Folder::new();
    let (store, _) = filled(&folder).await;
    let filters = "SELECT count(*) FROM \"$blooms\"";
    assert_eq!(folder.count(filters), 2);
    assert_eq!(store.expire(nth(1)).await.unwrap().rows, ROWS.cast_unsigned());
    assert_eq!(folder.count(filters), 1);
    folder.data().execute_batch("INSERT INTO \"$blooms\" VALUES (9, '')").unwrap();
    let faults = check(folder.path()).unwrap().faults;
    assert!(
        faults.len() == 1 && faults[0].ends_with("filters of ticks without samples: tick 9"),
        "{faults:?}"
    );
}
