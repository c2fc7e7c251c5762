//! Ticks: how each ends, what is recorded of it, and which buckets are done with.

use connector_runtime::model::{ConnectorSpec, Outcome, State};
use connector_runtime::store::{Claimed, FinishedTick, LEASE, StoreError};

use super::subject::{INTERVAL, OTHER, OWNER, Subject, T, all, granted, named, record, schema, spec};

conformance!(
    a_record_comes_back_as_it_was_given,
    a_bucket_commits_once,
    a_bucket_that_committed_is_done_whatever_the_table,
    a_bucket_that_failed_is_done_unless_asked_for,
    a_config_error_disables,
    the_last_error_stays_until_a_commit,
    a_tick_given_back_may_be_claimed_again,
    a_tick_taken_over_is_recorded_as_abandoned,
    a_bucket_taken_over_is_not_abandoned,
    ticks_are_listed_newest_bucket_first,
    a_bucket_has_one_record,
);

async fn a_record_comes_back_as_it_was_given(store: &Subject) {
    let a = store.connector("a").await;
    let lease = store.lease(a.id, T + 250).await;
    let mut given = record(&lease, Outcome::Permanent);
    given.attempts = u32::MAX;
    given.error = Some("line 3: \u{1F980} '\"\\\u{1}\n\ttail".to_owned());
    given.runner = "host-7 'é'".to_owned();
    store.finish(FinishedTick { lease, record: given.clone(), rows: None }).await.unwrap();
    assert_eq!(store.ticks(a.id, 10).await.unwrap(), [given.clone()]);
    let after = store.record(a.id).await;
    assert_eq!(after.last_error, given.error);
    assert_eq!(after.last_tick, Some(given));
    assert_eq!((after.state, after.updated_at), (a.state, a.updated_at));
}

async fn a_bucket_commits_once(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, T, named(&["up", "load"])).await;
    for triggered in [false, true] {
        assert_eq!(store.claim_as(OWNER, a.id, T, triggered).await, Claimed::Done);
        assert_eq!(store.claim_as(OTHER, a.id, T, triggered).await, Claimed::Done);
    }
    let ticks = store.ticks(a.id, 10).await.unwrap();
    assert_eq!(ticks.len(), 1);
    assert_eq!((ticks[0].outcome, ticks[0].rows, &ticks[0].error), (Outcome::Committed, 2, &None));
    // A tick without rows commits like any other.
    store.commit(a.id, T + INTERVAL, named(&[])).await;
    assert_eq!(store.claim_as(OWNER, a.id, T + INTERVAL, false).await, Claimed::Done);
    assert_eq!(store.names(all()).await.len(), 2);
}

async fn a_bucket_that_committed_is_done_whatever_the_table(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, T, named(&["up"])).await;
    let moved = ConnectorSpec {
        target_database: "other".to_owned(),
        target_table: "elsewhere".to_owned(),
        ..spec("a")
    };
    store.replace(a.id, moved, &schema()).await.unwrap();
    assert_eq!(store.claim_as(OWNER, a.id, T, false).await, Claimed::Done);
    store.commit(a.id, T + INTERVAL, named(&["up"])).await;
    let buckets: Vec<_> =
        store.ticks(a.id, 10).await.unwrap().iter().map(|tick| tick.scheduled_for).collect();
    assert_eq!(buckets, [T + INTERVAL, T]);
}

async fn a_bucket_that_failed_is_done_unless_asked_for(store: &Subject) {
    for (name, outcome) in [("a", Outcome::Transient), ("b", Outcome::Permanent)] {
        let id = store.connector(name).await.id;
        store.fail(id, T, outcome).await;
        assert_eq!(store.claim_as(OWNER, id, T, false).await, Claimed::Done);
        assert_eq!(store.record(id).await.state, State::Active);
        assert_eq!(store.trigger(id, T + 1).await.unwrap(), T);
        assert_eq!(store.claim_as(OWNER, id, T, false).await, Claimed::Done);
        let lease = granted(store.claim_as(OWNER, id, T, true).await);
        store.land(lease, named(&[name])).await.unwrap();
        assert_eq!(store.claim_as(OWNER, id, T, true).await, Claimed::Done);
        store.lease(id, T + INTERVAL).await;
    }
    assert_eq!(store.names(all()).await.len(), 2);
}

async fn a_config_error_disables(store: &Subject) {
    let a = store.connector("a").await;
    let lease = store.lease(a.id, T).await;
    let given = record(&lease, Outcome::Config);
    store.end(lease, Outcome::Config).await.unwrap();
    let after = store.record(a.id).await;
    assert_eq!(after.state, State::Disabled);
    assert_eq!((&after.disabled_reason, &after.last_error), (&given.error, &given.error));
    assert_eq!(after.last_tick, Some(given.clone()));
    assert_eq!(after.updated_at, a.updated_at);
    assert_eq!(store.assignment(a.id).await.state, State::Disabled);

    let resumed = store.set_active(a.id, true).await.unwrap();
    assert_eq!((resumed.state, &resumed.disabled_reason), (State::Active, &None));
    assert_eq!(resumed.last_error, given.error);
    assert_eq!(store.claim_as(OWNER, a.id, T, false).await, Claimed::Done);
    store.commit(a.id, T + INTERVAL, named(&["up"])).await;
    assert_eq!(store.record(a.id).await.last_error, None);
}

async fn the_last_error_stays_until_a_commit(store: &Subject) {
    let a = store.connector("a").await;
    let mut expected = None;
    let outcomes = [
        Outcome::Transient,
        Outcome::Permanent,
        Outcome::Abandoned,
        Outcome::Transient,
        Outcome::Committed,
        Outcome::Abandoned,
    ];
    for (bucket, outcome) in (T..).step_by(INTERVAL as usize).zip(outcomes) {
        let lease = store.lease(a.id, bucket).await;
        let given = record(&lease, outcome);
        store.end(lease, outcome).await.unwrap();
        match outcome {
            Outcome::Committed => expected = None,
            // Nothing is wrong with the source of a tick that was given back.
            Outcome::Abandoned => {}
            _ => expected.clone_from(&given.error),
        }
        let after = store.record(a.id).await;
        assert_eq!(after.last_error, expected, "{outcome:?}");
        assert_eq!(after.last_tick, Some(given));
        assert_eq!(after.disabled_reason, None);
    }
}

async fn a_tick_given_back_may_be_claimed_again(store: &Subject) {
    let a = store.connector("a").await;
    let lease = store.lease(a.id, T).await;
    store.end(lease, Outcome::Abandoned).await.unwrap();
    assert_eq!(store.ticks(a.id, 10).await.unwrap()[0].outcome, Outcome::Abandoned);
    assert_eq!(store.assignment(a.id).await.leased, None);
    let lease = granted(store.claim_as(OTHER, a.id, T, false).await);
    store.land(lease, named(&["up"])).await.unwrap();
    let ticks = store.ticks(a.id, 10).await.unwrap();
    assert_eq!((ticks.len(), ticks[0].outcome), (1, Outcome::Committed));
    assert_eq!(store.names(all()).await, ["up"]);
}

async fn a_tick_taken_over_is_recorded_as_abandoned(store: &Subject) {
    let a = store.connector("a").await;
    let dead = store.lease(a.id, T).await;
    store.pass(LEASE).await;
    assert_eq!(store.ticks(a.id, 10).await.unwrap(), []);
    let lease = granted(store.claim_as(OTHER, a.id, T + INTERVAL, false).await);
    let ticks = store.ticks(a.id, 10).await.unwrap();
    assert_eq!(ticks.len(), 1);
    let abandoned = &ticks[0];
    assert_eq!((abandoned.scheduled_for, abandoned.outcome), (T, Outcome::Abandoned));
    assert_eq!((abandoned.rows, abandoned.runner.as_str()), (0, "runner"));
    assert!(abandoned.error.is_some() && abandoned.started_at <= abandoned.finished_at);
    let after = store.record(a.id).await;
    assert_eq!((after.last_error, after.last_tick.as_ref()), (None, Some(abandoned)));

    assert!(matches!(store.land(dead, named(&["stale"])).await.unwrap_err(), StoreError::LeaseLost));
    store.land(lease, named(&["up"])).await.unwrap();
    // It never ran to its end, so it may still be run.
    store.lease(a.id, T).await;
}

async fn a_bucket_taken_over_is_not_abandoned(store: &Subject) {
    let a = store.connector("a").await;
    store.lease(a.id, T).await;
    store.pass(LEASE).await;
    let lease = granted(store.claim_as(OTHER, a.id, T, false).await);
    assert_eq!(store.ticks(a.id, 10).await.unwrap(), []);
    store.land(lease, named(&["up"])).await.unwrap();
    let ticks = store.ticks(a.id, 10).await.unwrap();
    assert_eq!((ticks.len(), ticks[0].outcome), (1, Outcome::Committed));
}

async fn ticks_are_listed_newest_bucket_first(store: &Subject) {
    let a = store.connector("a").await;
    let b = store.connector("b").await;
    let outcomes = [Outcome::Committed, Outcome::Transient, Outcome::Permanent, Outcome::Committed];
    for (bucket, outcome) in (T..).step_by(INTERVAL as usize).zip(outcomes) {
        let lease = store.lease(a.id, bucket).await;
        store.end(lease, outcome).await.unwrap();
    }
    store.commit(b.id, T, named(&["up"])).await;
    let list = async |limit| -> Vec<_> {
        let ticks = store.ticks(a.id, limit).await.unwrap();
        ticks.iter().map(|tick| ((tick.scheduled_for - T) / INTERVAL, tick.outcome)).collect()
    };
    let expected: Vec<_> = [0, 1, 2, 3].into_iter().zip(outcomes).rev().collect();
    assert_eq!(list(100).await, expected);
    assert_eq!(list(2).await, expected[..2]);
    assert_eq!(list(0).await, []);
    assert_eq!(store.ticks(b.id, 100).await.unwrap().len(), 1);
}

async fn a_bucket_has_one_record(store: &Subject) {
    let a = store.connector("a").await;
    store.fail(a.id, T, Outcome::Transient).await;
    store.trigger(a.id, T).await.unwrap();
    let lease = granted(store.claim_as(OWNER, a.id, T, true).await);
    store.end(lease, Outcome::Permanent).await.unwrap();
    let ticks = store.ticks(a.id, 10).await.unwrap();
    assert_eq!(ticks, [record(&lease, Outcome::Permanent)]);
}
