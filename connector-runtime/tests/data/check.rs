//! What a check of a store finds.

use connector_runtime::sqlite::{SqliteStore, check};
use connector_runtime::store::StoreError;
use rusqlite::Connection;
use uuid::Uuid;

use crate::folder::{Folder, commit, connector, end, lease, nth};

/// A store with some of everything in it.
async fn filled(folder: &Folder) -> (SqliteStore, Uuid) {
    let store = folder.open();
    let (one, two) = (connector(&store, "one").await, connector(&store, "two").await);
    for n in 0..4 {
        commit(&store, one, n, &["a", "b", "a"]).await;
        commit(&store, two, n, &["a", "é\"\\"]).await;
    }
    let failed = lease(&store, two, nth(4)).await;
    end(&store, failed, None).await;
    (store, one)
}

#[tokio::test]
async fn a_good_store_has_no_fault_while_it_is_open_and_ticks_are_in_flight() {
    let folder = Folder::new();
    let (store, one) = filled(&folder).await;
    store.expire(nth(2)).await.unwrap();
    let _in_flight = lease(&store, one, nth(5)).await;
    let checked = check(folder.path()).unwrap();
    assert!(checked.faults.is_empty() && checked.notes.is_empty(), "{checked:#?}");
    let [file] = &checked.files[..] else { panic!("{checked:#?}") };
    assert_eq!((file.tables, file.ticks, file.series, file.rows), (1, 5, 5, 10));
}

#[tokio::test]
async fn each_kind_of_damage_is_told() {
    for (damage, words) in [
        (
            "DELETE FROM \"readings$samples\" WHERE \"$id\" = (1 << 24) + 3",
            "tick 1 has 2, and the ledger says 3",
        ),
        (
            "DELETE FROM \"readings$samples\" WHERE \"$id\" >> 24 = 1",
            "tick 1 has none, and the ledger says 3",
        ),
        ("DELETE FROM \"$ticks\" WHERE id = 1", "tick 1 has 3, and the ledger says there is no such tick"),
        ("UPDATE \"$ticks\" SET outcome = 'transient' WHERE id = 1", "the ledger says 3, transient"),
        ("UPDATE \"$ticks\" SET target = NULL WHERE id = 1", "it has none in this table"),
        ("UPDATE \"$ticks\" SET target = 9 WHERE id = 1", "ticks of no table or no connector: tick 1"),
        (
            "DELETE FROM \"readings$series\" WHERE \"$id\" = (1 << 24) + 1",
            "tick 1 has the series 1 of connector 1, which does not exist, and 3 more",
        ),
        (
            "UPDATE \"readings$series\" SET \"$connector\" = 9 WHERE \"$id\" = (1 << 24) + 1",
            "series 1 of connector 1 is said to be of connector 9",
        ),
        (
            "UPDATE \"readings$series\" SET \"$id\" = 9 << 24 WHERE \"$id\" = (1 << 24) + 1",
            "series 0 of connector 9 is said to be of connector 1",
        ),
        (
            "UPDATE \"readings$series\" SET name = 'b ' WHERE \"$id\" = (1 << 24) + 1",
            "hash is not their key's: series 1 of connector 1",
        ),
        (
            "UPDATE \"readings$series\" SET labels = '{}' WHERE \"$id\" = (2 << 24) + 2",
            "hash is not their key's: series 2 of connector 2",
        ),
        (
            "DROP VIEW readings; CREATE VIEW readings AS SELECT 1 AS timestamp FROM \"readings$samples\"",
            "a view has other columns than its table: readings has timestamp",
        ),
        (
            "DROP VIEW readings; CREATE VIEW readings AS SELECT NULL timestamp, '' name, 0.0 value, '' labels",
            "a view shows other rows than were committed: readings has 1, and the ledger says 20",
        ),
        ("UPDATE \"$tables\" SET schema = '[]'", "a table's columns are unreadable"),
        (
            "DELETE FROM \"$ticks\" WHERE scheduled_for = (SELECT max(scheduled_for) FROM \"$ticks\")",
            "no such tick",
        ),
    ] {
        let folder = Folder::new();
        drop(filled(&folder).await);
        folder.data().execute_batch(&format!("PRAGMA foreign_keys = OFF; {damage}")).unwrap();
        let checked = check(folder.path()).unwrap();
        let told = checked.faults.iter().any(|fault| fault.contains(words) && !fault.contains('\n'));
        assert!(told, "{damage}\n{:#?}", checked.faults);
    }
}

#[tokio::test]
async fn a_file_that_is_cut_or_foreign_or_missing_is_told() {
    let folder = Folder::new();
    drop(filled(&folder).await);
    let path = folder.path().join("plant.db");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 4096).unwrap();
    let checked = check(folder.path()).unwrap();
    assert!(checked.faults.iter().any(|fault| fault.contains("plant.db")), "{checked:#?}");

    std::fs::write(&path, "no database at all, though long enough to be read as one".repeat(100)).unwrap();
    let checked = check(folder.path()).unwrap();
    assert!(
        checked.faults.iter().any(|fault| fault.contains("is damaged or no SQLite database")),
        "{checked:#?}"
    );

    std::fs::remove_file(&path).unwrap();
    let checked = check(folder.path()).unwrap();
    assert!(checked.faults.iter().any(|fault| fault.contains("is missing")), "{checked:#?}");
}

#[tokio::test]
async fn control_and_the_ledgers_are_compared() {
    let folder = Folder::new();
    let (store, one) = filled(&folder).await;
    let control = folder.path().join("control.db");
    let older = folder.path().join("older");
    Connection::open(&control).unwrap().execute("VACUUM INTO ?1", [older.to_str().unwrap()]).unwrap();
    commit(&store, one, 4, &["a"]).await;
    drop(store);
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "no write-ahead log is left behind: {left:?}");
    // A control.db that is older than the ledgers is brought into line, so that is no fault.
    std::fs::rename(&older, &control).unwrap();
    let checked = check(folder.path()).unwrap();
    assert_eq!((checked.faults.len(), checked.notes.len()), (0, 1), "{checked:#?}");
    assert!(checked.notes[0].contains("later ticks of 1 connectors"), "{checked:#?}");
    commit(&folder.open(), one, 5, &["a"]).await;
    assert!(check(folder.path()).unwrap().notes.is_empty());
}

#[test]
fn a_folder_without_a_store_is_told() {
    let folder = Folder::new();
    let error = check(folder.path()).unwrap_err();
    assert!(error.to_string().contains("control.db"), "{error}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is created");
}

#[tokio::test]
async fn a_newer_layout_is_left_alone() {
    let folder = Folder::new();
    drop(filled(&folder).await);
    folder.data().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(check(folder.path()), Err(StoreError::NewerLayout { found: 99, .. })));
}
