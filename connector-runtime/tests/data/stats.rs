//! How much is in a store.

use connector_runtime::sqlite::stats;
use connector_runtime::store::Store as _;

use crate::folder::{Folder, commit, connector, end, lease, nth};

#[tokio::test]
async fn rows_series_ticks_and_bytes_are_told_by_table_and_connector() {
    let folder = Folder::new();
    let store = folder.open();
    let (one, two) = (connector(&store, "one").await, connector(&store, "two").await);
    let names: Vec<String> = (0..1_000).map(|i| format!("metric_{i}")).collect();
    for n in 0..5 {
        commit(&store, one, n, &names).await;
    }
    commit(&store, two, 7, &["a", "a"]).await;
    let failed = lease(&store, two, nth(8)).await;
    end(&store, failed, None).await;
    store.delete(two).await.unwrap();

    let databases = stats(folder.path()).unwrap();
    let [database] = &databases[..] else { panic!("{databases:#?}") };
    assert_eq!((&*database.database, database.ticks), ("plant", 7));
    assert_eq!(
        i64::try_from(database.bytes).unwrap(),
        folder.count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    );
    let [table] = &database.tables[..] else { panic!("{databases:#?}") };
    let total = table.total;
    assert_eq!((&*table.table, total.rows, total.series, total.ticks), ("readings", 5_002, 1_002, 6));
    assert_eq!((total.oldest, total.newest), (Some(nth(0)), Some(nth(7))));
    assert!(table.bytes + database.ledger_bytes <= database.bytes);
    // 5,002 samples and the keys of 1,002 series take at least so much.
    assert!(table.bytes > 5_002 * 10 + 1_002 * 40, "{}", table.bytes);
    let [most, least] = &table.connectors[..] else { panic!("{databases:#?}") };
    assert_eq!((most.name.as_deref(), &most.id), (Some("one"), &one.to_string()));
    assert_eq!((most.amount.rows, most.amount.series, most.amount.ticks), (5_000, 1_000, 5));
    assert_eq!((least.name.as_deref(), least.amount.rows, least.amount.series), (None, 2, 2));
    assert!(most.bytes > 100 * least.bytes && most.bytes + least.bytes <= table.bytes);
}

#[tokio::test]
async fn an_empty_table_is_told_too() {
    let folder = Folder::new();
    let store = folder.open();
    connector(&store, "one").await;
    let databases = stats(folder.path()).unwrap();
    let table = &databases[0].tables[0];
    assert_eq!((table.total.rows, table.total.oldest, table.connectors.len()), (0, None, 0));
}
