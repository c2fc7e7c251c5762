//! The control API over HTTP: what works.

use std::collections::BTreeSet;

use crate::server::{Server, spec};
use axum::http::{StatusCode, header};
use connector_runtime::model::Outcome;
use serde_json::{Value, json};

const MIDNIGHT: i64 = 1_777_680_000_000;
const DAY: i64 = 86_400_000;

#[tokio::test]
async fn a_connector_reads_as_it_was_written_and_more() {
    let server = Server::start().await;
    let reply = server.call("POST", "/v1/connectors", Some(spec("one"))).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.json(), json!({ "id": id }));
    assert_eq!(reply.header(&header::LOCATION), format!("/v1/connectors/{id}"));

    let read = server.get(reply.header(&header::LOCATION)).await.json();
    for (field, written) in spec("one").as_object().unwrap() {
        assert_eq!(&read[field], written, "{field}");
    }
    let keys: BTreeSet<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
    let more = [
        "id",
        "state",
        "disabled_reason",
        "last_error",
        "last_tick",
        "next_tick_at",
        "created_at",
        "updated_at",
    ];
    let written = ["name", "type", "target_database", "target_table", "schedule_ms", "config"];
    assert_eq!(keys, more.into_iter().chain(written).collect());
    assert_eq!(read["id"], id);
    assert_eq!(read["state"], "active");
    assert!(["disabled_reason", "last_error", "last_tick"].iter().all(|field| read[field].is_null()));
    for field in ["next_tick_at", "created_at", "updated_at"] {
        assert!(read[field].as_str().unwrap().ends_with('Z'), "{field}: {}", read[field]);
    }
}

#[tokio::test]
async fn the_list_goes_page_by_page() {
    let server = Server::start().await;
    let empty = server.get("/v1/connectors").await.json();
    assert_eq!(empty, json!({ "connectors": [], "next": null }));
    let mut made = BTreeSet::new();
    for n in 0..7 {
        made.insert(server.create(&format!("c{n}")).await.to_string());
    }
    let (mut listed, mut path, mut pages) = (BTreeSet::new(), "/v1/connectors?limit=3&after=".to_owned(), 0);
    loop {
        let page = server.get(&path).await.json();
        pages += 1;
        for connector in page["connectors"].as_array().unwrap() {
            assert!(listed.insert(connector["id"].as_str().unwrap().to_owned()), "listed twice");
        }
        match &page["next"] {
            Value::Null => break,
            next => path = format!("/v1/connectors?limit=3&after={}", next.as_str().unwrap()),
        }
    }
    assert_eq!((listed, pages), (made, 3));
    let all = server.get("/v1/connectors?limit=7").await.json();
    assert!(all["next"].is_null(), "a page that ends with the last connector is the last page");
}

#[tokio::test]
async fn put_replaces_and_delete_forgets() {
    let server = Server::start().await;
    let id = server.create("one").await;
    let path = format!("/v1/connectors/{id}");
    let mut other = spec("two");
    other["schedule_ms"] = json!(1000);
    let reply = server.call("PUT", &path, Some(other)).await;
    assert_eq!(reply.status, StatusCode::OK);
    let read = server.get(&path).await.json();
    assert_eq!((&read["name"], &read["schedule_ms"], &read["id"]), (&json!("two"), &json!(1000), &json!(id)));

    let reply = server.call("DELETE", &path, None).await;
    assert_eq!((reply.status, reply.text()), (StatusCode::NO_CONTENT, ""));
    server.get(&path).await.problem(404, "not_found");
    server.call("DELETE", &path, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn pause_resume_and_trigger() {
    let server = Server::start().await;
    let path = format!("/v1/connectors/{}", server.create("one").await);
    let act = async |verb: &str| server.post(&format!("{path}/{verb}")).await;

    let triggered = act("trigger").await;
    assert_eq!(triggered.status, StatusCode::ACCEPTED);
    let bucket = triggered.json()["scheduled_for"].as_str().unwrap().to_owned();
    assert!(bucket.ends_with("T00:00:00Z"), "{bucket}");

    let paused = act("pause").await;
    assert_eq!(paused.status, StatusCode::OK);
    assert_eq!(paused.json()["state"], "paused");
    assert!(paused.json()["next_tick_at"].is_null());
    assert_eq!(act("pause").await.json()["state"], "paused");
    assert!(act("trigger").await.problem(409, "not_active").contains("paused"));

    let resumed = act("resume").await;
    assert_eq!((resumed.status, &resumed.json()["state"]), (StatusCode::OK, &json!("active")));
    assert!(resumed.json()["next_tick_at"].is_string());
}

#[tokio::test]
async fn ticks_are_listed_newest_first_and_show_on_the_connector() {
    let server = Server::start().await;
    let id = server.create("one").await;
    server.land(id, MIDNIGHT, Outcome::Committed, 2).await;
    server.land(id, MIDNIGHT + DAY, Outcome::Transient, 0).await;
    let ticks = server.get(&format!("/v1/connectors/{id}/ticks")).await.json();
    let failed = json!({
        "scheduled_for": "2026-05-03T00:00:00Z",
        "started_at": "2026-05-03T00:00:00.010Z",
        "finished_at": "2026-05-03T00:00:00.030Z",
        "outcome": "transient",
        "rows": 0,
        "attempts": 1,
        "error": "it failed <b>badly</b>",
        "runner": "tests"
    });
    assert_eq!(ticks["ticks"][0], failed);
    assert_eq!(ticks["ticks"][1]["outcome"], "committed");
    assert_eq!(ticks["ticks"][1]["rows"], 2);
    let newest = server.get(&format!("/v1/connectors/{id}/ticks?limit=1")).await.json();
    assert_eq!(newest, json!({ "ticks": [failed] }));

    let read = server.get(&format!("/v1/connectors/{id}")).await.json();
    assert_eq!(read["last_tick"], failed);
    assert_eq!(read["last_error"], "it failed <b>badly</b>");
    server.land(id, MIDNIGHT + 2 * DAY, Outcome::Config, 0).await;
    let read = server.get(&format!("/v1/connectors/{id}")).await.json();
    assert_eq!(read["state"], "disabled");
    assert_eq!(read["disabled_reason"], "it failed <b>badly</b>");
    assert!(read["next_tick_at"].is_null());
}

#[tokio::test]
async fn rows_are_streamed_newest_first_and_filtered() {
    let server = Server::start().await;
    let id = server.create("one").await;
    let path = "/v1/tables/default/numbers/rows";
    assert_eq!(server.get(path).await.json(), json!({ "rows": [] }), "known and empty");
    server.land(id, MIDNIGHT, Outcome::Committed, 3).await;
    server.land(id, MIDNIGHT + DAY, Outcome::Committed, 2_500).await;

    let count = async |query: &str| {
        let reply = server.get(&format!("{path}?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()["rows"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 100);
    assert_eq!(count("limit=1000000").await, 2_503);
    assert_eq!(count("limit=1000000&until=2026-05-03T00:00:00Z").await, 3);
    assert_eq!(count("limit=1000000&since=2026-05-03T00:00:00Z").await, 2_500);
    assert_eq!(count("since=2026-05-02T00:00:00Z&until=2026-05-02T00:00:00.001Z").await, 3);
    assert_eq!(count("value=2").await, 2);
    assert_eq!(count("name=n&labels=%7B%22i%22:%227%22%7D").await, 1);
    assert_eq!(count("name=other").await, 0);

    let oldest = server.get(&format!("{path}?until=2026-05-03T00:00:00Z&value=1")).await;
    assert_eq!(oldest.header(&header::CONTENT_TYPE), "application/json");
    let row =
        json!({ "timestamp": "2026-05-02T00:00:00Z", "name": "n", "value": 1.0, "labels": { "i": "1" } });
    assert_eq!(oldest.json(), json!({ "rows": [row] }));

    server.call("DELETE", &format!("/v1/connectors/{id}"), None).await;
    assert_eq!(count("limit=1000000").await, 2_503, "rows stay");
}

#[tokio::test]
async fn connector_types_describe_themselves_and_check_configs() {
    let server = Server::start().await;
    let types = server.get("/v1/connector-types").await.json();
    let counter = &types["connector_types"][0];
    assert_eq!(counter["type_id"], "counter");
    assert_eq!(counter["drive_model"], "periodic");
    assert_eq!(counter["columns"][1], json!({ "name": "name", "type": "string", "role": "key" }));
    assert_eq!(counter["config_schema"], json!({ "type": "object" }));

    let check = async |call: &str, config: Value| {
        server.call("POST", &format!("/v1/connector-types/{call}"), Some(config)).await
    };
    let good = check("counter/validate", json!({ "rows": 1 })).await;
    assert_eq!((good.status, good.json()), (StatusCode::OK, json!({ "valid": true })));
    let bad = check("counter/validate", json!({ "row": 1 })).await.problem(400, "invalid_config");
    assert!(bad.contains("unknown field `row`, expected one of `rows`"), "{bad}");
    check("nope/validate", json!({})).await.problem(404, "not_found");
    check("counter/validate", json!([1])).await.problem(400, "invalid_request");
}

#[tokio::test]
async fn a_preview_takes_one_tick_and_keeps_nothing() {
    let server = Server::start().await;
    let preview =
        async |config: Value| server.call("POST", "/v1/connector-types/counter/preview", Some(config)).await;
    let shown = preview(json!({ "rows": 30 })).await;
    assert_eq!(shown.status, StatusCode::OK);
    let shown = shown.json();
    assert_eq!((&shown["row_count"], &shown["attempts"]), (&json!(30), &json!(1)));
    assert!(shown["duration_ms"].is_u64());
    let rows = shown["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 20);
    assert_eq!((&rows[0]["value"], &rows[1]["value"]), (&Value::Null, &json!(1.0)));
    assert_eq!((&rows[7]["name"], &rows[7]["labels"]), (&json!("n"), &json!({ "i": "7" })));
    assert_eq!(server.get("/v1/connectors").await.json()["connectors"], json!([]));

    let failed = preview(json!({ "rows": 1, "fail": "transient" })).await;
    assert_eq!(failed.problem(502, "transient"), "the source is down");
    preview(json!({ "rows": 1, "fail": "permanent" })).await.problem(502, "permanent");
    let failed = preview(json!({ "rows": 1, "token_ref": "$env:GONE" })).await.problem(422, "config");
    assert!(failed.contains("$env:GONE"), "{failed}");
    preview(json!({ "rows": 5_001 })).await.problem(400, "invalid_config");
    let failed = preview(json!({ "rows": 1, "fail": "panic" })).await.problem(502, "permanent");
    assert_eq!(failed, "the connector panicked: of the source");
}

#[tokio::test]
async fn a_stop_lets_the_listener_go() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    let address = server.address;
    server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
