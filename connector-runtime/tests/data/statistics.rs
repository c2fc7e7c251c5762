//! What SQLite's planner is told of a store's tables.

use crate::folder::{Folder, commit, connector};

/// What is told, in order.
fn told(folder: &Folder) -> Vec<String> {
    let data = folder.data();
    let sql = "SELECT concat_ws(' ', tbl, idx, stat) FROM sqlite_stat1 WHERE tbl LIKE 'readings%' OR tbl = '$ticks' ORDER BY 1";
    let mut told = data.prepare(sql).unwrap();
    let told = told.query_map([], |row| row.get(0)).unwrap();
    told.map(Result::unwrap).collect()
}

#[tokio::test]
async fn statistics_that_somebody_gathered_are_put_back_when_a_store_is_opened() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "hall").await;
    let names: Vec<String> = (0..100).map(|n| format!("m{n}")).collect();
    for n in 0..20 {
        commit(&store, id, n, &names).await;
    }
    let before = told(&folder);
    assert_eq!(before.len(), 4);
    folder.data().execute_batch("ANALYZE").unwrap();
    assert_ne!(told(&folder), before);
    drop(store);

    let store = folder.open();
    assert_eq!(told(&folder), before);
    assert_eq!(
        folder.count("SELECT count(*) FROM sqlite_stat4 WHERE tbl LIKE 'readings%' OR tbl = '$ticks'"),
        0
    );
    commit(&store, id, 20, &names).await;
    assert_eq!(folder.rows().len(), 2_100);
}
