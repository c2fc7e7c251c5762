//! Who is let in, and the operator's page.

use std::sync::Arc;

use crate::server::{Reply, Server, spec};
use axum::http::{StatusCode, header};
use connector_core::Secret;
use connector_runtime::memory::MemoryStore;
use connector_server::Access;

const TOKEN: &str = "s3cret-t0ken";

async fn guarded() -> Server {
    Server::with(Arc::new(MemoryStore::new()), Access::Token(Secret::new(TOKEN))).await
}

#[tokio::test]
async fn a_token_guards_everything_but_the_probes() {
    let server = guarded().await;
    let right = format!("authorization: Bearer {TOKEN}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).await.status, StatusCode::OK, "{path}");
    }
    for path in
        ["/", "/metrics", "/v1/connectors", "/v1/connector-types", "/v1/nope", "/healthz/", "//healthz"]
    {
        for wrong in [
            &[][..],
            &["authorization: Bearer wrong"],
            &["authorization: Bearer s3cret-t0ke"],
            &["authorization: Bearer "],
            &["authorization: Basic czNjcmV0LXQwa2Vu"],
            &["x-authorization: Bearer s3cret-t0ken"],
        ] {
            let reply = server.send("GET", path, wrong, b"").await;
            let detail = reply.problem(401, "unauthorized");
            assert!(!detail.contains(TOKEN) && !detail.contains("wrong"), "{detail}");
            assert_eq!(reply.header(&header::WWW_AUTHENTICATE), "Bearer");
        }
    }
    let body = spec("one").to_string();
    server.send("POST", "/v1/connectors", &[], body.as_bytes()).await.problem(401, "unauthorized");
    let made = server.send("POST", "/v1/connectors", &[&right], body.as_bytes()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let lower = format!("authorization: bearer {TOKEN}");
    let list = server.send("GET", "/v1/connectors", &[&lower], b"").await;
    assert_eq!(list.json()["connectors"].as_array().unwrap().len(), 1);
    server.send("GET", "/v1/nope", &[&right], b"").await.problem(404, "not_found");
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let server = Server::start().await;
    let id = server.create("one").await;
    let pause = format!("/v1/connectors/{id}/pause");
    let own = format!("origin: http://{}", server.address);
    for other in [
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-site",
        "origin: http://example.org",
        "origin: null",
    ] {
        server.send("POST", &pause, &[other], b"").await.problem(403, "cross_origin");
        server
            .send("DELETE", &format!("/v1/connectors/{id}"), &[other], b"")
            .await
            .problem(403, "cross_origin");
    }
    for fine in ["sec-fetch-site: same-origin", "sec-fetch-site: none", &own] {
        assert_eq!(server.send("POST", &pause, &[fine], b"").await.status, StatusCode::OK, "{fine}");
    }
}

#[tokio::test]
async fn names_that_were_made_to_lead_here_are_refused_where_there_is_no_token() {
    let body = spec("one").to_string();
    let rebound =
        ["host: evil.example:8080", "sec-fetch-site: same-origin", "origin: http://evil.example:8080"];
    let server = Server::start().await;
    let detail = server.send("GET", "/v1/connectors", &rebound, b"").await.problem(403, "unknown_host");
    assert!(detail.contains("\"evil.example:8080\"") && detail.contains("--api-token-file"), "{detail}");
    for path in ["/", "/metrics", "/v1/connector-types", "/v1/tables/d/t/rows"] {
        server.send("GET", path, &rebound, b"").await.problem(403, "unknown_host");
    }
    server.send("POST", "/v1/connectors", &rebound, body.as_bytes()).await.problem(403, "unknown_host");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.send("GET", path, &rebound, b"").await.status, StatusCode::OK, "{path}");
    }
    for fine in ["host: localhost:1", "host: [::1]:8080", "host: 192.0.2.1"] {
        assert_eq!(server.send("GET", "/v1/connectors", &[fine], b"").await.status, StatusCode::OK, "{fine}");
    }

    let server = Server::with(Arc::new(MemoryStore::new()), Access::Anyone).await;
    let made = server.send("POST", "/v1/connectors", &rebound, body.as_bytes()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let server = guarded().await;
    let right = format!("authorization: Bearer {TOKEN}");
    let made = server.send("POST", "/v1/connectors", &[&right, rebound[0]], body.as_bytes()).await;
    assert_eq!(made.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_token_in_a_file_is_the_one_that_it_holds_when_a_request_comes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let server = Server::with(Arc::new(MemoryStore::new()), Access::TokenFile(file.clone())).await;
    let get = async |token: &str| {
        server.send("GET", "/v1/connectors", &[&format!("authorization: Bearer {token}")], b"").await
    };
    std::fs::write(&file, "one\n").unwrap();
    assert_eq!(get("one").await.status, StatusCode::OK);
    get("two").await.problem(401, "unauthorized");
    std::fs::write(&file, "two\n").unwrap();
    assert_eq!(get("two").await.status, StatusCode::OK);
    get("one").await.problem(401, "unauthorized");
    std::fs::write(&file, "").unwrap();
    get("").await.problem(503, "token_unreadable");
    std::fs::remove_file(&file).unwrap();
    let detail = get("two").await.problem(503, "token_unreadable");
    assert!(!detail.contains("two") && !detail.contains(folder.path().to_str().unwrap()), "{detail}");
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
}

/// Checks that the page is whole, needs nothing from elsewhere, and that its policy lets run what it has inside.
#[track_caller]
fn check_page(reply: &Reply) {
    assert_eq!(reply.header(&header::CONTENT_TYPE), "text/html; charset=utf-8");
    let html = reply.text();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("src="));
    assert!(!html.contains("innerHTML") && !html.contains("insertAdjacentHTML"), "texts only");
    let policy = reply.header(&header::CONTENT_SECURITY_POLICY);
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert_eq!(html.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "style and script");
    for rule in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn the_page_stands_alone() {
    let server = Server::start().await;
    let (first, second) = (server.get("/").await, server.get("/").await);
    assert_eq!(first.status, StatusCode::OK);
    check_page(&first);
    let policy = |reply: &Reply| reply.header(&header::CONTENT_SECURITY_POLICY).to_owned();
    assert_ne!(policy(&first), policy(&second), "a nonce is used once");
}

#[tokio::test]
async fn a_browser_without_the_token_gets_the_page_that_asks_for_it() {
    let server = guarded().await;
    let reply = server.send("GET", "/", &["accept: text/html,application/xhtml+xml"], b"").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    check_page(&reply);
    assert!(!reply.text().contains(TOKEN));
    let api = server.send("GET", "/v1/connectors", &["accept: text/html"], b"").await;
    api.problem(401, "unauthorized");
}
