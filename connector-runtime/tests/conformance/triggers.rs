//! Triggers: a tick now, for the current bucket or an extra one.

use connector_runtime::model::{Outcome, State};
use connector_runtime::store::{Claimed, LEASE, StoreError};
use uuid::Uuid;

use super::subject::{INTERVAL, OTHER, OWNER, Subject, T, granted, named, schema, spec};

conformance!(
    a_trigger_is_for_the_current_bucket,
    after_a_commit_a_trigger_is_for_this_second,
    a_second_that_committed_is_not_run_again,
    a_bucket_in_flight_is_the_one_asked_for,
    a_trigger_ends_with_its_tick,
    a_trigger_that_has_ended_allows_nothing,
    a_trigger_outlives_its_runner,
    pending_triggers_are_listed_oldest_first,
    what_is_not_active_is_not_triggered,
    pause_and_replace_drop_pending_triggers,
);

async fn pending(store: &Subject, id: Uuid) -> Vec<i64> {
    store.assignment(id).await.triggers.iter().map(|bucket| bucket - T).collect()
}

async fn a_trigger_is_for_the_current_bucket(store: &Subject) {
    let a = store.connector("a").await;
    assert_eq!(store.trigger(a.id, T + 7250).await.unwrap(), T);
    assert_eq!(store.trigger(a.id, T + INTERVAL - 1).await.unwrap(), T);
    assert_eq!(pending(store, a.id).await, [0]);
    assert_eq!(store.record(a.id).await, a);
    let lease = granted(store.claim_as(OWNER, a.id, T, true).await);
    store.land(lease, named(&["up"])).await.unwrap();
    assert_eq!(store.claim_as(OWNER, a.id, T, false).await, Claimed::Done);
}

async fn after_a_commit_a_trigger_is_for_this_second(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, T, named(&["up"])).await;
    assert_eq!(store.trigger(a.id, T + 7250).await.unwrap(), T + 7000);
    assert_eq!(store.trigger(a.id, T + 7999).await.unwrap(), T + 7000);
    assert_eq!(pending(store, a.id).await, [7000]);
    let lease = granted(store.claim_as(OWNER, a.id, T + 7000, true).await);
    assert_eq!(lease.scheduled_for, T + 7000);
    store.land(lease, named(&["up"])).await.unwrap();
    let buckets: Vec<_> =
        store.ticks(a.id, 10).await.unwrap().iter().map(|tick| tick.scheduled_for - T).collect();
    assert_eq!(buckets, [7000, 0]);
}

async fn a_second_that_committed_is_not_run_again(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, T, named(&["up"])).await;
    assert_eq!(store.trigger(a.id, T + 250).await.unwrap(), T);
    assert_eq!(pending(store, a.id).await, [0; 0]);
    store.trigger(a.id, T + 7250).await.unwrap();
    let lease = granted(store.claim_as(OWNER, a.id, T + 7000, true).await);
    store.land(lease, named(&["up"])).await.unwrap();
    assert_eq!(store.trigger(a.id, T + 7900).await.unwrap(), T + 7000);
    assert_eq!(pending(store, a.id).await, [0; 0]);
    assert_eq!(store.claim_as(OWNER, a.id, T + 7000, true).await, Claimed::Done);
    assert_eq!(store.trigger(a.id, T + 8000).await.unwrap(), T + 8000);
    assert_eq!(pending(store, a.id).await, [8000]);
}

async fn a_bucket_in_flight_is_the_one_asked_for(store: &Subject) {
    let a = store.connector("a").await;
    let lease = store.lease(a.id, T).await;
    assert_eq!(store.trigger(a.id, T + 1).await.unwrap(), T);
    store.land(lease, named(&["up"])).await.unwrap();
    assert_eq!(pending(store, a.id).await, [0; 0]);
}

async fn a_trigger_ends_with_its_tick(store: &Subject) {
    for (name, outcome) in [("a", Outcome::Transient), ("b", Outcome::Permanent), ("c", Outcome::Committed)] {
        let id = store.connector(name).await.id;
        store.trigger(id, T).await.unwrap();
        let lease = granted(store.claim_as(OWNER, id, T, true).await);
        assert_eq!(pending(store, id).await, [0]);
        store.end(lease, outcome).await.unwrap();
        assert_eq!(pending(store, id).await, [0; 0], "{outcome:?}");
    }
}

async fn a_trigger_that_has_ended_allows_nothing(store: &Subject) {
    let a = store.connector("a").await;
    store.trigger(a.id, T).await.unwrap();
    let lease = granted(store.claim_as(OWNER, a.id, T, true).await);
    store.end(lease, Outcome::Transient).await.unwrap();
    // A runner that has not heard of the end yet does not run the bucket once more.
    assert_eq!(store.claim_as(OTHER, a.id, T, true).await, Claimed::Done);
    assert_eq!(store.trigger(a.id, T + 1).await.unwrap(), T);
    granted(store.claim_as(OTHER, a.id, T, true).await);
}

async fn a_trigger_outlives_its_runner(store: &Subject) {
    let a = store.connector("a").await;
    store.trigger(a.id, T).await.unwrap();
    let lease = granted(store.claim_as(OWNER, a.id, T, true).await);
    store.end(lease, Outcome::Abandoned).await.unwrap();
    assert_eq!(pending(store, a.id).await, [0]);
    granted(store.claim_as(OWNER, a.id, T, true).await);
    store.pass(LEASE).await;
    assert_eq!(pending(store, a.id).await, [0]);
    granted(store.claim_as(OTHER, a.id, T, true).await);
}

async fn pending_triggers_are_listed_oldest_first(store: &Subject) {
    let a = store.connector("a").await;
    store.trigger(a.id, T + INTERVAL).await.unwrap();
    store.trigger(a.id, T + 3 * INTERVAL).await.unwrap();
    store.trigger(a.id, T + 1).await.unwrap();
    assert_eq!(pending(store, a.id).await, [0, INTERVAL, 3 * INTERVAL]);
}

async fn what_is_not_active_is_not_triggered(store: &Subject) {
    let a = store.connector("a").await;
    store.set_active(a.id, false).await.unwrap();
    let error = store.trigger(a.id, T).await.unwrap_err();
    assert!(matches!(error, StoreError::NotActive(State::Paused)), "{error:?}");
    store.set_active(a.id, true).await.unwrap();
    store.fail(a.id, T, Outcome::Config).await;
    let error = store.trigger(a.id, T).await.unwrap_err();
    assert!(matches!(error, StoreError::NotActive(State::Disabled)), "{error:?}");
    let error = store.trigger(Uuid::from_u128(1), T).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound("connector")), "{error:?}");
}

async fn pause_and_replace_drop_pending_triggers(store: &Subject) {
    let a = store.connector("a").await;
    store.trigger(a.id, T).await.unwrap();
    store.set_active(a.id, false).await.unwrap();
    assert_eq!(pending(store, a.id).await, [0; 0]);
    store.set_active(a.id, true).await.unwrap();
    assert_eq!(pending(store, a.id).await, [0; 0]);
    store.trigger(a.id, T).await.unwrap();
    store.replace(a.id, spec("a"), &schema()).await.unwrap();
    assert_eq!(pending(store, a.id).await, [0; 0]);
    // Nor does what was asked for before a config error come back with the connector.
    store.trigger(a.id, T + INTERVAL).await.unwrap();
    store.fail(a.id, T, Outcome::Config).await;
    store.set_active(a.id, true).await.unwrap();
    assert_eq!(pending(store, a.id).await, [0; 0]);
}
