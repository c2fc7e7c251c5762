//! Letting go of what is old, while commits go on.

use connector_runtime::model::ConnectorSpec;
use connector_runtime::store::{Claimed, Store as _};

use crate::folder::{Folder, INTERVAL, T, claim, commit, connector, end, lease, nth, schema};

/// Samples that no tick or no series belongs to.
const ORPHANS: &str = "SELECT count(*) FROM \"readings$samples\" x
    WHERE \"$id\" >> 24 NOT IN (SELECT id FROM \"$ticks\") OR NOT EXISTS (SELECT 1
        FROM \"$ticks\" t JOIN \"readings$series\" s ON s.\"$id\" = (t.connector << 24) + (x.\"$id\" & 16777215)
        WHERE t.id = x.\"$id\" >> 24)";

#[tokio::test]
async fn ticks_before_a_time_go_and_the_others_stay() {
    let folder = Folder::new();
    let store = folder.open();
    let (one, two) = (connector(&store, "one").await, connector(&store, "two").await);
    for n in 0..6 {
        commit(&store, one, n, &["a"]).await;
        let lease = lease(&store, two, nth(n)).await;
        end(&store, lease, None).await;
    }
    let expired = store.expire(nth(4)).await.unwrap();
    assert_eq!((expired.ticks, expired.rows, expired.series), (8, 4, 0));
    assert_eq!(folder.rows(), [(nth(4), "a".to_owned()), (nth(5), "a".to_owned())]);
    for id in [one, two] {
        let left: Vec<_> = store.ticks(id, 10).await.unwrap().iter().map(|tick| tick.scheduled_for).collect();
        assert_eq!(left, [nth(5), nth(4)]);
    }
    assert_eq!(store.expire(nth(4)).await.unwrap(), Default::default());
    assert_eq!(folder.count(ORPHANS), 0);
}

#[tokio::test]
async fn a_damaged_database_keeps_nothing_in_the_others() {
    let folder = Folder::new();
    let store = folder.open();
    let create = async |database: &str| {
        let spec = ConnectorSpec {
            name: database.to_owned(),
            type_id: "thermometer".to_owned(),
            target_database: database.to_owned(),
            target_table: "readings".to_owned(),
            schedule_ms: INTERVAL,
            config: serde_json::Value::Null,
        };
        store.create(spec, &schema()).await.unwrap().id
    };
    // One comes before that database, and one after it.
    let (_, id, _) = (create("attic").await, create("plant").await, create("zoo").await);
    commit(&store, id, 0, &["a"]).await;
    commit(&store, id, 1, &["a"]).await;
    drop(store);
    let store = folder.open();
    for name in ["attic.db", "zoo.db"] {
        std::fs::write(folder.path().join(name), "no database at all".repeat(1_000)).unwrap();
    }
    let error = store.expire(nth(1)).await.unwrap_err().to_string();
    assert!(error.contains("attic.db") || error.contains("zoo.db"), "{error}");
    assert_eq!(folder.rows(), [(nth(1), "a".to_owned())]);
}

#[tokio::test]
async fn the_newest_tick_loses_its_rows_and_yet_never_commits_again() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "hall").await;
    for n in 0..3 {
        commit(&store, id, n, &["a"]).await;
    }
    // As after a clock that was an hour ahead.
    store.expire(nth(1_000)).await.unwrap();
    assert_eq!(folder.rows(), []);
    let left = store.ticks(id, 10).await.unwrap();
    assert_eq!((left.len(), left[0].scheduled_for, left[0].rows), (1, nth(2), 1));
    assert_eq!(claim(&store, id, nth(2), false).await, Claimed::Done);
    assert_eq!(claim(&store, id, nth(2), true).await, Claimed::Done);
    // What is left of it is not looked at again, and goes with the next tick.
    assert_eq!(store.expire(nth(1_000)).await.unwrap(), Default::default());
    commit(&store, id, 3, &["a"]).await;
    store.expire(nth(3)).await.unwrap();
    assert_eq!(folder.rows(), [(nth(3), "a".to_owned())]);
    assert_eq!(store.ticks(id, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_connectors_rows_go_too() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "hall").await;
    commit(&store, id, 0, &["a"]).await;
    commit(&store, id, 1, &["a"]).await;
    store.delete(id).await.unwrap();
    assert_eq!(store.expire(nth(2)).await.unwrap().rows, 2);
    assert_eq!(folder.rows(), []);
    assert_eq!(folder.count("SELECT count(*) FROM \"readings$series\""), 0);
}

#[tokio::test]
async fn only_series_without_samples_go() {
    let folder = Folder::new();
    let store = folder.open();
    let (id, other) = (connector(&store, "hall").await, connector(&store, "other").await);
    // Gone for good; gone and back; only ever in the middle; always there.
    commit(&store, id, 0, &["gone", "back", "stays"]).await;
    commit(&store, id, 1, &["gone", "stays"]).await;
    commit(&store, other, 1, &["gone"]).await;
    commit(&store, id, 2, &["middle", "stays"]).await;
    commit(&store, id, 3, &["stays", "back"]).await;
    commit(&store, id, 4, &["stays"]).await;
    assert_eq!(store.expire(nth(1)).await.unwrap().series, 0);
    assert_eq!(store.expire(nth(2)).await.unwrap().series, 2, "each connector had one of its own");
    let mut names = folder.rows().into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, ["back", "middle", "stays", "stays", "stays"]);
    assert_eq!(folder.count("SELECT count(*) FROM \"readings$series\""), 3);
    assert_eq!(store.expire(nth(3)).await.unwrap().series, 1);
    assert_eq!(store.expire(nth(4)).await.unwrap().series, 1);
    assert_eq!(folder.count("SELECT count(*) FROM \"readings$series\""), 1);
}

#[tokio::test]
async fn another_process_that_remembers_a_deleted_series_writes_it_anew() {
    let folder = Folder::new();
    let (remembers, deletes) = (folder.open(), folder.open());
    let id = connector(&remembers, "hall").await;
    for names in [&["a", "b"][..], &["a"]] {
        let n = remembers.ticks(id, 10).await.unwrap().len();
        commit(&remembers, id, n as i64, names).await;
    }
    // In the first store's memory there are the series of `b`, which is deleted now, and of `a`, which is not.
    assert_eq!(deletes.expire(nth(1)).await.unwrap().series, 1);
    commit(&remembers, id, 2, &["a", "b"]).await;
    assert_eq!(folder.count(ORPHANS), 0);
    let rows = [(nth(1), "a"), (nth(2), "a"), (nth(2), "b")];
    assert_eq!(folder.rows(), rows.map(|(time, name)| (time, name.to_owned())));

    // The second store in turn remembers nothing of what it deleted, nor the same keys in the same order.
    commit(&deletes, id, 3, &["a", "b"]).await;
    commit(&remembers, id, 4, &["a"]).await;
    assert_eq!(remembers.expire(nth(4)).await.unwrap().series, 1);
    commit(&deletes, id, 5, &["a", "b"]).await;
    commit(&remembers, id, 6, &["a", "b"]).await;
    assert_eq!(folder.count(ORPHANS), 0);
    assert_eq!(folder.rows().len(), 1 + 2 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_two_processes_and_deleting_do_not_harm_each_other() {
    const TICKS: i64 = 150;
    let folder = Folder::new();
    let stores = [folder.open(), folder.open()];
    let ids = [connector(&stores[0], "one").await, connector(&stores[0], "two").await];
    // Of a hundred names each tick brings some, so that series go and come back all the time.
    let names = |n: i64| -> Vec<String> {
        (0..100).filter(|i| (i * 7 + n) % 5 < 2).map(|i| format!("m{i}")).collect()
    };
    let ticking = |connector: usize| {
        let (stores, ids) = (&stores, &ids);
        async move {
            for n in 0..TICKS {
                // Either process may run the tick.
                commit(&stores[(connector + n as usize) % 2], ids[connector], n, &names(n)).await;
            }
        }
    };
    let deleting = async {
        let (mut rows, mut series) = (0, 0);
        loop {
            let newest =
                stores[1].ticks(ids[1], 1).await.unwrap().first().map_or(T, |tick| tick.scheduled_for);
            let expired = stores[1].expire(newest - INTERVAL).await.unwrap();
            (rows, series) = (rows + expired.rows, series + expired.series);
            if newest == nth(TICKS - 1) {
                return (rows, series);
            }
        }
    };
    let ((), (), (rows, series)) = tokio::join!(ticking(0), ticking(1), deleting);
    assert!(rows > 0 && series > 0, "{rows} rows and {series} series were deleted");
    assert_eq!(folder.count(ORPHANS), 0);
    // A connector's newest tick that lost its rows has no target.
    assert_eq!(
        folder.count("SELECT count(*) FROM readings"),
        folder.count("SELECT sum(rows) FROM \"$ticks\" WHERE target IS NOT NULL")
    );
    assert_eq!(
        folder.count("SELECT count(*) FROM readings") as u64 + rows,
        (0..TICKS).map(|n| 2 * names(n).len() as u64).sum::<u64>()
    );
}

#[tokio::test]
async fn space_is_given_back() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "hall").await;
    let names: Vec<String> = (0..5_000).map(|i| format!("a_rather_long_name_of_a_metric_{i}")).collect();
    for n in 0..4 {
        commit(&store, id, n, &names).await;
    }
    commit(&store, id, 4, &["a"]).await;
    let pages = folder.count("PRAGMA page_count");
    let expired = store.expire(nth(4)).await.unwrap();
    assert_eq!((expired.ticks, expired.rows, expired.series), (4, 20_000, 5_000));
    let left = folder.count("PRAGMA page_count");
    assert!(left < pages / 10, "{left} of {pages} pages are left");
    assert_eq!(expired.bytes, u64::try_from((pages - left) * folder.count("PRAGMA page_size")).unwrap());
    assert_eq!(
        folder.data().query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(),
        "ok"
    );
    assert_eq!(folder.rows(), [(nth(4), "a".to_owned())]);
}
