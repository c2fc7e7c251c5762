//! Filters: rows whose column has one value, given as text.

use connector_core::{Column, ColumnType, Rows, Schema};
use connector_runtime::model::ConnectorSpec;
use connector_runtime::store::{Cell, RowQuery, StoreError};

use super::subject::{INTERVAL, Subject, T, all, landing, named, schema, spec};

conformance!(
    text_is_compared_as_it_is,
    numbers_are_compared_whatever_their_spelling,
    times_are_compared_whatever_their_zone,
    maps_are_compared_whatever_their_order,
    filters_add_up,
    filters_reach_back_to_the_oldest_tick,
    values_are_found_in_ticks_of_many_rows,
    filters_that_make_no_sense_are_refused,
    columns_may_have_the_names_of_the_ledgers,
);

/// Three ticks of five rows, told apart by name, and newest first: 2a to 2e, 1a to 1e, 0a to 0e.
async fn fill(store: &Subject) {
    let a = store.connector("a").await;
    for n in 0..3 {
        let mut rows = Rows::new(&schema());
        let name = |letter| format!("{n}{letter}");
        rows.string(1, &name('a')).real(2, 1000.0).entry(3, "job", "node").entry(3, "cpu", "0");
        rows.timestamp(4, T).string(5, "null").end_row();
        rows.string(1, &name('b')).real(2, f64::NAN).entry(3, "job", "node").entry(6, "k", "v").end_row();
        rows.string(1, &name('c')).real(2, -0.5).entry(3, "job", "NODE").string(5, "").end_row();
        rows.string(1, &name('d')).real(2, 0.1).timestamp(4, T + 500).string(5, "' OR 1=1 --").end_row();
        rows.string(1, &name('e')).real(2, 0.0).entry(3, "é", "\"\\\n").string(5, "1000").end_row();
        store.commit(a.id, T + n * INTERVAL, rows).await;
    }
}

/// The rows that these filters find, each in all three ticks.
async fn found(store: &Subject, filters: &[(&str, &str)]) -> String {
    let filters: Vec<_> = filters.iter().map(|(c, v)| ((*c).to_owned(), (*v).to_owned())).collect();
    let names = store.names(RowQuery { filters, ..all() }).await;
    let mut letters: Vec<Vec<char>> = vec![Vec::new(); 3];
    for name in &names {
        let (n, letter) = name.split_at(1);
        letters[n.parse::<usize>().unwrap()].extend(letter.chars());
    }
    letters.iter_mut().for_each(|tick| tick.sort_unstable());
    assert!(letters.iter().all(|tick| *tick == letters[0]), "{names:?}");
    assert!(names.is_sorted_by(|a, b| a[..1] >= b[..1]), "{names:?}");
    letters[0].iter().collect()
}

async fn text_is_compared_as_it_is(store: &Subject) {
    fill(store).await;
    let names = async |name: &str| {
        store.names(RowQuery { filters: vec![("name".into(), name.into())], ..all() }).await
    };
    assert_eq!(names("1a").await, ["1a"]);
    assert_eq!(names("1A").await, [""; 0]);
    assert_eq!(names("1").await, [""; 0]);
    assert_eq!(names("1%").await, [""; 0]);
    assert_eq!(names("").await, [""; 0]);
    assert_eq!(found(store, &[("note", "null")]).await, "a");
    assert_eq!(found(store, &[("note", "")]).await, "c");
    assert_eq!(found(store, &[("note", "' OR 1=1 --")]).await, "d");
    assert_eq!(found(store, &[("note", "1000")]).await, "e");
    assert_eq!(found(store, &[("note", "1000.0")]).await, "");
}

async fn numbers_are_compared_whatever_their_spelling(store: &Subject) {
    fill(store).await;
    for spelling in ["1000", "1000.0", "1e3", "1E+3", "+1000", "01000"] {
        assert_eq!(found(store, &[("value", spelling)]).await, "a", "{spelling}");
    }
    assert_eq!(found(store, &[("value", "null")]).await, "b");
    assert_eq!(found(store, &[("value", "-.5")]).await, "c");
    assert_eq!(found(store, &[("value", "0.1")]).await, "d");
    assert_eq!(found(store, &[("value", "-0")]).await, "e");
    assert_eq!(found(store, &[("value", "7")]).await, "");
}

async fn times_are_compared_whatever_their_zone(store: &Subject) {
    fill(store).await;
    assert_eq!(found(store, &[("seen", "2026-05-02T10:00:00Z")]).await, "a");
    assert_eq!(found(store, &[("seen", "2026-05-02T12:00:00.000+02:00")]).await, "a");
    assert_eq!(found(store, &[("seen", "2026-05-02T10:00:00.500Z")]).await, "d");
    assert_eq!(found(store, &[("seen", "2026-05-02T10:00:01Z")]).await, "");
    assert_eq!(found(store, &[("seen", "null")]).await, "bce");
    let at = |time: &str| RowQuery { filters: vec![("timestamp".into(), time.into())], ..all() };
    assert_eq!(store.names(at("2026-05-02T10:00:15Z")).await.len(), 5);
    assert!(store.names(at("2026-05-02T10:00:15Z")).await.iter().all(|name| name.starts_with('1')));
    assert_eq!(store.names(at("2026-05-02T10:00:16Z")).await, [""; 0]);
    // Every row has a tick.
    assert_eq!(store.names(at("null")).await, [""; 0]);
}

async fn maps_are_compared_whatever_their_order(store: &Subject) {
    fill(store).await;
    assert_eq!(found(store, &[("labels", r#"{"job":"node","cpu":"0"}"#)]).await, "a");
    assert_eq!(found(store, &[("labels", r#" { "cpu" : "0" , "job" : "node" } "#)]).await, "a");
    assert_eq!(found(store, &[("labels", r#"{"job":"node"}"#)]).await, "b");
    assert_eq!(found(store, &[("labels", r#"{"job":"NODE"}"#)]).await, "c");
    assert_eq!(found(store, &[("labels", "{}")]).await, "d");
    assert_eq!(found(store, &[("labels", r#"{"\u00e9":"\"\\\n"}"#)]).await, "e");
    assert_eq!(found(store, &[("labels", r#"{"job":"node","cpu":"1"}"#)]).await, "");
    assert_eq!(found(store, &[("extra", r#"{"k":"v"}"#)]).await, "b");
    assert_eq!(found(store, &[("extra", "{}")]).await, "acde");
}

async fn filters_add_up(store: &Subject) {
    fill(store).await;
    assert_eq!(found(store, &[("labels", r#"{"job":"node"}"#), ("value", "null")]).await, "b");
    assert_eq!(found(store, &[("labels", r#"{"job":"node"}"#), ("value", "1000")]).await, "");
    assert_eq!(
        found(store, &[("value", "0.1"), ("value", "1e-1"), ("seen", "2026-05-02T10:00:00.5Z")]).await,
        "d"
    );
    assert_eq!(found(store, &[("value", "0.1"), ("value", "1000")]).await, "");
    let filters = vec![("value".to_owned(), "1000".to_owned())];
    let since = Some(T + INTERVAL);
    assert_eq!(store.names(RowQuery { filters: filters.clone(), since, ..all() }).await, ["2a", "1a"]);
    let until = since;
    assert_eq!(store.names(RowQuery { filters: filters.clone(), until, ..all() }).await, ["0a"]);
    assert_eq!(store.names(RowQuery { filters, limit: 2, ..all() }).await, ["2a", "1a"]);
}

async fn filters_reach_back_to_the_oldest_tick(store: &Subject) {
    let a = store.connector("a").await;
    store.commit(a.id, T, named(&["old"])).await;
    let names: Vec<_> = (0..3000).map(|n| n.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for n in 1..4 {
        store.commit(a.id, T + n * INTERVAL, named(&names)).await;
    }
    let query = RowQuery { filters: vec![("name".into(), "old".into())], limit: 1, ..all() };
    assert_eq!(store.names(query).await, ["old"]);
}

async fn values_are_found_in_ticks_of_many_rows(store: &Subject) {
    let a = store.connector("a").await;
    for n in 0..3 {
        let mut rows = Rows::new(&schema());
        for row in 0..400 {
            let name = format!("{n}.{row}");
            rows.string(1, &name).real(2, f64::from(1_000 * n + row) / 1000.0).string(5, &name);
            rows.timestamp(4, T + i64::from(1_000 * n + row)).end_row();
        }
        rows.string(1, "none").real(2, f64::NAN).end_row();
        store.commit(a.id, T + i64::from(n) * INTERVAL, rows).await;
    }
    let names = async |filters: &[(&str, &str)]| {
        let filters = filters.iter().map(|(column, value)| ((*column).into(), (*value).into())).collect();
        store.names(RowQuery { filters, ..all() }).await
    };
    assert_eq!(names(&[("value", "0.399")]).await, ["0.399"]);
    assert_eq!(names(&[("value", "1.007"), ("note", "1.7")]).await, ["1.7"]);
    assert_eq!(names(&[("value", "1.007"), ("note", "2.7")]).await, [""; 0]);
    assert_eq!(names(&[("value", "-0")]).await, ["0.0"]);
    assert_eq!(names(&[("note", "2.0")]).await, ["2.0"]);
    assert_eq!(names(&[("seen", "2026-05-02T10:00:01.399Z")]).await, ["1.399"]);
    assert_eq!(names(&[("seen", "null")]).await, ["none"; 3]);
    assert_eq!(names(&[("seen", "null"), ("value", "null")]).await, ["none"; 3]);
    assert_eq!(names(&[("value", "0.4")]).await, [""; 0]);
}

async fn filters_that_make_no_sense_are_refused(store: &Subject) {
    fill(store).await;
    let senseless = [
        ("colour", "red"),
        ("", ""),
        ("na me", "x"),
        ("value", "much"),
        ("value", ""),
        ("value", "0x10"),
        ("seen", "yesterday"),
        ("timestamp", "2026-05-02"),
        ("labels", "job=node"),
        ("labels", ""),
        ("extra", "[]"),
    ];
    for (column, value) in senseless {
        let query = RowQuery { filters: vec![(column.to_owned(), value.to_owned())], ..all() };
        let error = store.rows(query).await.unwrap_err();
        assert!(matches!(error, StoreError::BadFilter(_)), "{column}={value}: {error:?}");
        assert!(error.to_string().contains(column), "{error}");
    }
}

async fn columns_may_have_the_names_of_the_ledgers(store: &Subject) {
    let schema = Schema::new([
        Column::key("connector", ColumnType::String),
        Column::time("scheduled_for"),
        Column::value("rows", ColumnType::Real),
        Column::key("target", ColumnType::String),
        Column::value("id", ColumnType::Real),
    ])
    .unwrap();
    let spec = ConnectorSpec { target_table: "ledgers".into(), ..spec("a") };
    let a = store.create(spec, &schema).await.unwrap();
    for n in 0..2 {
        let mut rows = Rows::new(&schema);
        rows.string(0, "x").real(2, 1.0).string(3, "y").real(4, f64::from(n)).end_row();
        rows.string(0, "x").real(2, 2.0).string(3, "z").real(4, 7.0).end_row();
        let lease = store.lease(a.id, T + i64::from(n) * INTERVAL).await;
        store.finish(landing(lease, schema.clone(), rows)).await.unwrap();
    }
    for (filters, found) in [
        (&[][..], 4),
        (&[("connector", "x")][..], 4),
        (&[("target", "y")], 2),
        (&[("target", "y"), ("rows", "1")], 2),
        (&[("target", "y"), ("rows", "1"), ("id", "1")], 1),
        (&[("id", "7"), ("connector", "x")], 2),
        (&[("scheduled_for", "2026-05-02T10:00:15Z"), ("target", "z")], 1),
    ] {
        let wanted = filters.iter().map(|(column, value)| ((*column).into(), (*value).into())).collect();
        let read = store.read(RowQuery { table: "ledgers".into(), filters: wanted, ..all() }).await;
        assert_eq!(read.len(), found, "{filters:?}: {read:?}");
        assert!(read.iter().all(|row| row[0] == Cell::Text("x".into())), "{read:?}");
    }
}
