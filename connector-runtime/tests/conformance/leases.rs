//! Leases: one runner a connector, and nothing for a runner that has lost its own.

use std::time::Duration;

use connector_runtime::model::{Outcome, State};
use connector_runtime::store::{Claim, Claimed, FinishedTick, LEASE, Lease, StoreError};
use uuid::Uuid;

use super::subject::{
    HALF, INTERVAL, OTHER, OWNER, Subject, T, all, granted, held, landing, named, record, schema, spec,
};

conformance!(
    a_connector_is_leased_to_one_runner,
    a_lease_is_seen_through_every_handle,
    of_racing_claims_one_is_granted,
    claims_are_answered_in_order,
    claims_for_what_is_not_so_are_stale,
    a_renewed_lease_lasts_a_full_term_again,
    an_expired_lease_is_lost,
    every_part_of_a_lease_counts,
    who_was_taken_over_writes_nothing,
    fences_grow_with_each_claim,
    a_tick_in_flight_survives_a_pause,
    a_tick_in_flight_ends_with_its_spec,
    a_tick_in_flight_ends_with_its_connector,
    runners_are_told_what_is_leased,
);

async fn a_connector_is_leased_to_one_runner(store: &Subject) {
    let a = store.connector("a").await;
    let b = store.connector("b").await;
    let lease = store.lease(a.id, T).await;
    assert_eq!((lease.connector, lease.scheduled_for, lease.owner), (a.id, T, OWNER));
    for (owner, bucket) in [(OTHER, T), (OTHER, T + INTERVAL), (OWNER, T), (OWNER, T + INTERVAL)] {
        let remaining = held(store.claim_as(owner, a.id, bucket, false).await);
        assert!(!remaining.is_zero() && remaining <= LEASE, "{remaining:?}");
    }
    // Another connector is another matter, and a lease ends with its tick.
    granted(store.claim_as(OTHER, b.id, T, false).await);
    store.land(lease, named(&["up"])).await.unwrap();
    granted(store.claim_as(OTHER, a.id, T + INTERVAL, false).await);
}

async fn a_lease_is_seen_through_every_handle(store: &Subject) {
    let a = store.connector("a").await;
    let peer = store.peer();
    let lease = store.lease(a.id, T).await;
    let claim = Claim { connector: a.id, generation: 0, scheduled_for: T, triggered: false };
    let claim = Claim { generation: store.assignment(a.id).await.generation, ..claim };
    held(peer.claim(OTHER, "other", &[claim]).await.unwrap()[0]);
    assert_eq!(peer.renew(&[lease]).await.unwrap(), [true]);
    peer.finish(landing(lease, schema(), named(&["up"]))).await.unwrap();
    assert_eq!(peer.claim(OTHER, "other", &[claim]).await.unwrap(), [Claimed::Done]);
    assert_eq!(store.names(all()).await, ["up"]);
}

async fn of_racing_claims_one_is_granted(store: &Subject) {
    let a = store.connector("a").await;
    let generation = store.assignment(a.id).await.generation;
    let claim = Claim { connector: a.id, generation, scheduled_for: T, triggered: false };
    let racers: Vec<_> = (0..16_u128)
        .map(|n| (Uuid::from_u128(n), if n % 2 == 0 { store.shared() } else { store.peer() }))
        .map(|(owner, store)| tokio::spawn(async move { store.claim(owner, "racer", &[claim]).await }))
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap().unwrap()[0] {
            Claimed::Granted(_) => won += 1,
            other => assert!(matches!(other, Claimed::Held(_)), "{other:?}"),
        }
    }
    assert_eq!(won, 1);
}

async fn claims_are_answered_in_order(store: &Subject) {
    let a = store.connector("a").await;
    let b = store.connector("b").await;
    let c = store.connector("c").await;
    store.commit(b.id, T, named(&["up"])).await;
    let generation = store.assignment(a.id).await.generation;
    let claim = |connector| Claim { connector, generation, scheduled_for: T, triggered: false };
    let claims = [claim(Uuid::from_u128(1)), claim(a.id), claim(a.id), claim(b.id), claim(c.id)];
    let answers = store.claim(OWNER, "runner", &claims).await.unwrap();
    assert_eq!(answers.len(), claims.len());
    assert_eq!(answers[0], Claimed::Stale);
    assert_eq!(granted(answers[1]).connector, a.id);
    held(answers[2]);
    assert_eq!(answers[3], Claimed::Done);
    assert_eq!(granted(answers[4]).connector, c.id);

    let leases = [granted(answers[4]), Lease { owner: OTHER, ..granted(answers[1]) }, granted(answers[1])];
    assert_eq!(store.renew(&leases).await.unwrap(), [true, false, true]);
}

async fn claims_for_what_is_not_so_are_stale(store: &Subject) {
    let a = store.connector("a").await;
    let old = store.assignment(a.id).await.generation;
    store.replace(a.id, spec("a"), &schema()).await.unwrap();
    let new = store.assignment(a.id).await.generation;
    assert!(new > old);
    let claim = |generation| Claim { connector: a.id, generation, scheduled_for: T, triggered: false };
    let answers = store.claim(OWNER, "runner", &[claim(old), claim(new + 1)]).await.unwrap();
    assert_eq!(answers, [Claimed::Stale, Claimed::Stale]);

    store.set_active(a.id, false).await.unwrap();
    assert_eq!(store.claim_as(OWNER, a.id, T, false).await, Claimed::Stale);
    assert_eq!(store.claim_as(OWNER, a.id, T, true).await, Claimed::Stale);
    store.set_active(a.id, true).await.unwrap();
    store.fail(a.id, T, Outcome::Config).await;
    assert_eq!(store.claim_as(OWNER, a.id, T + INTERVAL, false).await, Claimed::Stale);
    store.delete(a.id).await.unwrap();
    assert_eq!(store.claim(OWNER, "runner", &[claim(new)]).await.unwrap(), [Claimed::Stale]);
}

async fn a_renewed_lease_lasts_a_full_term_again(store: &Subject) {
    let a = store.connector("a").await;
    let lease = store.lease(a.id, T).await;
    store.pass(HALF).await;
    let before = held(store.claim_as(OTHER, a.id, T, false).await);
    assert!(before <= LEASE - HALF, "{before:?}");
    assert_eq!(store.renew(&[lease]).await.unwrap(), [true]);
    store.pass(HALF + HALF / 2).await;
    let after = held(store.claim_as(OTHER, a.id, T, false).await);
    assert!(after <= LEASE - HALF - HALF / 2, "{after:?}");
    store.land(lease, named(&["up"])).await.unwrap();
    assert_eq!(store.names(all()).await, ["up"]);
}

async fn an_expired_lease_is_lost(store: &Subject) {
    let a = store.connector("a").await;
    let lease = store.lease(a.id, T).await;
    store.pass(LEASE).await;
    assert_eq!(store.renew(&[lease]).await.unwrap(), [false]);
    // Nobody has taken over, and yet there is no lease any more.
    let error = store.land(lease, named(&["up"])).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    for outcome in [Outcome::Transient, Outcome::Abandoned] {
        assert!(matches!(store.end(lease, outcome).await.unwrap_err(), StoreError::LeaseLost));
    }
    assert_eq!(store.names(all()).await, [""; 0]);
    assert_eq!(store.ticks(a.id, 10).await.unwrap(), []);
    granted(store.claim_as(OTHER, a.id, T, false).await);
}

async fn every_part_of_a_lease_counts(store: &Subject) {
    let a = store.connector("a").await;
    let b = store.connector("b").await;
    let lease = store.lease(a.id, T).await;
    let wrong = [
        Lease { fence: lease.fence + 1, ..lease },
        Lease { fence: lease.fence.wrapping_sub(1), ..lease },
        Lease { owner: OTHER, ..lease },
        Lease { scheduled_for: T + INTERVAL, ..lease },
        Lease { connector: b.id, ..lease },
        Lease { connector: Uuid::from_u128(1), ..lease },
    ];
    assert_eq!(store.renew(&wrong).await.unwrap(), [false; 6]);
    for lease in wrong {
        let error = store.land(lease, named(&["up"])).await.unwrap_err();
        assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    }
    assert_eq!(store.names(all()).await, [""; 0]);
    assert_eq!(store.renew(&[lease]).await.unwrap(), [true]);
    store.land(lease, named(&["up"])).await.unwrap();
    // It ended with its tick.
    assert_eq!(store.renew(&[lease]).await.unwrap(), [false]);
    let error = store.land(lease, named(&["up"])).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    assert_eq!(store.names(all()).await, ["up"]);
}

async fn who_was_taken_over_writes_nothing(store: &Subject) {
    let a = store.connector("a").await;
    let lost = store.lease(a.id, T).await;
    store.pass(LEASE + Duration::from_secs(60)).await;
    let lease = granted(store.claim_as(OTHER, a.id, T, false).await);
    assert!(lease.fence > lost.fence);
    let before = store.record(a.id).await;
    let error = store.land(lost, named(&["stale"])).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    for outcome in [Outcome::Transient, Outcome::Permanent, Outcome::Config, Outcome::Abandoned] {
        assert!(matches!(store.end(lost, outcome).await.unwrap_err(), StoreError::LeaseLost));
    }
    assert_eq!(store.renew(&[lost]).await.unwrap(), [false]);
    assert_eq!(store.record(a.id).await, before);
    assert_eq!(store.ticks(a.id, 10).await.unwrap(), []);
    assert_eq!(store.names(all()).await, [""; 0]);

    store.land(lease, named(&["fresh"])).await.unwrap();
    assert_eq!(store.names(all()).await, ["fresh"]);
    let error = store.land(lost, named(&["stale"])).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    assert_eq!(store.names(all()).await, ["fresh"]);
}

async fn fences_grow_with_each_claim(store: &Subject) {
    let a = store.connector("a").await;
    let mut fences = Vec::new();
    for (bucket, outcome) in [
        (T, Outcome::Abandoned),
        (T, Outcome::Transient),
        (T + INTERVAL, Outcome::Permanent),
        (T + 2 * INTERVAL, Outcome::Committed),
    ] {
        let lease = store.lease(a.id, bucket).await;
        fences.push(lease.fence);
        store.end(lease, outcome).await.unwrap();
    }
    let dying = store.lease(a.id, T + 3 * INTERVAL).await;
    store.replace(a.id, spec("a"), &schema()).await.unwrap();
    let last = store.lease(a.id, T + 3 * INTERVAL).await;
    fences.extend([dying.fence, last.fence]);
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
}

async fn a_tick_in_flight_survives_a_pause(store: &Subject) {
    let a = store.connector("a").await;
    let lease = store.lease(a.id, T).await;
    store.set_active(a.id, false).await.unwrap();
    assert_eq!(store.renew(&[lease]).await.unwrap(), [true]);
    store.land(lease, named(&["up"])).await.unwrap();
    let after = store.record(a.id).await;
    assert_eq!(after.state, State::Paused);
    assert_eq!(after.last_tick.unwrap().outcome, Outcome::Committed);
    assert_eq!(store.names(all()).await, ["up"]);
}

async fn a_tick_in_flight_ends_with_its_spec(store: &Subject) {
    let a = store.connector("a").await;
    let lost = store.lease(a.id, T).await;
    store.replace(a.id, spec("a"), &schema()).await.unwrap();
    assert_eq!(store.renew(&[lost]).await.unwrap(), [false]);
    let error = store.land(lost, named(&["old"])).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    // The connector is free at once for the new spec, the same bucket included.
    let lease = granted(store.claim_as(OTHER, a.id, T, false).await);
    store.land(lease, named(&["new"])).await.unwrap();
    assert_eq!(store.names(all()).await, ["new"]);
}

async fn a_tick_in_flight_ends_with_its_connector(store: &Subject) {
    let a = store.connector("a").await;
    let lost = store.lease(a.id, T).await;
    store.delete(a.id).await.unwrap();
    assert_eq!(store.renew(&[lost]).await.unwrap(), [false]);
    let error = store.land(lost, named(&["old"])).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    // A new connector of that name is another one.
    let again = store.connector("a").await;
    let lease = store.lease(again.id, T).await;
    let record = record(&lost, Outcome::Committed);
    let error = store.finish(FinishedTick { lease: lost, record, rows: None }).await;
    assert!(matches!(error.unwrap_err(), StoreError::LeaseLost));
    store.land(lease, named(&["new"])).await.unwrap();
    assert_eq!(store.names(all()).await, ["new"]);
}

async fn runners_are_told_what_is_leased(store: &Subject) {
    let a = store.connector("a").await;
    assert_eq!(store.assignment(a.id).await.leased, None);
    let lease = store.lease(a.id, T).await;
    let (bucket, remaining) = store.assignment(a.id).await.leased.unwrap();
    assert!(bucket == T && !remaining.is_zero() && remaining <= LEASE, "{bucket} {remaining:?}");
    store.pass(LEASE).await;
    assert_eq!(store.assignment(a.id).await.leased, Some((T, Duration::ZERO)));
    assert!(store.land(lease, named(&["up"])).await.is_err());
    let lease = store.lease(a.id, T).await;
    store.land(lease, named(&["up"])).await.unwrap();
    assert_eq!(store.assignment(a.id).await.leased, None);
}
