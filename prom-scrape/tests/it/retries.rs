//! Which failures are tried again, how often, and with which error a scrape ends.

use std::time::{Duration, SystemTime};

use crate::fixture::{Server, Step, chain, no_credentials, ok, once, raw, response, scrape};
use prom_scrape::{Client, ErrorKind, ScrapeOptions, Target};

#[tokio::test]
async fn what_passes_by_itself_is_tried_again() {
    let cases: Vec<(&str, Vec<Step>)> = vec![
        ("429", response(429, "", "slow down")),
        ("500", response(500, "", "broken")),
        ("503 with a large body", response(503, "", "x".repeat(100_000))),
        ("599", response(599, "", "")),
        ("Retry-After: 0", response(503, "Retry-After: 0", "")),
        ("a senseless Retry-After", response(503, "Retry-After: soon", "")),
        ("closed without an answer", vec![Step::Close]),
        ("reset without an answer", vec![Step::Reset]),
        ("half a head", raw("HTTP/1.1 200 OK\r\nContent-")),
        ("no HTTP", raw("SSH-2.0-OpenSSH_9.2\r\n")),
        ("cut by its length", raw("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\na 1\n")),
        ("cut in a chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\na 1\n")),
        ("without a last chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n")),
        (
            "a malformed chunk",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\na 1\n\r\n0\r\n\r\n"),
        ),
        ("reset in the body", {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\na 1\n".to_vec();
            vec![Step::Send(head), Step::Reset]
        }),
        ("a gzip trailer missing", {
            let body = crate::fixture::gzip(b"a 1\n");
            response(200, "Content-Encoding: gzip", &body[..body.len() - 3])
        }),
        ("ends with the connection, in mid-line", raw("HTTP/1.1 200 OK\r\n\r\na 1\nb 12")),
        ("ends with the connection, with no body", raw("HTTP/1.1 200 OK\r\n\r\n")),
        (
            "OpenMetrics that ends with the connection and without # EOF",
            raw("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text\r\n\r\na 1\n"),
        ),
    ];
    let client = Client::new().unwrap();
    let mut running = tokio::task::JoinSet::new();
    for (what, reply) in cases {
        let server = Server::replying(vec![reply, ok("a 1\n")]).await;
        let client = client.clone();
        running.spawn(
            async move { (what, scrape(&client, &server.target("/")).await, server.requests().len()) },
        );
    }
    while let Some(case) = running.join_next().await {
        let (what, result, requests) = case.unwrap();
        let scrape = result.unwrap_or_else(|e| panic!("{what}: {}", chain(&e)));
        assert_eq!((scrape.body(), scrape.attempts(), requests), (&b"a 1\n"[..], 2, 2), "{what}");
    }
}

#[tokio::test]
async fn what_needs_somebody_is_not_tried_again() {
    let mut gzip = crate::fixture::gzip(b"a 1\n");
    let at = gzip.len() - 6;
    gzip[at] ^= 1;
    let cases: Vec<(&str, Vec<Step>, ErrorKind, Option<u16>)> = vec![
        (
            "101",
            raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            ErrorKind::Status,
            Some(101),
        ),
        ("204", response(204, "", ""), ErrorKind::Status, Some(204)),
        ("206", response(206, "", "a 1\n"), ErrorKind::Status, Some(206)),
        ("300", response(300, "Location: /x", ""), ErrorKind::Status, Some(300)),
        ("302 without Location", response(302, "", ""), ErrorKind::Status, Some(302)),
        ("304", raw("HTTP/1.1 304 Not Modified\r\n\r\n"), ErrorKind::Status, Some(304)),
        ("400", response(400, "", ""), ErrorKind::Status, Some(400)),
        ("401", response(401, "", ""), ErrorKind::Status, Some(401)),
        ("404", response(404, "Retry-After: 0", "gone"), ErrorKind::Status, Some(404)),
        ("408", response(408, "", ""), ErrorKind::Status, Some(408)),
        ("an unknown encoding", response(200, "Content-Encoding: br", "a 1\n"), ErrorKind::Encoding, None),
        ("encoded twice", response(200, "Content-Encoding: gzip, gzip", "a 1\n"), ErrorKind::Encoding, None),
        ("a corrupt gzip", response(200, "Content-Encoding: gzip", gzip), ErrorKind::Encoding, None),
        (
            "no gzip at all",
            response(200, "Content-Encoding: gzip", "plain text\n"),
            ErrorKind::Encoding,
            None,
        ),
        (
            "a transfer coding",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\na 1\n"),
            ErrorKind::Encoding,
            None,
        ),
        (
            "a head without end",
            vec![Step::Send(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), Step::SendForever(vec![b'x'; 4096])],
            ErrorKind::TooLarge,
            None,
        ),
    ];
    let client = Client::new().unwrap();
    for (what, reply, kind, status) in cases {
        let server = Server::replying(vec![reply]).await;
        let error = scrape(&client, &server.target("/")).await.expect_err(what);
        let got = (error.kind(), error.status(), error.attempts(), error.is_transient());
        assert_eq!(got, (kind, status, 1, false), "{what}: {}", chain(&error));
        assert_eq!(server.requests().len(), 1, "{what}");
        assert!(error.to_string().contains(&server.addr.to_string()), "{what}: {error}");
    }
}

#[tokio::test]
async fn four_attempts_and_then_the_last_error() {
    let server = Server::replying(vec![response(500, "", "broken")]).await;
    let error = scrape(&Client::new().unwrap(), &server.target("/metrics")).await.unwrap_err();
    assert_eq!((error.attempts(), server.requests().len()), (4, 4));
    assert!(error.is_transient());
    assert_eq!(error.to_string(), format!("http://{} answered HTTP 500 Internal Server Error", server.addr));
}

#[tokio::test]
async fn a_refused_connection_is_tried_four_times() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let target = Target::parse(&format!("http://{addr}/")).unwrap();
    let error = scrape(&Client::new().unwrap(), &target).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), error.is_transient()), (ErrorKind::Connect, 4, true));
    let shown = chain(&error);
    assert!(shown.starts_with(&format!("no connection to http://{addr}: ")), "{shown}");
    assert!(shown.contains("Connection refused"), "{shown}");
}

#[tokio::test]
async fn a_host_that_does_not_resolve_is_named() {
    let target = Target::parse("http://no-such-host.invalid/").unwrap();
    let error = scrape(&once(), &target).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Connect, true));
    assert_eq!(error.to_string(), "the host name of http://no-such-host.invalid does not resolve");
}

#[tokio::test]
async fn a_retry_after_beyond_the_next_scrape_ends_this_one() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    for header in ["Retry-After: 3600".to_owned(), format!("Retry-After: {date}")] {
        let server = Server::replying(vec![response(503, &header, "")]).await;
        let options = ScrapeOptions::new().retry_within(Duration::from_secs(60));
        let error =
            Client::new().unwrap().scrape(&server.target("/"), no_credentials, &options).await.unwrap_err();
        assert_eq!(
            (error.attempts(), error.status(), error.is_transient()),
            (1, Some(503), true),
            "{header}"
        );
        assert!(error.retry_after().unwrap() > Duration::from_secs(3500), "{header}");
        assert!(
            error.to_string().contains("HTTP 503 Service Unavailable, and asks to be left alone"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_before_the_next_scrape_is_waited_for() {
    let server = Server::replying(vec![response(429, "Retry-After: 1", ""), ok("a 1\n")]).await;
    let started = tokio::time::Instant::now();
    let scrape = scrape(&Client::new().unwrap(), &server.target("/")).await.unwrap();
    assert_eq!(scrape.attempts(), 2);
    assert!(started.elapsed() >= Duration::from_secs(1));
}
