//! Files that earlier versions wrote.

use connector_runtime::store::Store as _;

use crate::folder::{Folder, commit, connector, nth};

/// The first layout was the present one without the epoch of series.
fn make_layout_1(folder: &Folder) {
    folder
        .data()
        .execute_batch(
            "DROP TABLE \"$epoch\"; DELETE FROM \"$migrations\" WHERE number > 1; PRAGMA user_version = 1",
        )
        .unwrap();
}

#[tokio::test]
async fn a_store_of_the_first_layout_goes_on() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "hall").await;
    commit(&store, id, 0, &["a", "b"]).await;
    drop(store);
    make_layout_1(&folder);

    let store = folder.open();
    commit(&store, id, 1, &["b", "c"]).await;
    let rows = [(nth(0), "a"), (nth(0), "b"), (nth(1), "b"), (nth(1), "c")];
    assert_eq!(folder.rows(), rows.map(|(time, name)| (time, name.to_owned())));
    assert_eq!(folder.count("PRAGMA user_version"), 2);
    assert_eq!(store.ticks(id, 10).await.unwrap().len(), 2);
    assert_eq!(store.expire(nth(1)).await.unwrap().rows, 2);
    assert_eq!(folder.count("SELECT count(*) FROM \"readings$series\""), 2);
}
