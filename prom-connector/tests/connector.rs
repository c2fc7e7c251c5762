//! The connector from outside: configurations refused, and ticks against a real HTTP server.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use connector_core::{
    Cancellation, ColumnData, Configured, Registry, ResolveSecret, Rows, Secret, SecretError, SecretRef,
    TickContext, TickError, chain,
};
use prom_connector::Prometheus;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const TEXT: &str = "text/plain; version=0.0.4";

struct Secrets(HashMap<&'static str, &'static str>);

impl ResolveSecret for Secrets {
    fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let found = self.0.get(reference.to_string().as_str());
        found.map(|secret| Secret::new(*secret)).ok_or_else(|| SecretError::new(reference, "is not set"))
    }
}

fn configure(config: &Value) -> Result<Configured, String> {
    let registry = Registry::new().with(Prometheus::new().unwrap());
    registry.configure("prometheus", config).map_err(|e| e.to_string())
}

/// Answers each request with the next of the answers; gives the URL, and the heads of the requests when done.
async fn serve(answers: Vec<String>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let heads = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.unwrap());
            }
            heads.push(String::from_utf8(head).unwrap());
            connection.write_all(answer.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
        }
        heads
    });
    (url, heads)
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

async fn tick(config: &Value) -> (Result<(), TickError>, Rows, u32) {
    let connector = configure(config).unwrap();
    let secrets = Secrets(HashMap::from([("$env:TOKEN", "s3cret"), ("$file:/pw", "pa:ss")]));
    let now = chrono::Utc::now();
    let context = TickContext::new(now, Duration::from_secs(15), Arc::new(secrets), Cancellation::new());
    let mut rows = Rows::new(connector.schema());
    let ended = connector.tick(&context, &mut rows).await;
    (ended, rows, context.attempts())
}

#[test]
fn configurations_are_refused_with_the_field_and_the_reason() {
    let good = json!({ "endpoint": "http://h/metrics" });
    assert!(configure(&good).is_ok());
    let with = |key: &str, value: Value| {
        let mut config = good.clone();
        config[key] = value;
        configure(&config).unwrap_err()
    };
    assert_eq!(
        with("endpont", json!(1)),
        "unknown field `endpont`, expected one of `endpoint`, `auth`, `timeout_ms`"
    );
    assert_eq!(configure(&json!({})).unwrap_err(), "missing field `endpoint`");
    for endpoint in ["ftp://host/metrics", "host:9100/metrics", "/metrics", "", "http://", "https:///metrics"]
    {
        assert!(with("endpoint", json!(endpoint)).starts_with("endpoint: "), "{endpoint}");
    }
    let userinfo = with("endpoint", json!("http://u:hunter2@h/"));
    assert!(userinfo.starts_with("endpoint: ") && !userinfo.contains("hunter2"), "{userinfo}");
    for timeout in [99, 60_001] {
        assert!(with("timeout_ms", json!(timeout)).starts_with("timeout_ms: "));
    }
    assert!(with("timeout_ms", json!("5000")).starts_with("invalid type"));
    assert!(with("auth", json!({"type": "none", "token": "x"})).starts_with("unknown field `token`"));
    assert!(with("auth", json!({"type": "bearer"})).starts_with("missing field `token_ref`"));
    assert!(with("auth", json!({"type": "digest"})).starts_with("unknown variant `digest`"));
    let written_out = with("auth", json!({"type": "bearer", "token_ref": "hunter2"}));
    assert!(written_out.starts_with("token_ref: ") && !written_out.contains("hunter2"), "{written_out}");
    let colon = with("auth", json!({"type": "basic", "username": "a:b", "password_ref": "$env:X"}));
    assert!(colon.contains("username"), "{colon}");
    assert!(with("auth", json!(["bearer", "$env:X"])).starts_with("auth: "));
}

#[tokio::test]
async fn each_sample_is_one_row() {
    let body = "# TYPE a counter\na{b=\"c\\n\",d=\"e\"} 1.5 1395066363123\nnan NaN\n";
    let (url, heads) = serve(vec![answer("200 OK", TEXT, body)]).await;
    let config = json!({ "endpoint": url, "auth": { "type": "bearer", "token_ref": "$env:TOKEN" } });
    let (ended, rows, attempts) = tick(&config).await;
    ended.unwrap();
    assert_eq!((rows.len(), attempts), (2, 1));
    let [ColumnData::Time, ColumnData::String(name), ColumnData::Real(value), ColumnData::Dynamic(labels)] =
        rows.columns()
    else {
        panic!("columns of another shape")
    };
    assert_eq!((name.get(0), value.get(0)), (Some("a"), Some(1.5)));
    assert_eq!(labels.entries(0).collect::<Vec<_>>(), [("b", "c\n"), ("d", "e")]);
    assert_eq!((name.get(1), value.get(1), labels.entries(1).count()), (Some("nan"), None, 0));
    let head = heads.await.unwrap().remove(0).to_ascii_lowercase();
    assert!(head.contains("authorization: bearer s3cret\r\n"), "{head}");
}

#[tokio::test]
async fn the_content_type_chooses_the_parser() {
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let (url, _heads) = serve(vec![answer("200 OK", openmetrics, "# TYPE a gauge\na 1\n")]).await;
    let (ended, ..) = tick(&json!({ "endpoint": url })).await;
    let error = ended.unwrap_err();
    assert!(matches!(error, TickError::Permanent(_)), "{error:?}");
    assert!(chain(&error).contains("EOF"), "{}", chain(&error));
}

#[tokio::test]
async fn what_is_no_exposition_is_permanent_and_says_where() {
    let (url, _heads) = serve(vec![answer("200 OK", "text/html", "<!DOCTYPE html>\n<html></html>\n")]).await;
    let (ended, _, attempts) = tick(&json!({ "endpoint": url })).await;
    let error = ended.unwrap_err();
    assert!(matches!(error, TickError::Permanent(_)), "{error:?}");
    assert_eq!(attempts, 1);
    let text = chain(&error);
    assert!(text.contains("text/html") && text.contains("line 1, column 1, offset 0"), "{text}");
}

#[tokio::test]
async fn more_samples_than_a_tick_can_land_are_permanent() {
    let (url, _heads) = serve(vec![answer("200 OK", TEXT, &"a 1\n".repeat(Rows::MAX_ROWS + 1))]).await;
    let (ended, ..) = tick(&json!({ "endpoint": url, "timeout_ms": 60_000 })).await;
    let error = ended.unwrap_err();
    assert!(matches!(error, TickError::Permanent(_)), "{error:?}");
    assert_eq!(chain(&error), "the tick has more than 4000000 rows");
}

#[tokio::test]
async fn statuses_become_classes() {
    let (url, _heads) = serve(vec![answer("404 Not Found", TEXT, "gone")]).await;
    let (ended, _, attempts) = tick(&json!({ "endpoint": url })).await;
    assert!(matches!(ended, Err(TickError::Permanent(_))), "{ended:?}");
    assert_eq!(attempts, 1);

    let (url, _heads) = serve(vec![answer("500 Internal Server Error", TEXT, ""); 4]).await;
    let (ended, _, attempts) = tick(&json!({ "endpoint": url })).await;
    assert!(matches!(ended, Err(TickError::Transient(_))), "{ended:?}");
    assert_eq!(attempts, 4);
}

#[tokio::test]
async fn a_secret_that_is_gone_is_a_config_error_and_nothing_is_sent() {
    let config = |auth: Value| json!({ "endpoint": "http://127.0.0.1:9/metrics", "auth": auth });
    for (auth, text) in [
        (json!({"type": "bearer", "token_ref": "$env:GONE"}), "token resolve: `$env:GONE`: is not set"),
        (
            json!({"type": "basic", "username": "u", "password_ref": "$env:GONE"}),
            "password resolve: `$env:GONE`: is not set",
        ),
    ] {
        let (ended, _, attempts) = tick(&config(auth)).await;
        let error = ended.unwrap_err();
        assert!(matches!(error, TickError::Config(_)), "{error:?}");
        assert_eq!((chain(&error).as_str(), attempts), (text, 0));
    }
}
