//! Rows: all of a tick or nothing, read newest first.

use connector_core::{Column, ColumnType, Rows, Schema};
use connector_runtime::model::{ConnectorSpec, Millis, Outcome};
use connector_runtime::store::{Cell, RowQuery, StoreError};

use super::subject::{INTERVAL, Subject, T, all, drain, landing, named, schema, spec};

conformance!(
    rows_come_back_as_they_were_written,
    what_is_not_finite_and_what_was_not_written_is_null,
    text_and_maps_come_back_as_they_were_written,
    the_columns_are_the_schemas,
    every_row_of_a_series_that_comes_twice_is_kept,
    series_change_from_tick_to_tick,
    newest_ticks_come_first_up_to_the_limit,
    since_is_included_and_until_is_not,
    rows_of_a_failed_tick_are_not_there,
    rows_of_other_columns_are_refused_whole,
    connectors_share_a_table_without_clashing,
    tables_and_databases_are_apart,
    the_case_of_a_tables_name_makes_no_difference,
    a_table_without_keys_keeps_its_rows,
    a_known_table_is_empty_and_an_unknown_one_unknown,
    rows_outlive_their_connector,
    part_of_a_tick_is_never_seen,
    a_reader_may_leave_early,
);

/// The time of a tick so many intervals after [`T`].
fn at(n: i64) -> Millis {
    T + n * INTERVAL
}

async fn rows_come_back_as_they_were_written(store: &Subject) {
    let a = store.connector("a").await;
    let mut rows = Rows::new(&schema());
    rows.string(1, "up").real(2, -1.5).entry(3, "job", "node").entry(3, "a", "b");
    rows.timestamp(4, T - 1).string(5, "fine").entry(6, "k", "v").end_row();
    store.commit(a.id, T + 250, rows).await;
    let expected = vec![
        Cell::Timestamp(T + 250),
        Cell::Text("up".into()),
        Cell::Real(-1.5),
        Cell::Json(r#"{"job":"node","a":"b"}"#.into()),
        Cell::Timestamp(T - 1),
        Cell::Text("fine".into()),
        Cell::Json(r#"{"k":"v"}"#.into()),
    ];
    assert_eq!(store.read(all()).await, [expected]);
}

async fn what_is_not_finite_and_what_was_not_written_is_null(store: &Subject) {
    let a = store.connector("a").await;
    let values =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.1, -1e15];
    for (bucket, value) in (0..).map(at).zip(values) {
        let mut rows = Rows::new(&schema());
        rows.string(1, "x").real(2, value).end_row();
        store.commit(a.id, bucket, rows).await;
    }
    let read: Vec<_> = store.read(all()).await.into_iter().rev().map(|row| row[2].clone()).collect();
    let expected = values.map(|value| if value.is_finite() { Cell::Real(value) } else { Cell::Null });
    assert_eq!(read, expected);

    let empty = store.connector("empty").await;
    let mut rows = Rows::new(&schema());
    rows.end_row();
    store.commit(empty.id, at(1000), rows).await;
    let newest = store.read(RowQuery { limit: 1, ..all() }).await;
    let (null, map) = (Cell::Null, Cell::Json("{}".into()));
    let expected =
        [Cell::Timestamp(at(1000)), null.clone(), null.clone(), map.clone(), null.clone(), null, map];
    assert_eq!(newest, [expected]);
}

async fn text_and_maps_come_back_as_they_were_written(store: &Subject) {
    let a = store.connector("a").await;
    let long = "x".repeat(100_000);
    let texts = ["", " ", "it's \"odd\"", "\\ \n \t \r", "a\0b", "é🦀", "null", "{}", "1e3", long.as_str()];
    for (bucket, text) in (0..).map(at).zip(texts) {
        let mut rows = Rows::new(&schema());
        rows.string(1, text)
            .entry(3, text, text)
            .entry(3, "z", "1")
            .string(5, text)
            .entry(6, text, "")
            .end_row();
        store.commit(a.id, bucket, rows).await;
    }
    let read = store.read(all()).await;
    assert_eq!(read.len(), texts.len());
    for (row, text) in read.iter().rev().zip(texts) {
        assert_eq!((&row[1], &row[5]), (&Cell::Text(text.into()), &Cell::Text(text.into())));
        assert_eq!(
            map(&row[3]),
            [(text.to_owned(), text.to_owned()), ("z".to_owned(), "1".to_owned())].into()
        );
        assert_eq!(map(&row[6]), [(text.to_owned(), String::new())].into());
    }
}

fn map(cell: &Cell) -> std::collections::BTreeMap<String, String> {
    match cell {
        Cell::Json(json) => serde_json::from_str(json).unwrap(),
        other => panic!("no map: {other:?}"),
    }
}

async fn the_columns_are_the_schemas(store: &Subject) {
    store.connector("a").await;
    let stream = store.rows(all()).await.unwrap();
    let expected: Vec<_> = schema().columns().iter().map(|c| (c.name().to_owned(), c.kind())).collect();
    assert_eq!(stream.columns, expected);
}

async fn every_row_of_a_series_that_comes_twice_is_kept(store: &Subject) {
    let a = store.connector("a").await;
    for bucket in [at(0), at(1)] {
        let mut rows = Rows::new(&schema());
        for value in [1.0, 2.0, 2.0] {
            rows.string(1, "x").entry(3, "k", "v").real(2, value).end_row();
        }
        store.commit(a.id, bucket, rows).await;
    }
    let read = store.read(all()).await;
    assert_eq!(read.len(), 6);
    for tick in read.chunks(3) {
        let values: Vec<_> = tick.iter().map(|row| &row[2]).collect();
        assert!(values.contains(&&Cell::Real(1.0)), "{values:?}");
        assert_eq!(values.iter().filter(|value| ***value == Cell::Real(2.0)).count(), 2, "{values:?}");
    }
}

async fn series_change_from_tick_to_tick(store: &Subject) {
    let a = store.connector("a").await;
    let ticks: [&[&str]; 5] =
        [&["a", "b", "c"], &["c", "b", "a"], &["b"], &["d", "b", "e", "a"], &["a", "b", "c"]];
    for (bucket, names) in (0..).map(at).zip(ticks) {
        store.commit(a.id, bucket, named(names)).await;
    }
    for (bucket, names) in (0..).map(at).zip(ticks) {
        let tick = RowQuery { since: Some(bucket), until: Some(bucket + 1), ..all() };
        let mut read = store.names(tick).await;
        let mut expected = names.to_vec();
        read.sort();
        expected.sort_unstable();
        assert_eq!(read, expected);
    }
}

async fn newest_ticks_come_first_up_to_the_limit(store: &Subject) {
    let a = store.connector("a").await;
    // A trigger may run a bucket late.
    for n in [1, 3, 2, 4] {
        store.commit(a.id, at(n), named(&["x", "y"])).await;
    }
    let times = async |limit| -> Vec<i64> {
        let rows = store.read(RowQuery { limit, ..all() }).await;
        rows.iter().map(|row| (time(&row[0]) - T) / INTERVAL).collect()
    };
    assert_eq!(times(100).await, [4, 4, 3, 3, 2, 2, 1, 1]);
    assert_eq!(times(5).await, [4, 4, 3, 3, 2]);
    assert_eq!(times(2).await, [4, 4]);
    assert_eq!(times(1).await, [4]);
    assert_eq!(times(0).await, [0; 0]);
    assert_eq!(times(usize::MAX).await.len(), 8);
}

fn time(cell: &Cell) -> Millis {
    match cell {
        Cell::Timestamp(time) => *time,
        other => panic!("no time: {other:?}"),
    }
}

async fn since_is_included_and_until_is_not(store: &Subject) {
    let a = store.connector("a").await;
    for n in 0..4 {
        store.commit(a.id, at(n), named(&[&n.to_string()])).await;
    }
    let names = async |since, until| store.names(RowQuery { since, until, ..all() }).await;
    assert_eq!(names(Some(at(1)), None).await, ["3", "2", "1"]);
    assert_eq!(names(Some(at(1) + 1), None).await, ["3", "2"]);
    assert_eq!(names(None, Some(at(2))).await, ["1", "0"]);
    assert_eq!(names(None, Some(at(2) + 1)).await, ["2", "1", "0"]);
    assert_eq!(names(Some(at(1)), Some(at(3))).await, ["2", "1"]);
    assert_eq!(names(Some(at(2)), Some(at(2))).await, [""; 0]);
    assert_eq!(names(Some(at(3)), Some(at(1))).await, [""; 0]);
    assert_eq!(names(Some(Millis::MIN), Some(Millis::MAX)).await.len(), 4);
}

async fn rows_of_a_failed_tick_are_not_there(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, at(0), named(&["kept"])).await;
    store.fail(a.id, at(1), Outcome::Transient).await;
    store.fail(a.id, at(2), Outcome::Permanent).await;
    let lease = store.lease(a.id, at(3)).await;
    store.end(lease, Outcome::Abandoned).await.unwrap();
    assert_eq!(store.names(all()).await, ["kept"]);
}

async fn rows_of_other_columns_are_refused_whole(store: &Subject) {
    let a = store.connector("a").await;
    let lease = store.lease(a.id, T).await;
    let other = Schema::new([Column::time("timestamp"), Column::value("reading", ColumnType::Real)]).unwrap();
    let mut rows = Rows::new(&other);
    rows.real(1, 1.0).end_row();
    store.finish(landing(lease, other, rows)).await.unwrap_err();
    // The lease is as it was, and the tick can still end.
    assert_eq!(store.ticks(a.id, 10).await.unwrap(), []);
    assert_eq!(store.renew(&[lease]).await.unwrap(), [true]);
    store.land(lease, named(&["up"])).await.unwrap();
    assert_eq!(store.names(all()).await, ["up"]);
}

async fn connectors_share_a_table_without_clashing(store: &Subject) {
    let a = store.connector("a").await;
    let b = store.connector("b").await;
    for (id, value) in [(a.id, 1.0), (b.id, 2.0)] {
        let mut rows = Rows::new(&schema());
        rows.string(1, "up").entry(3, "job", "node").real(2, value).end_row();
        store.commit(id, T, rows).await;
    }
    let read = store.read(all()).await;
    let mut values: Vec<_> = read.iter().map(|row| format!("{:?}", row[2])).collect();
    values.sort();
    assert_eq!(values, ["Real(1.0)", "Real(2.0)"]);
}

async fn tables_and_databases_are_apart(store: &Subject) {
    let places = [("plant", "readings"), ("plant", "other"), ("other", "readings")];
    for (database, table) in places {
        let name = format!("{database}.{table}");
        let spec = ConnectorSpec {
            target_database: database.to_owned(),
            target_table: table.to_owned(),
            ..spec(&name)
        };
        let id = store.create(spec, &schema()).await.unwrap().id;
        store.commit(id, T, named(&[&name])).await;
    }
    for (database, table) in places {
        let query = RowQuery { database: database.to_owned(), table: table.to_owned(), ..all() };
        assert_eq!(store.names(query).await, [format!("{database}.{table}")]);
    }
}

async fn the_case_of_a_tables_name_makes_no_difference(store: &Subject) {
    let a = store.connector("a").await;
    let shouted = ConnectorSpec {
        target_database: "PLANT".to_owned(),
        target_table: "Readings".to_owned(),
        ..spec("b")
    };
    let b = store.create(shouted, &schema()).await.unwrap();
    store.commit(a.id, at(0), named(&["quiet"])).await;
    store.commit(b.id, at(1), named(&["loud"])).await;
    assert_eq!(store.names(all()).await, ["loud", "quiet"]);
    let query = RowQuery { database: "Plant".to_owned(), table: "READINGS".to_owned(), ..all() };
    assert_eq!(store.names(query).await, ["loud", "quiet"]);
}

async fn a_table_without_keys_keeps_its_rows(store: &Subject) {
    let schema = Schema::new([Column::value("reading", ColumnType::Real), Column::time("at")]).unwrap();
    let a = store.create(spec("a"), &schema).await.unwrap();
    for bucket in [at(0), at(1)] {
        let lease = store.lease(a.id, bucket).await;
        let mut rows = Rows::new(&schema);
        rows.real(0, 1.0).end_row();
        rows.real(0, 1.0).end_row();
        rows.end_row();
        store.finish(landing(lease, schema.clone(), rows)).await.unwrap();
    }
    let read = store.read(all()).await;
    assert_eq!(read.len(), 6);
    for (tick, bucket) in read.chunks(3).zip([at(1), at(0)]) {
        assert!(tick.iter().all(|row| row[1] == Cell::Timestamp(bucket)), "{tick:?}");
        assert_eq!(tick.iter().filter(|row| row[0] == Cell::Null).count(), 1, "{tick:?}");
    }
}

async fn a_known_table_is_empty_and_an_unknown_one_unknown(store: &Subject) {
    store.connector("a").await;
    assert_eq!(store.names(all()).await, [""; 0]);
    for (database, table) in [("plant", "elsewhere"), ("elsewhere", "readings"), ("", ""), ("plant", "a\"b")]
    {
        let query = RowQuery { database: database.to_owned(), table: table.to_owned(), ..all() };
        let error = store.rows(query).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound("table")), "{database}.{table}: {error:?}");
    }
}

async fn rows_outlive_their_connector(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, at(0), named(&["first"])).await;
    let moved = ConnectorSpec { target_table: "elsewhere".to_owned(), ..spec("a") };
    store.replace(a.id, moved, &schema()).await.unwrap();
    store.commit(a.id, at(1), named(&["second"])).await;
    store.delete(a.id).await.unwrap();
    assert_eq!(store.names(all()).await, ["first"]);
    assert_eq!(store.names(RowQuery { table: "elsewhere".to_owned(), ..all() }).await, ["second"]);
    // A new connector of that name and table begins its own history, beside the old one.
    let again = store.connector("a").await;
    store.commit(again.id, at(0), named(&["first"])).await;
    assert_eq!(store.names(all()).await, ["first", "first"]);
}

async fn part_of_a_tick_is_never_seen(store: &Subject) {
    let a = store.connector("a").await;
    let names: Vec<_> = (0..5000).map(|n| n.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    store.commit(a.id, at(0), named(&names)).await;
    let before = store.rows(all()).await.unwrap();
    store.commit(a.id, at(1), named(&names)).await;
    let mut after = store.rows(all()).await.unwrap();
    let first = after.batches.recv().await.unwrap().unwrap();
    store.commit(a.id, at(2), named(&names)).await;
    let (before, after) = (drain(before.batches).await, drain(after.batches).await);
    assert!(before.len().is_multiple_of(names.len()), "{}", before.len());
    assert_eq!(first.len() + after.len(), 2 * names.len());
}

async fn a_reader_may_leave_early(store: &Subject) {
    let a = store.connector("a").await;
    let names: Vec<_> = (0..5000).map(|n| n.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    store.commit(a.id, at(0), named(&names)).await;
    for _ in 0..20 {
        let mut stream = store.rows(all()).await.unwrap();
        assert!(!stream.batches.recv().await.unwrap().unwrap().is_empty());
    }
    store.commit(a.id, at(1), named(&["x"])).await;
    assert_eq!(store.names(RowQuery { limit: 1, ..all() }).await, ["x"]);
}
