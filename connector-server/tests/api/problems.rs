//! Every error is problem+json, with a stable code and a detail that helps.

use std::sync::Arc;

use crate::broken::BrokenStore;
use crate::server::{Server, spec};
use axum::http::{StatusCode, header};
use connector_server::Access;
use serde_json::{Value, json};

const NOWHERE: &str = "/v1/connectors/6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

/// A good body with one field changed, or taken out where the value is null.
fn with(field: &str, value: Value) -> String {
    let mut body = spec("bad");
    if value.is_null() {
        body.as_object_mut().unwrap().remove(field);
    } else {
        body[field] = value;
    }
    body.to_string()
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_with_the_reason() {
    let server = Server::start().await;
    let id = server.create("taken").await;
    let cases: &[(String, u16, &str, &str)] = &[
        (r#"{"name": "#.to_owned(), 400, "invalid_request", "EOF while parsing"),
        (String::new(), 400, "invalid_request", "EOF while parsing"),
        ("nonsense".to_owned(), 400, "invalid_request", "expected"),
        ("null".to_owned(), 400, "invalid_request", "expected a JSON object"),
        (format!("{} true", spec("bad")), 400, "invalid_request", "trailing characters"),
        (
            r#"["n","counter","default","t",1000,{"rows":1}]"#.to_owned(),
            400,
            "invalid_request",
            "expected a JSON object",
        ),
        (with("target_tabel", json!("x")), 400, "invalid_request", "unknown field `target_tabel`"),
        (with("name", Value::Null), 400, "invalid_request", "missing field `name`"),
        (with("config", Value::Null), 400, "invalid_request", "missing field `config`"),
        (with("name", json!("")), 400, "invalid_request", "name: "),
        (with("name", json!(7)), 400, "invalid_request", "invalid type: integer `7`, expected a string"),
        (with("target_database", json!("a.b")), 400, "invalid_request", "target_database: "),
        (with("target_table", json!("a\"b")), 400, "invalid_request", "target_table: "),
        (with("schedule_ms", json!(99)), 400, "invalid_request", "schedule_ms: "),
        (with("schedule_ms", json!(86_400_001)), 400, "invalid_request", "schedule_ms: "),
        (with("schedule_ms", json!(1.5)), 400, "invalid_request", "expected i64"),
        (with("type", json!("nope")), 400, "unknown_type", "type: no connector type \"nope\""),
        (with("config", json!({})), 400, "invalid_config", "missing field `rows`"),
        (
            with("config", json!({"rows": 1, "x": 1})),
            400,
            "invalid_config",
            "unknown field `x`, expected one of `rows`",
        ),
        (with("config", json!([1])), 400, "invalid_config", "expected a JSON object"),
        (with("config", json!({"rows": 9999})), 400, "invalid_config", "rows: must be at most 5000"),
        (
            with("config", json!({"rows": 1, "token_ref": "hunter2"})),
            400,
            "invalid_config",
            "given by reference",
        ),
        (spec("taken").to_string().replace("\"numbers\"", "\"other\""), 409, "name_taken", "\"taken\""),
        (format!("{}{}", spec("bad"), " ".repeat(1 << 20)), 413, "body_too_large", "1048576"),
    ];
    for (body, status, code, word) in cases {
        let reply = server.send("POST", "/v1/connectors", &[], body.as_bytes()).await;
        let detail = reply.problem(*status, code);
        assert!(detail.contains(word), "{body:.200}: {detail}");
        assert!(!detail.contains("hunter2"), "{detail}");
    }
    let other = server.create("other").await;
    for (body, status, code, word) in cases {
        let reply = server.send("PUT", &format!("/v1/connectors/{other}"), &[], body.as_bytes()).await;
        let detail = reply.problem(*status, code);
        assert!(detail.contains(word), "{body:.200}: {detail}");
    }
    let kept = server.get("/v1/connectors").await.json();
    let mut ids: Vec<&str> =
        kept["connectors"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let mut made = [id.to_string(), other.to_string()];
    made.sort();
    assert_eq!(ids, made, "nothing refused was kept");
}

#[tokio::test]
async fn paths_methods_and_queries_that_make_no_sense_are_refused_with_the_reason() {
    let server = Server::start().await;
    server.create("one").await;
    let good = spec("two").to_string();
    for (method, path, status, code, word) in [
        ("GET", "/v1/nope", 404, "not_found", "/v1/nope"),
        ("GET", "/v1/connectors/", 404, "not_found", "/v1/connectors/"),
        ("GET", "/v1/connectors/not-an-id", 404, "not_found", "not-an-id"),
        ("GET", "/v1/connectors/%ff", 404, "not_found", "%ff"),
        ("GET", NOWHERE, 404, "not_found", "connector"),
        ("PUT", NOWHERE, 404, "not_found", "connector"),
        ("DELETE", NOWHERE, 404, "not_found", "connector"),
        ("POST", &format!("{NOWHERE}/trigger"), 404, "not_found", "connector"),
        ("POST", &format!("{NOWHERE}/pause"), 404, "not_found", "connector"),
        ("POST", &format!("{NOWHERE}/resume"), 404, "not_found", "connector"),
        ("GET", &format!("{NOWHERE}/ticks"), 404, "not_found", "connector"),
        ("GET", "/v1/tables/default/nope/rows", 404, "not_found", "table"),
        ("GET", "/v1/tables/nope/numbers/rows", 404, "not_found", "table"),
        ("GET", "/v1/tables/a%22b/c'd/rows", 404, "not_found", "table"),
        ("PATCH", NOWHERE, 405, "method_not_allowed", "PATCH"),
        ("DELETE", "/v1/connectors", 405, "method_not_allowed", "DELETE"),
        ("GET", &format!("{NOWHERE}/trigger"), 405, "method_not_allowed", "GET"),
        ("GET", "/v1/connectors?limit=0", 400, "invalid_request", "limit: "),
        ("GET", "/v1/connectors?limit=1001", 400, "invalid_request", "limit: "),
        ("GET", "/v1/connectors?limit=1&limit=2", 400, "invalid_request", "limit: "),
        ("GET", "/v1/connectors?after=x", 400, "invalid_request", "after: "),
        ("GET", "/v1/connectors?page=2", 400, "invalid_request", "page: "),
        ("GET", &format!("{NOWHERE}/ticks?limit=x"), 400, "invalid_request", "limit: "),
        ("GET", "/v1/tables/default/numbers/rows?limit=1000001", 400, "invalid_request", "limit: "),
        ("GET", "/v1/tables/default/numbers/rows?limit=-1", 400, "invalid_request", "limit: "),
        ("GET", "/v1/tables/default/numbers/rows?since=yesterday", 400, "invalid_request", "since: "),
        ("GET", "/v1/tables/default/numbers/rows?until=2026-05-02", 400, "invalid_request", "until: "),
        ("GET", "/v1/tables/default/numbers/rows?nope=1", 400, "invalid_request", "nope"),
    ] {
        let reply = server.send(method, path, &[], good.as_bytes()).await;
        let detail = reply.problem(status, code);
        assert!(detail.contains(word), "{method} {path}: {detail}");
        assert_eq!(reply.headers.contains_key(header::ALLOW), status == 405, "{method} {path}");
    }
    let allow = server.call("PATCH", NOWHERE, None).await;
    let mut methods: Vec<&str> = allow.header(&header::ALLOW).split(',').collect();
    methods.sort_unstable();
    assert_eq!(methods, ["DELETE", "GET", "HEAD", "PUT"]);
}

#[tokio::test]
async fn a_store_that_fails_is_told_with_its_cause() {
    let server = Server::with(Arc::new(BrokenStore), Access::Local).await;
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
    for (method, path) in [
        ("GET", "/readyz"),
        ("POST", "/v1/connectors"),
        ("GET", "/v1/connectors"),
        ("GET", NOWHERE),
        ("PUT", NOWHERE),
        ("DELETE", NOWHERE),
        ("POST", &format!("{NOWHERE}/trigger")),
        ("POST", &format!("{NOWHERE}/pause")),
        ("GET", &format!("{NOWHERE}/ticks")),
        ("GET", "/v1/tables/default/numbers/rows"),
    ] {
        let detail = server.call(method, path, Some(spec("x"))).await.problem(503, "store_unavailable");
        assert_eq!(detail, "cannot use the store: the disk is full", "{method} {path}");
    }
}

#[tokio::test]
async fn rows_that_end_early_are_cut_off_and_never_pass_for_complete() {
    let server = Server::with(Arc::new(BrokenStore), Access::Local).await;
    let reply = server.try_send("GET", "/v1/tables/default/cut/rows", &[], b"").await;
    assert!(reply.is_err(), "{}", reply.unwrap().text());
}

#[tokio::test]
async fn a_panic_is_answered_and_the_connection_goes_on() {
    let server = Server::with(Arc::new(BrokenStore), Access::Local).await;
    for _ in 0..2 {
        server.get("/v1/tables/default/panic/rows").await.problem(500, "internal");
    }
}
