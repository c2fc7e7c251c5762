//! Changes: what runners learn, and when.

use connector_runtime::model::{ConnectorSpec, Outcome, State};
use connector_runtime::store::{Assignment, Change, Revision};
use uuid::Uuid;

use super::subject::{INTERVAL, Subject, T, named, schema, soon, spec};

conformance!(
    everything_is_told_once,
    each_change_is_told,
    a_connector_that_changed_often_is_told_once,
    a_deleted_connector_is_gone,
    what_changed_before_waiting_is_not_missed,
    waiters_wake_through_every_handle,
    a_trigger_wakes_runners,
    a_config_error_wakes_runners,
    who_reads_everything_learns_of_each_last_tick,
);

/// What changed after `since`, which it moves on.
async fn news(store: &Subject, since: &mut Revision) -> Vec<Change> {
    let changes = store.changes(*since).await.unwrap();
    assert!(changes.revision >= *since);
    *since = changes.revision;
    changes.connectors
}

#[track_caller]
fn one(mut changes: Vec<Change>) -> Assignment {
    assert_eq!(changes.len(), 1, "{changes:?}");
    match changes.pop() {
        Some(Change::Present(assignment)) => *assignment,
        other => panic!("not present: {other:?}"),
    }
}

async fn everything_is_told_once(store: &Subject) {
    assert!(store.changes(Revision::default()).await.unwrap().connectors.is_empty());
    let mut ids = [store.connector("a").await.id, store.connector("b").await.id];
    let mut since = Revision::default();
    let mut told: Vec<Uuid> = news(store, &mut since)
        .await
        .into_iter()
        .map(|change| match change {
            Change::Present(assignment) => assignment.id,
            Change::Gone(id) => panic!("{id} is gone"),
        })
        .collect();
    ids.sort();
    told.sort();
    assert_eq!(told, ids);
    assert!(news(store, &mut since).await.is_empty());
}

async fn each_change_is_told(store: &Subject) {
    let mut since = store.changes(Revision::default()).await.unwrap().revision;
    let a = store.connector("a").await;
    let created = one(news(store, &mut since).await);
    assert_eq!((created.id, &created.spec, created.state), (a.id, &spec("a"), State::Active));
    assert!(created.triggers.is_empty() && created.leased.is_none());

    let other = ConnectorSpec { schedule_ms: 60_000, ..spec("b") };
    store.replace(a.id, other.clone(), &schema()).await.unwrap();
    let replaced = one(news(store, &mut since).await);
    assert_eq!(replaced.spec, other);
    assert!(replaced.generation > created.generation);

    store.trigger(a.id, T).await.unwrap();
    let triggered = one(news(store, &mut since).await);
    assert_eq!((triggered.triggers, triggered.generation), (vec![T], replaced.generation));

    store.set_active(a.id, false).await.unwrap();
    let paused = one(news(store, &mut since).await);
    assert_eq!((paused.state, paused.generation), (State::Paused, replaced.generation));
    store.set_active(a.id, true).await.unwrap();
    assert_eq!(one(news(store, &mut since).await).state, State::Active);

    let lease = store.lease(a.id, T).await;
    news(store, &mut since).await;
    store.end(lease, Outcome::Config).await.unwrap();
    assert_eq!(one(news(store, &mut since).await).state, State::Disabled);
}

async fn a_connector_that_changed_often_is_told_once(store: &Subject) {
    let a = store.connector("a").await;
    store.connector("b").await;
    let mut since = store.changes(Revision::default()).await.unwrap().revision;
    store.set_active(a.id, false).await.unwrap();
    store.set_active(a.id, true).await.unwrap();
    store.trigger(a.id, T).await.unwrap();
    store.replace(a.id, spec("c"), &schema()).await.unwrap();
    store.trigger(a.id, T + INTERVAL).await.unwrap();
    let told = one(news(store, &mut since).await);
    assert_eq!((told.id, told.spec.name.as_str(), told.state), (a.id, "c", State::Active));
    assert_eq!(told.triggers, [T + INTERVAL]);
}

async fn a_deleted_connector_is_gone(store: &Subject) {
    let a = store.connector("a").await;
    store.connector("b").await;
    let mut since = store.changes(Revision::default()).await.unwrap().revision;
    store.set_active(a.id, false).await.unwrap();
    store.delete(a.id).await.unwrap();
    let told = news(store, &mut since).await;
    assert!(matches!(told[..], [Change::Gone(id)] if id == a.id), "{told:?}");
    assert!(news(store, &mut since).await.is_empty());
    // Who reads everything needs to know of the living alone.
    let mut begin = Revision::default();
    assert_eq!(one(news(store, &mut begin).await).spec.name, "b");
}

async fn what_changed_before_waiting_is_not_missed(store: &Subject) {
    let since = store.changes(Revision::default()).await.unwrap().revision;
    store.connector("a").await;
    soon(store.changed(since)).await;
    soon(store.changed(since)).await;
}

async fn waiters_wake_through_every_handle(store: &Subject) {
    let a = store.connector("a").await;
    let since = store.changes(Revision::default()).await.unwrap().revision;
    let peer = store.peer();
    let woken = async {
        tokio::join!(store.changed(since), store.changed(since), peer.changed(since));
    };
    let ((), deleted) = soon(async { tokio::join!(woken, store.delete(a.id)) }).await;
    deleted.unwrap();
    assert!(peer.changes(since).await.unwrap().revision > since);
}

async fn a_trigger_wakes_runners(store: &Subject) {
    let a = store.connector("a").await;
    let since = store.changes(Revision::default()).await.unwrap().revision;
    let ((), bucket) = soon(async { tokio::join!(store.changed(since), store.trigger(a.id, T)) }).await;
    assert_eq!(bucket.unwrap(), T);
}

async fn a_config_error_wakes_runners(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, T, named(&["up"])).await;
    let lease = store.lease(a.id, T + INTERVAL).await;
    let since = store.changes(Revision::default()).await.unwrap().revision;
    let ((), ended) =
        soon(async { tokio::join!(store.changed(since), store.end(lease, Outcome::Config)) }).await;
    ended.unwrap();
}

async fn who_reads_everything_learns_of_each_last_tick(store: &Subject) {
    let a = store.connector("a").await;
    assert_eq!(store.assignment(a.id).await.last_tick, None);
    for (bucket, outcome) in [(T, Outcome::Committed), (T + INTERVAL, Outcome::Transient)] {
        let lease = store.lease(a.id, bucket).await;
        store.end(lease, outcome).await.unwrap();
        let told = store.assignment(a.id).await.last_tick.unwrap();
        assert_eq!((told.scheduled_for, told.outcome), (bucket, outcome));
    }
}
