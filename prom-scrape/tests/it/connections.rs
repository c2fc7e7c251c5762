//! Connections: kept, used again, and replaced when the server has closed them.

use crate::fixture::{Server, Step, no_credentials, ok, once, response, scrape};
use prom_scrape::{ErrorKind, Phase, ScrapeOptions};

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::replying(vec![ok("a 1\n")]).await;
    let client = once();
    let first = scrape(&client, &server.target("/")).await.unwrap();
    let again = scrape(&client.clone(), &server.target("/")).await.unwrap();
    assert!(server.requests().iter().all(|r| r.connection == 0));
    let connected = |scrape: &prom_scrape::Scrape| scrape.timings().get(Phase::Connect).is_some();
    assert_eq!((connected(&first), connected(&again)), (true, false));
    assert!(first.timings().get(Phase::Tls).is_none() && first.timings().get(Phase::Body).is_some());
}

#[tokio::test]
async fn an_error_with_a_short_body_keeps_its_connection() {
    let server = Server::replying(vec![response(500, "", "broken"), ok("a 1\n")]).await;
    let client = once();
    assert_eq!(scrape(&client, &server.target("/")).await.unwrap_err().kind(), ErrorKind::Status);
    assert!(scrape(&client, &server.target("/")).await.is_ok());
    assert!(server.requests().iter().all(|r| r.connection == 0));
}

#[tokio::test]
async fn a_connection_closed_while_idle_fails_nothing() {
    // Closed right after an answer, and only when the next request has already come.
    for last in [Step::Close, Step::Reset] {
        let closing = last.clone();
        let server = Server::start(move |_, _| [ok("a 1\n"), vec![closing.clone()]].concat()).await;
        let late = Server::start(move |n, _| if n % 2 == 0 { ok("a 1\n") } else { vec![last.clone()] }).await;
        let client = once();
        for _ in 0..4 {
            for server in [&server, &late] {
                let scrape = scrape(&client, &server.target("/")).await.unwrap();
                assert_eq!((scrape.body(), scrape.attempts()), (&b"a 1\n"[..], 1));
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_closes_every_connection_is_no_endless_loop() {
    let server = Server::replying(vec![ok("a 1\n"), vec![Step::Close]]).await;
    let client = once();
    assert!(scrape(&client, &server.target("/")).await.is_ok());
    let error = scrape(&client, &server.target("/")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(server.requests().len(), 3, "the kept connection, and a fresh one");
}

#[tokio::test]
async fn a_timed_out_connection_is_not_used_again() {
    let server = Server::replying(vec![vec![Step::Hang], ok("a 1\n")]).await;
    let client = once();
    let options = ScrapeOptions::new().timeout(std::time::Duration::from_millis(100));
    let error = client.scrape(&server.target("/"), no_credentials, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    server.hung_up().await;
    assert!(scrape(&client, &server.target("/")).await.is_ok());
    assert_eq!(server.requests()[1].connection, 1);
}
