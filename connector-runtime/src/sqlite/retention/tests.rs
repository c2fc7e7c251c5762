use std::sync::Arc;

use connector_core::{Column, ColumnType, Rows, Schema};
use uuid::Uuid;

use super::*;
use crate::model::{ConnectorSpec, Outcome, TickRecord};
use crate::sqlite::data::{Batch, Digest, Ending};
use crate::sqlite::keys::{Keys, Prints};
use crate::store::{Claim, Claimed, FinishedTick, Store as _};

const INTERVAL: i64 = 1_000;
const BEGIN: Millis = 1_777_716_000_000;

/// The beginning of the `n`th bucket.
fn nth(n: i64) -> Millis {
    BEGIN + n * INTERVAL
}

fn schema() -> Schema {
    Schema::new([Column::time("at"), Column::key("name", ColumnType::String)]).unwrap()
}

async fn connector(store: &SqliteStore) -> Uuid {
    let spec = ConnectorSpec {
        name: "hall".to_owned(),
        type_id: "thermometer".to_owned(),
        target_database: "plant".to_owned(),
        target_table: "readings".to_owned(),
        schedule_ms: 1_000,
        config: serde_json::Value::Null,
    };
    store.create(spec, &schema()).await.unwrap().id
}

/// Commits the `n`th bucket with a row for each name.
async fn commit(store: &SqliteStore, connector: Uuid, n: i64, names: &[&str]) {
    let claim = Claim { connector, generation: 0, scheduled_for: nth(n), triggered: false };
    let granted = store.claim(Uuid::from_u128(1), "runner", &[claim]).await.unwrap()[0];
    let Claimed::Granted(lease) = granted else { panic!("not granted: {granted:?}") };
    let rows = Some((Arc::new(schema()), Arc::new(rows(names))));
    store.finish(FinishedTick { lease, record: record(n, names), rows }).await.unwrap();
}

/// The record of the `n`th bucket.
fn record(n: i64, names: &[&str]) -> TickRecord {
    TickRecord {
        scheduled_for: nth(n),
        started_at: nth(n),
        finished_at: nth(n),
        outcome: Outcome::Committed,
        rows: names.len() as u64,
        attempts: 1,
        error: None,
        runner: "runner".to_owned(),
    }
}

fn rows(names: &[&str]) -> Rows {
    let mut rows = Rows::new(&schema());
    names.iter().for_each(|name| rows.string(1, name).end_row());
    rows
}

/// The same in a file of tables, without a store.
fn write(file: &mut DataFile, connector: u128, n: i64, names: &[&str]) {
    let (schema, rows, record) = (schema(), rows(names), record(n, names));
    let keys = Keys::new(&schema, &rows);
    let prints = Prints { whole: keys.fingerprint(), rows: keys.hashes() };
    let digest = Digest { prints, values: None };
    let ending = Ending {
        connector: Uuid::from_u128(connector),
        fence: n,
        scheduled_for: nth(n),
        table: "readings",
        record: &record,
        rows: Some(Batch { schema: &schema, rows: &rows, digest: &digest }),
    };
    file.begin(false).unwrap();
    assert!(file.write(&ending).unwrap());
    file.commit().unwrap();
}

#[tokio::test]
async fn a_connectors_series_go_when_it_has_its_turn_or_no_rows_any_more() {
    const TICKS: i64 = 30;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let id = connector(&store).await;
    for n in 0..TICKS {
        commit(&store, id, n, &["stays", &format!("only in {n}")]).await;
    }
    let turns = Turns(10 * INTERVAL);
    let (mut waiting, mut had) = (0, 0);
    for n in 0..TICKS - 1 {
        let expired = store.pass(nth(n + 1), Some(turns)).await.unwrap();
        waiting += 1;
        // It is the first connector of its file.
        let is_turn = turns.is_of(1, nth(n), nth(n + 1));
        assert_eq!((expired.rows, expired.series), (2, if is_turn { waiting } else { 0 }), "pass {n}");
        if is_turn {
            (waiting, had) = (0, had + 1);
        }
    }
    assert!(had >= 2 && waiting > 0, "{had} turns, {waiting} series wait for the next one");
    let last = store.pass(nth(TICKS), Some(turns)).await.unwrap();
    assert_eq!((last.rows, last.series), (2, waiting + 2));
}

#[test]
fn deleting_a_connectors_series_lets_those_of_others_be_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = DataFile::open(folder.path().join("plant.db")).unwrap();
    for (n, names) in [(1, &["gone", "stays"][..]), (2, &["stays"])] {
        [1, 2].iter().for_each(|connector| write(&mut file, *connector, n, names));
    }
    file.begin(false).unwrap();
    let ticks: Vec<i64> = (1..=2).collect();
    assert_eq!(file.delete_ticks(&ticks, nth(2)).unwrap().rows, 4);
    let unused = Unused { place: (1, 1), table: "readings".to_owned(), numbers: vec![1], seen: 4 };
    assert_eq!(file.delete_series(&[unused]).unwrap(), 1);
    file.commit().unwrap();

    // Behind its back all series go: who looks for them again finds none, and writes them anew.
    file.connection().execute_batch("DELETE FROM \"readings$series\"").unwrap();
    [1, 2].iter().for_each(|connector| write(&mut file, *connector, 3, &["stays"]));
    let left: Vec<i64> = file
        .connection()
        .prepare("SELECT \"$connector\" FROM \"readings$series\"")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(left, [1], "the second was remembered");
}

#[tokio::test]
async fn series_that_are_in_use_are_found_wherever_they_are() {
    const TICKS: i64 = 1_200;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let id = connector(&store).await;
    // Some are there for a while, some in a single tick, beyond where is looked first, and one before all of them.
    commit(&store, id, 0, &["stays", "gone"]).await;
    for n in 1..TICKS {
        let (a_while, once) = (format!("while {}", n / 100), format!("once {n}"));
        let names = ["stays", &a_while, &once];
        commit(&store, id, n, if n % 97 == 3 { &names } else { &names[..2] }).await;
    }
    let left = |after: i64| {
        1 + ((after / 100)..TICKS / 100).count() + (after..TICKS).filter(|n| n % 97 == 3).count()
    };
    let all = left(1) + 1;
    let mut gone = 0;
    for before in [1, 2, 5, 150, 151, 400, 900, 1_199] {
        gone += store.expire(nth(before)).await.unwrap().series;
        assert_eq!(gone, (all - left(before)) as u64, "before {before}");
    }
}

#[test]
fn each_connector_has_a_turn_once_in_a_while_and_not_all_have_it_together() {
    let (every, begin) = (24_000, 1_777_716_000_000);
    let turns = Turns(every);
    let (mut passes, connectors) = (vec![0; 5 * 24], 1000);
    for connector in 0..connectors {
        let mut had = 0;
        for (pass, begun) in passes.iter_mut().zip((begin..).step_by(1_000)) {
            let has = turns.is_of(connector, begun, begun + 1_000);
            (had, *pass) = (had + i64::from(has), *pass + i64::from(has));
        }
        assert_eq!(had, 5, "connector {connector}");
        assert!(turns.is_of(connector, begin, begin + every), "ticks that are far apart");
        assert!(!turns.is_of(connector, begin, begin));
    }
    assert!(passes.iter().all(|having| *having < 60), "{passes:?}");
}

#[test]
fn a_jump_of_the_clock_counts_once() {
    const HOUR: i64 = 3_600_000;
    let mut clocks = Clocks::at(1_777_716_000_000, 5_000);
    assert_eq!(clocks.ahead(1_777_716_000_000 + HOUR, 5_000 + HOUR), 0);
    assert_eq!(clocks.ahead(1_777_716_000_000 + 3 * HOUR, 5_000 + 2 * HOUR), HOUR);
    assert_eq!(clocks.ahead(1_777_716_000_000 + 4 * HOUR, 5_000 + 3 * HOUR), 0);
    assert_eq!(clocks.ahead(1_777_716_000_000 + 4 * HOUR, 5_000 + 4 * HOUR), -HOUR);
}
