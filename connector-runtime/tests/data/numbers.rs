//! The numbers of series.

use connector_runtime::sqlite::check;

use crate::folder::{Folder, commit, connector, nth};

/// The greatest number that a series can have.
const LAST: i64 = (1 << 24) - 1;

/// The number of each series of the first connector, by its name.
fn numbers(folder: &Folder) -> Vec<(String, i64)> {
    let data = folder.data();
    let mut numbers = data
        .prepare(
            "SELECT name, \"$id\" - (1 << 24) FROM \"readings$series\" WHERE \"$connector\" = 1 ORDER BY 2",
        )
        .unwrap();
    let numbers = numbers.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    numbers.map(Result::unwrap).collect()
}

#[tokio::test]
async fn each_connector_numbers_its_series_from_one() {
    let folder = Folder::new();
    let store = folder.open();
    let (one, two) = (connector(&store, "one").await, connector(&store, "two").await);
    commit(&store, one, 0, &["a", "b"]).await;
    commit(&store, two, 0, &["b", "c"]).await;
    commit(&store, one, 1, &["c", "a", "a"]).await;
    let of_one = [("a", 1), ("b", 2), ("c", 3), ("a", 4)];
    assert_eq!(numbers(&folder), of_one.map(|(name, number)| (name.to_owned(), number)));
    assert_eq!(folder.count("SELECT max(\"$id\") - (2 << 24) FROM \"readings$series\""), 2);
}

#[tokio::test]
async fn numbers_that_have_run_out_are_given_again_where_series_were_deleted() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "one").await;
    commit(&store, id, 0, &["a", "b", "c"]).await;
    commit(&store, id, 1, &["b"]).await;
    assert_eq!(store.expire(nth(1)).await.unwrap().series, 2);
    drop(store);
    // As after sixteen million more.
    let last = format!(
        "UPDATE \"readings$series\" SET \"$id\" = (1 << 24) + {LAST}; UPDATE \"readings$samples\" SET \"$id\" = (2 << 24) + {LAST}"
    );
    folder.data().execute_batch(&last).unwrap();

    let store = folder.open();
    commit(&store, id, 2, &["b", "x", "y"]).await;
    commit(&store, id, 3, &["z", "x", "b"]).await;
    let found = [("x", 1), ("y", 2), ("z", 3), ("b", LAST)];
    assert_eq!(numbers(&folder), found.map(|(name, number)| (name.to_owned(), number)));
    let rows = [(1, "b"), (2, "b"), (2, "x"), (2, "y"), (3, "b"), (3, "x"), (3, "z")];
    assert_eq!(folder.rows(), rows.map(|(n, name)| (nth(n), name.to_owned())));
    assert!(check(folder.path()).unwrap().faults.is_empty(), "{:#?}", check(folder.path()));
}
