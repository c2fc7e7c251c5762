//! Connectors: kept, listed, replaced, paused, deleted.

use std::sync::Arc;

use connector_core::{Column, ColumnType, Schema};
use connector_runtime::model::{ConnectorSpec, Outcome, State};
use connector_runtime::store::{Store, StoreError};
use serde_json::json;
use uuid::Uuid;

use super::subject::{INTERVAL, Subject, T, all, named, schema, spec};

conformance!(
    what_is_created_is_kept,
    a_spec_comes_back_as_it_was_given,
    a_name_is_taken_once,
    of_racing_creates_of_one_name_one_wins,
    a_name_is_free_again_after_delete_and_replace,
    lists_come_in_pages_by_id,
    a_replace_keeps_what_the_spec_does_not_say,
    a_replace_may_not_take_another_name,
    a_table_with_other_columns_is_refused,
    a_refused_create_leaves_nothing,
    pausing_twice_is_pausing_once,
    pausing_a_disabled_connector_pauses_it,
    a_deleted_connector_is_unknown,
    a_new_store_is_empty_and_ready,
);

async fn what_is_created_is_kept(store: &Subject) {
    let created = store.connector("a").await;
    assert_eq!(created.spec, spec("a"));
    assert_eq!(created.state, State::Active);
    assert_eq!((&created.disabled_reason, &created.last_error), (&None, &None));
    assert_eq!(created.last_tick, None);
    assert_eq!(created.created_at, created.updated_at);
    assert_eq!(store.get(created.id).await.unwrap(), Some(created.clone()));
    assert_eq!(store.list(None, 10).await.unwrap(), std::slice::from_ref(&created));
    assert_eq!(store.ticks(created.id, 10).await.unwrap(), []);
    assert_eq!(store.get(Uuid::from_u128(1)).await.unwrap(), None);
}

async fn a_spec_comes_back_as_it_was_given(store: &Subject) {
    let odd = ConnectorSpec {
        name: "it's \"odd\"; DROP TABLE x -- é 🦀 %_".to_owned(),
        type_id: "t".to_owned(),
        target_database: "SELECT".to_owned(),
        target_table: "table".to_owned(),
        schedule_ms: 86_400_000,
        config: json!({"": [1, -1.5, 1e300, true, null, {"k": "\u{0}\n"}], "n": u64::MAX}),
    };
    let created = store.create(odd.clone(), &schema()).await.unwrap();
    assert_eq!(store.record(created.id).await.spec, odd);
    assert_eq!(store.assignment(created.id).await.spec, odd);
}

async fn a_name_is_taken_once(store: &Subject) {
    let first = store.connector("a").await;
    let error = store.create(spec("a"), &schema()).await.unwrap_err();
    assert!(matches!(&error, StoreError::NameTaken(name) if name == "a"), "{error:?}");
    assert_eq!(store.list(None, 10).await.unwrap(), [first]);
    // Names that differ in case alone are different names.
    store.connector("A").await;
}

async fn of_racing_creates_of_one_name_one_wins(store: &Subject) {
    let create =
        |store: Arc<dyn Store>| tokio::spawn(async move { store.create(spec("a"), &schema()).await });
    let racers: Vec<_> = (0..8).flat_map(|_| [create(store.shared()), create(store.peer())]).collect();
    let mut won = Vec::new();
    for racer in racers {
        match racer.await.unwrap() {
            Ok(created) => won.push(created),
            Err(error) => assert!(matches!(error, StoreError::NameTaken(_)), "{error:?}"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(store.list(None, 10).await.unwrap(), won);
}

async fn a_name_is_free_again_after_delete_and_replace(store: &Subject) {
    let a = store.connector("a").await;
    store.delete(a.id).await.unwrap();
    let again = store.connector("a").await;
    assert_ne!(again.id, a.id);
    store.replace(again.id, spec("b"), &schema()).await.unwrap();
    store.connector("a").await;
    let error = store.create(spec("b"), &schema()).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken(_)), "{error:?}");
}

async fn lists_come_in_pages_by_id(store: &Subject) {
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(store.connector(&n.to_string()).await.id);
    }
    ids.sort();
    let page = async |after, limit| -> Vec<Uuid> {
        store.list(after, limit).await.unwrap().into_iter().map(|record| record.id).collect()
    };
    assert_eq!(page(None, 100).await, ids);
    assert_eq!(page(None, 3).await, ids[..3]);
    assert_eq!(page(Some(ids[2]), 3).await, ids[3..6]);
    assert_eq!(page(Some(ids[5]), 3).await, ids[6..]);
    assert!(page(Some(ids[6]), 3).await.is_empty());
    assert!(page(None, 0).await.is_empty());
    // The place after a connector outlives the connector.
    store.delete(ids[2]).await.unwrap();
    assert_eq!(page(Some(ids[2]), 2).await, ids[3..5]);
}

async fn a_replace_keeps_what_the_spec_does_not_say(store: &Subject) {
    let a = store.connector("a").await;
    store.fail(a.id, T, Outcome::Transient).await;
    store.set_active(a.id, false).await.unwrap();
    let before = store.record(a.id).await;
    let other = ConnectorSpec {
        target_database: "other".to_owned(),
        target_table: "elsewhere".to_owned(),
        schedule_ms: 60_000,
        config: json!(null),
        ..spec("renamed")
    };
    let after = store.replace(a.id, other.clone(), &schema()).await.unwrap();
    assert_eq!(after.spec, other);
    assert!(after.updated_at >= before.updated_at);
    assert!(after.last_error.is_some() && after.last_tick.is_some());
    let mut expected = before;
    (expected.spec, expected.updated_at) = (other, after.updated_at);
    assert_eq!(after, expected);
    assert_eq!(store.record(a.id).await, after);
    assert_eq!(store.ticks(a.id, 10).await.unwrap().len(), 1);
}

async fn a_replace_may_not_take_another_name(store: &Subject) {
    let a = store.connector("a").await;
    store.connector("b").await;
    let error = store.replace(a.id, spec("b"), &schema()).await.unwrap_err();
    assert!(matches!(&error, StoreError::NameTaken(name) if name == "b"), "{error:?}");
    assert_eq!(store.record(a.id).await, a);
    store.replace(a.id, spec("a"), &schema()).await.unwrap();
    let error = store.replace(Uuid::from_u128(1), spec("c"), &schema()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error:?}");
}

async fn a_table_with_other_columns_is_refused(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, T, named(&["up"])).await;
    let renamed =
        Schema::new([Column::time("timestamp"), Column::value("reading", ColumnType::Real)]).unwrap();
    let error = store.create(spec("b"), &renamed).await.unwrap_err();
    assert!(matches!(&error, StoreError::SchemaMismatch(table) if table == "readings"), "{error:?}");
    let elsewhere = ConnectorSpec { target_table: "elsewhere".to_owned(), ..spec("b") };
    let b = store.create(elsewhere, &renamed).await.unwrap();
    let error = store.replace(b.id, spec("b"), &renamed).await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaMismatch(_)), "{error:?}");
    assert_eq!(store.record(b.id).await, b);
    // The table's columns outlive the connector that brought them.
    store.delete(a.id).await.unwrap();
    let error = store.create(spec("c"), &renamed).await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaMismatch(_)), "{error:?}");
    assert_eq!(store.names(all()).await, ["up"]);
}

async fn a_refused_create_leaves_nothing(store: &Subject) {
    let a = store.connector("a").await;
    let renamed =
        Schema::new([Column::time("timestamp"), Column::value("reading", ColumnType::Real)]).unwrap();
    store.create(spec("b"), &renamed).await.unwrap_err();
    assert_eq!(store.list(None, 10).await.unwrap(), [a]);
    let elsewhere = ConnectorSpec { target_table: "elsewhere".to_owned(), ..spec("a") };
    store.create(elsewhere, &schema()).await.unwrap_err();
    store.connector("b").await;
}

async fn pausing_twice_is_pausing_once(store: &Subject) {
    let a = store.connector("a").await;
    let paused = store.set_active(a.id, false).await.unwrap();
    assert_eq!(paused.state, State::Paused);
    assert_eq!(store.set_active(a.id, false).await.unwrap(), paused);
    assert_eq!(store.record(a.id).await, paused);
    let resumed = store.set_active(a.id, true).await.unwrap();
    assert_eq!(resumed.state, State::Active);
    assert_eq!(store.set_active(a.id, true).await.unwrap(), resumed);
    store.lease(a.id, T).await;
}

async fn pausing_a_disabled_connector_pauses_it(store: &Subject) {
    let a = store.connector("a").await;
    store.fail(a.id, T, Outcome::Config).await;
    assert_eq!(store.record(a.id).await.state, State::Disabled);
    let paused = store.set_active(a.id, false).await.unwrap();
    assert_eq!((paused.state, &paused.disabled_reason), (State::Paused, &None));
    assert!(paused.last_error.is_some());
    assert_eq!(store.record(a.id).await, paused);
}

async fn a_deleted_connector_is_unknown(store: &Subject) {
    let a = store.connector("a").await;
    let b = store.connector("b").await;
    store.commit(a.id, T, named(&["up"])).await;
    store.delete(a.id).await.unwrap();
    assert_eq!(store.get(a.id).await.unwrap(), None);
    assert_eq!(store.list(None, 10).await.unwrap(), [b]);
    let errors = [
        store.delete(a.id).await.unwrap_err(),
        store.replace(a.id, spec("a"), &schema()).await.unwrap_err(),
        store.set_active(a.id, true).await.unwrap_err(),
        store.trigger(a.id, T + INTERVAL).await.unwrap_err(),
        store.ticks(a.id, 10).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::NotFound("connector")), "{error:?}");
    }
}

async fn a_new_store_is_empty_and_ready(store: &Subject) {
    store.ready().await.unwrap();
    assert_eq!(store.list(None, 10).await.unwrap(), []);
    let error = store.rows(all()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound("table")), "{error:?}");
    assert_eq!(store.claim(Uuid::from_u128(1), "runner", &[]).await.unwrap(), []);
    assert!(store.renew(&[]).await.unwrap().is_empty());
}
