//! The numbers of series.

use std::collections::BTreeSet;

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

/// How many series there are of a name.
fn series_of(folder: &Folder, name: &str) -> i64 {
    folder.count(&format!("SELECT count(*) FROM \"readings$series\" WHERE name = '{name}'"))
}

#[tokio::test]
async fn a_key_that_comes_and_goes_is_one_series_for_all_stores_on_a_folder() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = Folder::new();
        let mut stores = [folder.open(), folder.open()];
        let id = connector(&stores[0], "one").await;
        // New ones come beside old ones, in another store's ticks, after ticks that bring nothing new, and after a restart.
        for turn in 0..40 {
            let who = random.usize(..2);
            if random.u8(..5) == 0 {
                stores[who] = folder.open();
            }
            let names: BTreeSet<_> =
                (0..random.u8(1..9)).map(|_| format!("n{}", random.i64(..=turn))).collect();
            let names: Vec<_> = names.into_iter().collect();
            for n in 5 * turn..5 * turn + random.i64(1..5) {
                commit(&stores[who], id, n, &names).await;
            }
        }
        let series = folder.count("SELECT count(*) FROM \"readings$series\"");
        let keys = folder.count("SELECT count(DISTINCT name) FROM readings");
        assert_eq!(series, keys, "seed {seed}");
        let checked = check(folder.path()).unwrap();
        assert!(checked.faults.is_empty() && checked.notes.is_empty(), "seed {seed}: {checked:#?}");
    }
}

#[tokio::test]
async fn a_key_that_comes_back_after_many_new_ones_is_a_new_series() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "one").await;
    let many: Vec<_> = (0..1500).map(|n| format!("n{n}")).collect();
    commit(&store, id, 0, &["kept", "lost"]).await;
    commit(&store, id, 1, &[&["kept".to_owned()], &many[..]].concat()).await;
    commit(&store, id, 2, &["kept"]).await;
    commit(&store, id, 3, &["kept", "lost"]).await;
    assert_eq!((series_of(&folder, "kept"), series_of(&folder, "lost")), (1, 2));
    drop(store);
    // What the last tick had is known for good, and so are the newest.
    let store = folder.open();
    commit(&store, id, 4, &["lost", "new", "kept", "n1499", "n0"]).await;
    let found = ["kept", "lost", "new", "n1499", "n0"].map(|name| series_of(&folder, name));
    assert_eq!(found, [1, 2, 1, 1, 2]);
    let mut expected: Vec<_> = many.iter().map(|name| (nth(1), name.clone())).collect();
    for (n, names) in [(0, &["kept", "lost"][..]), (1, &["kept"]), (2, &["kept"]), (3, &["kept", "lost"])] {
        expected.extend(names.iter().map(|name| (nth(n), (*name).to_owned())));
    }
    expected.extend(["lost", "new", "kept", "n1499", "n0"].map(|name| (nth(4), name.to_owned())));
    expected.sort();
    assert_eq!(folder.rows(), expected);
    let checked = check(folder.path()).unwrap();
    assert!(checked.faults.is_empty(), "{checked:#?}");
    assert!(checked.notes[0].contains("2 keys have several series"), "{checked:#?}");
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
