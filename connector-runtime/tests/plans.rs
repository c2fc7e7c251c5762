//! How plain SQL finds its way through the view of a table.

use connector_core::{Column, ColumnType, Schema};
use connector_runtime::model::ConnectorSpec;
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::Store;
use rusqlite::Connection;

const SERIES_BY_KEY: &str = "SEARCH s USING INDEX metrics$series_by_key (name=?)";
const TICKS: &str = "SEARCH t USING COVERING INDEX sqlite_autoindex_$ticks_1 (connector=?)";
const TICKS_SINCE: &str =
    "SEARCH t USING COVERING INDEX sqlite_autoindex_$ticks_1 (connector=? AND scheduled_for>?)";
const TICKS_BETWEEN: &str = "SEARCH t USING COVERING INDEX sqlite_autoindex_$ticks_1 (connector=? AND scheduled_for>? AND scheduled_for<?)";
const SAMPLE: &str = "SEARCH x USING INTEGER PRIMARY KEY (rowid=?)";
const SAMPLES_OF_A_TICK: &str = "SEARCH x USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
const SERIES: &str = "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)";

#[tokio::test]
async fn a_name_leads_to_its_series_and_a_span_of_time_to_its_ticks() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let schema = Schema::new([
        Column::time("timestamp"),
        Column::key("name", ColumnType::String),
        Column::value("value", ColumnType::Real),
        Column::key("labels", ColumnType::Dynamic),
    ])
    .unwrap();
    for table in ["first", "metrics"] {
        let spec = ConnectorSpec {
            name: table.into(),
            type_id: "thermometer".into(),
            target_database: "plant".into(),
            target_table: table.into(),
            schedule_ms: 15_000,
            config: serde_json::Value::Null,
        };
        store.create(spec, &schema).await.unwrap();
    }
    let client = Connection::open(folder.path().join("plant.db")).unwrap();
    let plan = |sql: &str| -> Vec<String> {
        let mut statement = client.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).filter(|step| !step.starts_with("USE TEMP")).collect()
    };
    let of_a_name = "SELECT timestamp, value FROM metrics WHERE name = 'up'";
    assert_eq!(plan(of_a_name), [SERIES_BY_KEY, TICKS, SAMPLE]);
    for more in [
        "AND timestamp >= 1 AND timestamp < 2",
        "AND labels ->> 'cpu' = '0' AND timestamp >= 1 AND timestamp < 2 ORDER BY timestamp",
        "AND timestamp BETWEEN 1 AND 2 ORDER BY timestamp DESC LIMIT 100",
    ] {
        assert_eq!(plan(&format!("{of_a_name} {more}")), [SERIES_BY_KEY, TICKS_BETWEEN, SAMPLE], "{more}");
    }
    let latest = "SELECT labels, value, max(timestamp) FROM metrics WHERE name = 'up' AND timestamp > 1 GROUP BY labels";
    assert_eq!(plan(latest), [SERIES_BY_KEY, TICKS_SINCE, SAMPLE]);

    // For a span of time its samples as they lie, and never all samples.
    for sql in [
        "SELECT * FROM metrics WHERE timestamp >= 1 AND timestamp < 2",
        "SELECT * FROM metrics WHERE labels ->> 'cpu' = '0' AND timestamp >= 1 AND timestamp < 2",
        "SELECT name, avg(value) FROM metrics WHERE timestamp >= 1 AND timestamp < 2 GROUP BY name",
        "SELECT DISTINCT name FROM metrics WHERE timestamp >= 1 AND timestamp < 2",
    ] {
        let plan = plan(sql);
        assert!(
            plan[0].contains("(ANY(connector) AND scheduled_for>? AND scheduled_for<?)"),
            "{sql}: {plan:?}"
        );
        assert_eq!(plan[1..], [SAMPLES_OF_A_TICK, SERIES], "{sql}");
    }
    // And all samples in the order in which they lie, where all are asked for.
    for sql in ["SELECT count(*) FROM metrics", "SELECT sum(value) FROM metrics"] {
        let plan = plan(sql);
        assert_eq!(plan[1..], [SAMPLES_OF_A_TICK, SERIES], "{sql}: {plan:?}");
    }
    // How many there are, the ledger tells.
    let rows = r#"SELECT sum(rows) FROM "$ticks" JOIN "$tables" t ON t.id = target WHERE t.name = 'metrics'"#;
    let plan = plan(&format!("{rows} AND scheduled_for >= 1"));
    assert!(plan[1].contains("(ANY(connector) AND scheduled_for>?)"), "{plan:?}");
}
