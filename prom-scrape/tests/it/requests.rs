//! What a scrape sends, and what becomes of its credentials.

use std::error::Error as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::fixture::{Server, Step, no_credentials, ok, once, raw, response};
use prom_scrape::{Client, Credentials, Error, ErrorKind, ScrapeOptions};

#[tokio::test]
async fn the_headers_are_the_ones_that_exporters_know() {
    let server = Server::replying(vec![ok("a 1\n")]).await;
    let options = ScrapeOptions::new().timeout(Duration::from_millis(2500));
    let scrape = once().scrape(&server.target("/metrics?x=1#part"), no_credentials, &options).await.unwrap();
    assert_eq!((scrape.body(), scrape.status(), scrape.attempts()), (&b"a 1\n"[..], 200, 1));
    assert_eq!(scrape.content_type(), Some("text/plain; version=0.0.4"));
    assert_eq!((scrape.version(), scrape.encoding(), scrape.wire_len()), ("HTTP/1.1", "identity", 4));
    assert_eq!(
        (scrape.peer(), scrape.url()),
        (Some(server.addr), server.target("/metrics?x=1").to_string().as_str())
    );
    assert!(scrape.length_framed() && scrape.tls().is_none());

    let request = &server.requests()[0];
    assert_eq!(request.path, "/metrics?x=1");
    let mut headers: Vec<(&str, &str)> = request.headers.iter().map(|(k, v)| (&**k, &**v)).collect();
    headers.sort_unstable();
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4";
    let host = server.addr.to_string();
    let agent = concat!("prom-scrape/", env!("CARGO_PKG_VERSION"));
    let encodings = headers.iter().find(|(name, _)| *name == "accept-encoding").unwrap().1;
    assert!(encodings.split(", ").any(|encoding| encoding == "gzip"), "{encodings}");
    assert_eq!(
        headers,
        [
            ("accept", accept),
            ("accept-encoding", encodings),
            ("host", &*host),
            ("user-agent", agent),
            ("x-prometheus-scrape-timeout-seconds", "2.5"),
        ]
    );
}

#[tokio::test]
async fn credentials_are_asked_for_before_each_attempt() {
    let server = Server::replying(vec![response(503, "", ""), ok("a 1\n")]).await;
    let asked = AtomicU32::new(0);
    let rotating = || {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(Credentials::Bearer(format!("token-{n}").into()))
    };
    let client = Client::builder().user_agent("mine/2").build().unwrap();
    let scrape = client.scrape(&server.target("/"), rotating, &ScrapeOptions::new()).await.unwrap();
    assert_eq!(scrape.attempts(), 2);
    let requests = server.requests();
    let sent: Vec<&str> = requests.iter().map(|r| &*r.headers["authorization"]).collect();
    assert_eq!(sent, ["Bearer token-0", "Bearer token-1"]);
    assert_eq!(requests[0].headers["user-agent"], "mine/2");
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    #[derive(Debug, PartialEq)]
    struct Unresolved;
    impl std::fmt::Display for Unresolved {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("token resolve: TOKEN is not set")
        }
    }
    impl std::error::Error for Unresolved {}

    let server = Server::replying(vec![ok("a 1\n")]).await;
    let error = Client::new()
        .unwrap()
        .scrape(&server.target("/"), || Err(Unresolved), &ScrapeOptions::new())
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Credentials, 0));
    assert!(error.is_credentials() && !error.is_transient());
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("token resolve: TOKEN is not set"));
    assert_eq!(error.into_source().unwrap().downcast_ref(), Some(&Unresolved));

    let broken = || Ok::<_, Unresolved>(Credentials::Bearer("two\nlines".into()));
    let error =
        Client::new().unwrap().scrape(&server.target("/"), broken, &ScrapeOptions::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidCredentials, 0));
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn no_error_shows_a_secret() {
    let secret =
        || Ok::<_, std::io::Error>(Credentials::Basic { username: "ops".into(), password: "hunter2".into() });
    let encoded = "b3BzOmh1bnRlcjI=";
    for reply in [
        response(401, "WWW-Authenticate: Basic", "who is Basic b3BzOmh1bnRlcjI= hunter2?"),
        response(302, "Location: http://ops:hunter2@127.0.0.1:1/", ""),
        response(200, "Content-Encoding: br", "hunter2"),
        raw("hunter2 is not HTTP\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhunter2"),
        vec![Step::Close],
    ] {
        let server = Server::replying(vec![reply]).await;
        let error: Error =
            once().scrape(&server.target("/"), secret, &ScrapeOptions::new()).await.unwrap_err();
        let shown = format!("{} {error:?}", crate::fixture::chain(&error));
        assert!(!shown.contains("hunter2") && !shown.contains(encoded), "{shown}");
    }
}

#[tokio::test]
async fn a_cancelled_scrape_leaves_its_count_and_no_connection() {
    let server = Server::replying(vec![vec![Step::Hang]]).await;
    let (client, target, attempts) = (Client::new().unwrap(), server.target("/"), AtomicU32::new(0));
    let count = || {
        attempts.fetch_add(1, Ordering::Relaxed);
    };
    let options = ScrapeOptions::new().on_attempt(&count);
    tokio::select! {
        result = client.scrape(&target, no_credentials, &options) => panic!("it hangs, but: {result:?}"),
        () = server.arrived() => {}
    }
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
    server.hung_up().await;
}

#[tokio::test]
async fn a_scrape_may_run_on_any_thread() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let server = Server::replying(vec![ok("a 1\n")]).await;
    let (client, target) = (once(), server.target("/"));
    let scrape = tokio::spawn(async move {
        send(client.scrape(&target, no_credentials, &ScrapeOptions::new()))
            .await
            .map(prom_scrape::Scrape::into_body)
    });
    assert_eq!(scrape.await.unwrap().unwrap(), b"a 1\n");
}
