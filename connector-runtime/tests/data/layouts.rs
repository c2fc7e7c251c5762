//! Files that earlier versions wrote.

use connector_runtime::sqlite::{TableReader, check};
use connector_runtime::store::{Store as _, StoreError};
use rusqlite::Connection;
use uuid::Uuid;

use crate::folder::{Folder, commit, connector, nth};

/// The ids of its connectors, `hall` and `yard`.
const HALL: Uuid = Uuid::from_u128(0xf9e9_4fdf_a903_46b9_a499_a5c8_bfbc_a35f);
const YARD: Uuid = Uuid::from_u128(0x92a3_c5be_4eee_498a_9a1a_7fc5_4639_4b1d);

/// A store with five ticks, a failed one among them, and one in which a key comes three times.
fn written(layout: i64, tables: &str) -> Folder {
    let folder = Folder::new();
    let control = include_str!("layout_2/control.sql");
    for (file, layout, sql) in [("control.db", 1, control), ("plant.db", layout, tables)] {
        let file = Connection::open(folder.path().join(file)).unwrap();
        file.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; BEGIN").unwrap();
        // The dump puts rows into SQLite's own table.
        file.execute_batch("PRAGMA writable_schema = ON").unwrap();
        file.execute_batch(sql).unwrap();
        file.execute_batch(&format!("PRAGMA user_version = {layout}; COMMIT")).unwrap();
    }
    folder
}

/// A store as it was written in the second layout.
fn of_layout_2() -> Folder {
    written(2, include_str!("layout_2/plant.sql"))
}

/// The same as it was written in the third one.
fn of_layout_3() -> Folder {
    written(3, include_str!("layout_3/plant.sql"))
}

/// The same as it was written in the fourth one.
fn of_layout_4() -> Folder {
    written(4, include_str!("layout_4/plant.sql"))
}

/// The fifth layout was the sixth one without the filters of values.
fn of_layout_5() -> Folder {
    let folder = of_layout_4();
    drop(folder.open());
    let data = folder.data();
    data.execute_batch(
        "DROP TABLE \"$blooms\"; DELETE FROM \"$migrations\" WHERE number > 5; PRAGMA user_version = 5",
    )
    .unwrap();
    folder
}

/// The first layout was the second one without the epoch of series.
fn of_layout_1() -> Folder {
    let folder = of_layout_2();
    let data = folder.data();
    data.execute_batch(
        "DROP TABLE \"$epoch\"; DELETE FROM \"$migrations\" WHERE number > 1; PRAGMA user_version = 1",
    )
    .unwrap();
    folder
}

/// Time and name of each row that the store holds.
fn its_rows() -> Vec<(i64, String)> {
    let names = [(0, vec!["a", "a", "b", "é\"\\"]), (1, vec!["b", "b", "b", "c"]), (2, vec!["a", "b", "d"])];
    names
        .into_iter()
        .flat_map(|(n, names)| names.into_iter().map(move |name| (nth(n), name.to_owned())))
        .collect()
}

#[tokio::test]
async fn a_store_of_an_earlier_layout_goes_on() {
    for folder in [of_layout_1(), of_layout_2(), of_layout_3(), of_layout_4(), of_layout_5()] {
        assert_eq!(folder.rows(), its_rows());
        let store = folder.open();
        assert_eq!(folder.count("PRAGMA user_version"), 6);
        assert_eq!(folder.rows(), its_rows(), "before anything is written");
        assert!(check(folder.path()).unwrap().faults.is_empty(), "{:#?}", check(folder.path()));
        assert_eq!(
            (store.ticks(HALL, 10).await.unwrap().len(), store.ticks(YARD, 10).await.unwrap().len()),
            (3, 2)
        );
        // The series are known again, and a new one is numbered after them.
        let series = "SELECT count(*) FROM \"readings$series\"";
        let before = folder.count(series);
        commit(&store, HALL, 3, &["b", "b", "a", "e"]).await;
        assert_eq!(folder.count(series), before + 1);
        assert_eq!(folder.rows().len(), its_rows().len() + 4);
        assert_eq!(store.expire(nth(3)).await.unwrap().rows, 11);
        assert_eq!(folder.count(series), 4);
        assert!(check(folder.path()).unwrap().faults.is_empty(), "{:#?}", check(folder.path()));
    }
}

#[tokio::test]
async fn a_file_is_brought_to_the_layout_that_a_new_one_has() {
    let old = [of_layout_2(), of_layout_3(), of_layout_4(), of_layout_5()];
    old.iter().for_each(|old| drop(old.open()));
    let new = Folder::new();
    connector(&new.open(), "hall").await;
    let objects = |folder: &Folder| -> Vec<(String, String, Vec<String>)> {
        let data = folder.data();
        let mut objects = data.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2").unwrap();
        let objects = objects.query_map([], |row| {
            let sql: Option<String> = row.get(2)?;
            // As it is written makes no difference.
            let words =
                sql.unwrap_or_default().replace(['(', ')', '"', ','], " ").replace("IF NOT EXISTS", "");
            let words = words.split_whitespace().map(str::to_owned).collect();
            Ok((row.get(0)?, row.get(1)?, words))
        });
        objects.unwrap().map(Result::unwrap).collect()
    };
    old.iter().for_each(|old| assert_eq!(objects(old), objects(&new)));
    let statistics = |folder: &Folder| {
        folder.data().query_row(
            "SELECT group_concat(tbl || ' ' || ifnull(idx, '') || ' ' || stat, '; ') FROM (SELECT * FROM sqlite_stat1 ORDER BY 1, 2)",
            [],
            |row| row.get::<_, String>(0),
        )
    };
    old.iter().for_each(|old| assert_eq!(statistics(old), statistics(&new)));
}

#[tokio::test]
async fn views_of_users_outlive_a_new_layout() {
    for folder in [of_layout_2(), of_layout_3(), of_layout_4(), of_layout_5()] {
        folder.data().execute_batch("CREATE VIEW mine AS SELECT * FROM readings WHERE name = 'b'").unwrap();
        drop(folder.open());
        assert_eq!(folder.count("SELECT count(*) FROM mine"), 5);
    }
}

#[tokio::test]
async fn a_file_that_lacks_a_series_stays_as_it_is() {
    let folder = of_layout_2();
    folder.data().execute_batch("DELETE FROM \"readings$series\" WHERE \"$id\" = 1").unwrap();
    let rows = folder.rows();
    let store = folder.open();
    let error = store.ready().await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("each sample has its series"), "{error}: {cause}");
    assert_eq!((folder.count("PRAGMA user_version"), folder.rows()), (2, rows));
}

#[test]
fn who_only_reads_says_what_brings_a_file_up_to_date() {
    let folder = of_layout_2();
    let error = TableReader::open(folder.path(), "plant", "readings", None, None).unwrap_err();
    let StoreError::Failed { .. } = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("a daemon has to open its folder first"), "{error}");
}
