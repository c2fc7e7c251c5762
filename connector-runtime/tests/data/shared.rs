//! Several stores on one folder, as several daemons have it, and several ticks that end at once.

use connector_runtime::store::{Claimed, FinishedTick, Store, StoreError};
use futures_util::future::join_all;

use crate::folder::{Folder, T, claim, commit, connector, end, lease, named, nth, record};

#[tokio::test]
async fn what_one_remembers_gives_way_to_what_another_does() {
    let folder = Folder::new();
    let (a, b) = (folder.open(), folder.open());
    let id = connector(&a, "boiler").await;
    for n in 0..6 {
        let (first, second) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let lease = lease(first, id, nth(n)).await;
        assert!(matches!(claim(second, id, nth(n), false).await, Claimed::Held(_)));
        end(first, lease, Some(named(&["inlet"]))).await;
        assert_eq!(claim(second, id, nth(n), false).await, Claimed::Done);
        assert_eq!(claim(first, id, nth(n), false).await, Claimed::Done);
    }
    // A bucket between others, which a trigger asks for.
    assert_eq!(b.trigger(id, nth(5) + 2_500).await.unwrap(), nth(5) + 2_000);
    commit_at(&a, id, nth(5) + 2_000).await;
    assert_eq!(claim(&b, id, nth(5) + 2_000, true).await, Claimed::Done);
    assert_eq!(claim(&a, id, nth(5) + 2_000, true).await, Claimed::Done);
    commit(&b, id, 6, &["inlet"]).await;
    assert_eq!(folder.rows().len(), 8);

    let held = lease(&a, id, nth(7)).await;
    b.set_active(id, false).await.unwrap();
    end(&a, held, Some(named(&["inlet"]))).await;
    assert_eq!(claim(&a, id, nth(8), false).await, Claimed::Stale);
    b.set_active(id, true).await.unwrap();
    let held = lease(&a, id, nth(8)).await;
    b.delete(id).await.unwrap();
    let lost = FinishedTick { lease: held, record: record(held, 1), rows: None };
    assert!(matches!(a.finish(lost).await, Err(StoreError::LeaseLost)));
}

async fn commit_at(store: &connector_runtime::sqlite::SqliteStore, id: uuid::Uuid, bucket: i64) {
    let Claimed::Granted(lease) = claim(store, id, bucket, true).await else { panic!("not granted") };
    end(store, lease, Some(named(&["inlet"]))).await;
}

#[tokio::test]
async fn one_that_fails_leaves_those_that_end_with_it_alone() {
    let folder = Folder::new();
    let store = folder.open();
    let mut leases = Vec::new();
    for n in 0..20 {
        let id = connector(&store, &format!("boiler-{n}")).await;
        leases.push(lease(&store, id, T).await);
    }
    folder.data().execute_batch(
        "CREATE TRIGGER refuse BEFORE INSERT ON \"readings$samples\" WHEN new.value = 7.0 BEGIN SELECT RAISE(FAIL, 'no'); END",
    ).unwrap();
    let ended = leases.iter().enumerate().map(|(n, lease)| {
        let mut rows = named(&["inlet", "outlet"]);
        if n % 5 == 0 {
            rows.string(1, "bad").real(2, 7.0).end_row();
        }
        let rows = Some((std::sync::Arc::new(crate::folder::schema()), std::sync::Arc::new(rows)));
        store.finish(FinishedTick { lease: *lease, record: record(*lease, 2), rows })
    });
    let failed = join_all(ended).await.iter().filter(|result| result.is_err()).count();
    assert_eq!(failed, 4);
    assert_eq!(folder.rows().len(), 32);
    assert_eq!(folder.count("SELECT count(*) FROM \"$ticks\""), 16);
    assert_eq!(folder.count("SELECT count(*) FROM \"readings$series\" WHERE name = 'bad'"), 0);
    // Their leases are still theirs.
    end(&store, leases[0], Some(named(&["inlet"]))).await;
    assert_eq!(folder.rows().len(), 33);
}
