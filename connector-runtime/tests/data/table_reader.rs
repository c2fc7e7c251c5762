//! Reading a whole table.

use connector_runtime::model::Millis;
use connector_runtime::sqlite::TableReader;
use connector_runtime::store::{Cell, StoreError};

use crate::folder::{Folder, commit, connector, nth, schema};

fn read(table: &TableReader) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    table
        .read(|cells| {
            rows.push(cells.to_vec());
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(rows.len() as u64, table.rows());
    rows
}

fn times(folder: &Folder, since: Option<Millis>, until: Option<Millis>) -> Vec<Millis> {
    let table = TableReader::open(folder.path(), "plant", "readings", since, until).unwrap();
    let time = |row: &Vec<Cell>| match row[0] {
        Cell::Timestamp(time) => time,
        _ => panic!("{row:?}"),
    };
    read(&table).iter().map(time).collect()
}

#[tokio::test]
async fn all_rows_come_oldest_first_from_one_snapshot() {
    let folder = Folder::new();
    let store = folder.open();
    let (one, two) = (connector(&store, "one").await, connector(&store, "two").await);
    commit(&store, one, 1, &["b", "a", "b"]).await;
    commit(&store, two, 0, &["c"]).await;
    let table = TableReader::open(folder.path(), "PLANT", "Readings", None, None).unwrap();
    assert_eq!(*table.schema(), schema());
    // What happens now is not seen by the one that was opened before.
    commit(&store, one, 2, &["a"]).await;
    store.expire(nth(1)).await.unwrap();
    let row = |n, name: &str| {
        let labels = Cell::Json(r#"{"room":"hall"}"#.to_owned());
        vec![Cell::Timestamp(nth(n)), Cell::Text(name.to_owned()), Cell::Real(1.5), labels]
    };
    assert_eq!(read(&table), [row(0, "c"), row(1, "b"), row(1, "a"), row(1, "b")]);
    assert_eq!(times(&folder, None, None), [nth(1), nth(1), nth(1), nth(2)]);
}

#[tokio::test]
async fn a_span_includes_its_beginning_and_not_its_end() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "one").await;
    for n in 0..4 {
        commit(&store, id, n, &["a"]).await;
    }
    assert_eq!(times(&folder, Some(nth(1)), Some(nth(3))), [nth(1), nth(2)]);
    assert_eq!(times(&folder, Some(nth(2) + 1), None), [nth(3)]);
    assert!(times(&folder, None, Some(nth(0))).is_empty());
}

#[tokio::test]
async fn a_failing_receiver_ends_it_and_no_table_is_told() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "one").await;
    commit(&store, id, 0, &["a", "b"]).await;
    let table = TableReader::open(folder.path(), "plant", "readings", None, None).unwrap();
    let mut seen = 0;
    let ended = table.read(|_| {
        seen += 1;
        Err(StoreError::Closed)
    });
    assert!(matches!(ended, Err(StoreError::Closed)) && seen == 1);
    for (database, name) in [("plant", "nothing"), ("nowhere", "readings"), ("control", "connectors")] {
        let error = TableReader::open(folder.path(), database, name, None, None).unwrap_err();
        assert!(matches!(error, StoreError::NotFound("table")), "{error}");
    }
    assert!(!folder.path().join("nowhere.db").exists());
}
