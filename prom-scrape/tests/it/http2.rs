//! Scrapes over HTTP/2: the same promises as over HTTP/1.1.

use std::time::Duration;

use crate::fixture::{chain, gzip, no_credentials, scrape};
use crate::secure::{Answer, Authority, EVERYTHING, End, Seen, Server, Speaks};
use prom_scrape::{Client, Credentials, ErrorKind, Phase, ScrapeOptions};

const HTTP_2: Speaks = Speaks { alpn: &["h2"], ..EVERYTHING };

async fn start(script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> (Server, Client) {
    let authority = Authority::new();
    let server = Server::start(&authority.issue("localhost"), HTTP_2, script).await;
    (server, authority.trusted().build().unwrap())
}

#[tokio::test]
async fn a_request_names_its_host_once_and_carries_its_headers() {
    let (server, client) = start(|_, _| Answer::new(200, "a 1\n").with("content-type", "text/plain")).await;
    let token = || Ok::<_, std::io::Error>(Credentials::Bearer("s3cret".into()));
    let scrape = client.scrape(&server.target("/m?x=1"), token, &ScrapeOptions::new()).await.unwrap();
    assert_eq!((scrape.body(), scrape.version()), (&b"a 1\n"[..], "HTTP/2"));
    assert!(scrape.length_framed());
    let seen = &server.seen()[0];
    assert_eq!(seen.uri, server.target("/m?x=1").to_string());
    assert_eq!(seen.headers["authorization"], "Bearer s3cret");
    assert_eq!(seen.headers["x-prometheus-scrape-timeout-seconds"], "5");
    assert!(!seen.headers.contains_key("host"), "HTTP/2 has :authority for it");
}

#[tokio::test]
async fn large_and_compressed_bodies_arrive_whole() {
    let body: Vec<u8> = (0..300_000).flat_map(|n| format!("metric_{n} {n}\n").into_bytes()).collect();
    let (plain, zipped) = (body.clone(), gzip(&body));
    let (server, client) = start(move |n, _| match n {
        0 => Answer::new(200, plain.clone()),
        _ => Answer::new(200, zipped.clone()).with("content-encoding", "gzip"),
    })
    .await;
    for encoding in ["identity", "gzip"] {
        let scrape = scrape(&client, &server.target("/")).await.unwrap();
        assert_eq!((scrape.encoding(), scrape.body().len()), (encoding, body.len()));
        assert!(scrape.body() == body);
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0), "the connection is kept");
}

#[tokio::test]
async fn a_stream_that_is_reset_is_no_whole_body() {
    for answer in [
        Answer::new(200, "a 1\n").ending(End::Reset),
        Answer::new(200, "a 1\n").with("content-length", "40").ending(End::Reset),
    ] {
        let (server, client) = start(move |_, _| answer.clone()).await;
        let error = scrape(&client, &server.target("/")).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Transport, true), "{}", chain(&error));
        assert!(error.tls().is_some());
    }
}

#[tokio::test]
async fn limits_hold() {
    let authority = Authority::new();
    let server =
        Server::start(&authority.issue("localhost"), HTTP_2, |_, _| Answer::new(200, vec![b'#'; 100_000]))
            .await;
    for (limit, passes) in [(100_000, true), (99_999, false)] {
        let client = authority.trusted().max_body_bytes(limit).build().unwrap();
        match scrape(&client, &server.target("/")).await {
            Ok(scrape) => assert!(passes && scrape.body().len() == limit),
            Err(error) => assert!(!passes && error.kind() == ErrorKind::TooLarge, "{}", chain(&error)),
        }
    }
}

#[tokio::test]
async fn a_head_beyond_the_limit_fails_the_scrape() {
    let (server, client) = start(|_, _| Answer::new(200, "a 1\n").with("x", "x".repeat(300 << 10))).await;
    let error = scrape(&client, &server.target("/")).await.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Wait), "{}", chain(&error));
}

#[tokio::test]
async fn status_and_redirect_are_as_over_http_1() {
    let (server, client) = start(|_, seen| match seen.uri.rsplit('/').next().unwrap() {
        "from" => Answer::new(302, "moved").with("location", "/to"),
        "to" => Answer::new(200, "a 1\n"),
        _ => Answer::new(503, "busy").with("retry-after", "7"),
    })
    .await;
    let found = scrape(&client, &server.target("/from")).await.unwrap();
    assert_eq!(found.url(), server.target("/to").to_string());
    let error = scrape(&client, &server.target("/busy")).await.unwrap_err();
    assert_eq!((error.status(), error.retry_after()), (Some(503), Some(Duration::from_secs(7))));
    assert!(server.seen().iter().all(|seen| seen.connection == 0), "the connection is kept");
}

#[tokio::test]
async fn a_connection_that_fell_silent_is_not_used_again() {
    for end in [End::Silence, End::Hang] {
        let (server, client) = start(move |n, _| match n {
            1 => Answer::new(200, "a 1\n").ending(end),
            _ => Answer::new(200, "a 1\n"),
        })
        .await;
        let options = ScrapeOptions::new().timeout(Duration::from_millis(100));
        scrape(&client, &server.target("/")).await.unwrap();
        let error = client.scrape(&server.target("/"), no_credentials, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        server.left().await;
        scrape(&client, &server.target("/")).await.unwrap();
        assert_eq!(server.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 0, 1]);
    }
}

#[tokio::test]
async fn a_cancelled_scrape_leaves_no_connection() {
    let (server, client) = start(|_, _| Answer::new(200, "a 1\n").ending(End::Silence)).await;
    let (target, options) = (server.target("/"), ScrapeOptions::new());
    tokio::select! {
        result = client.scrape(&target, no_credentials, &options) => panic!("it hangs, but: {result:?}"),
        () = server.arrived() => {}
    }
    server.left().await;
}
