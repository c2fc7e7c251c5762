//! Redirects over real connections: what is followed, and what goes along.

use crate::fixture::{Request, Server, Step, no_credentials, ok, once, response, scrape};
use prom_scrape::{Credentials, ErrorKind, ScrapeOptions};

fn token() -> Result<Credentials, std::convert::Infallible> {
    Ok(Credentials::Bearer("s3cret".into()))
}

fn to(location: &str) -> Vec<Step> {
    response(302, &format!("Location: {location}"), "moved")
}

fn authorized(request: &Request) -> bool {
    request.headers.contains_key("authorization")
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed_with_its_credentials() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(move |_, request| match &*request.path {
            "/old?q" => response(status, "Location: new/place#part", "moved"),
            "/new/place" => ok("a 1\n"),
            _ => response(404, "", ""),
        })
        .await;
        let scrape = once().scrape(&server.target("/old?q"), token, &ScrapeOptions::new()).await.unwrap();
        assert_eq!((scrape.body(), scrape.attempts()), (&b"a 1\n"[..], 1), "{status}");
        assert_eq!(scrape.url(), server.target("/new/place").to_string());
        let requests = server.requests();
        assert!(requests.iter().all(authorized), "{status}");
        assert!(requests.iter().all(|r| r.connection == 0), "{status}: the connection is used again");
    }
}

#[tokio::test]
async fn credentials_do_not_leave_and_do_not_come_back() {
    let home = std::sync::Arc::new(std::sync::OnceLock::new());
    let back = home.clone();
    let other = Server::start(move |_, _| to(&format!("http://{}/end", back.get().unwrap()))).await;
    let elsewhere = other.addr;
    let server = Server::start(move |_, request| match &*request.path {
        "/start" => to(&format!("http://{elsewhere}/there")),
        _ => ok("a 1\n"),
    })
    .await;
    home.set(server.addr).unwrap();
    once().scrape(&server.target("/start"), token, &ScrapeOptions::new()).await.unwrap();
    let seen: Vec<bool> = server.requests().iter().chain(&other.requests()).map(authorized).collect();
    assert_eq!(seen, [true, false, false], "start, end, and the other server between them");
}

#[tokio::test]
async fn another_name_for_the_same_address_is_another_host() {
    let server = Server::start(|_, request| match &*request.path {
        "/" => to(&format!("http://localhost:{}/end", request.headers["host"].rsplit(':').next().unwrap())),
        _ => ok("a 1\n"),
    })
    .await;
    once().scrape(&server.target("/"), token, &ScrapeOptions::new()).await.unwrap();
    assert_eq!(server.requests().iter().map(authorized).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn ten_redirects_are_followed_and_no_more() {
    let server = Server::start(|_, request| match request.path[1..].parse::<u32>().unwrap() {
        0 => ok("a 1\n"),
        n => to(&format!("/{}", n - 1)),
    })
    .await;
    assert!(scrape(&once(), &server.target("/10")).await.is_ok());
    let error = scrape(&once(), &server.target("/11")).await.unwrap_err();
    assert_eq!((error.kind(), error.status(), error.is_transient()), (ErrorKind::Redirect, Some(302), false));
    assert_eq!(error.to_string(), format!("http://{} redirects more than 10 times", server.addr));
    assert_eq!(server.requests().len(), 11 + 11);
}

#[tokio::test]
async fn a_loop_is_named_and_not_tried_again() {
    let server = Server::start(|_, request| to(if request.path == "/a" { "/b" } else { "/a" })).await;
    let client = prom_scrape::Client::new().unwrap();
    let error = client.scrape(&server.target("/a"), no_credentials, &ScrapeOptions::new()).await.unwrap_err();
    let origin = format!("http://{}", server.addr);
    assert_eq!(error.to_string(), format!("{origin} redirects in a loop that comes back to {origin}/a"));
    assert_eq!((error.attempts(), server.requests().len()), (1, 11));
}

#[tokio::test]
async fn an_error_after_a_redirect_names_both_places() {
    let broken = Server::replying(vec![response(404, "", "")]).await;
    let elsewhere = broken.addr;
    let server = Server::start(move |_, _| to(&format!("http://{elsewhere}/"))).await;
    let error = scrape(&once(), &server.target("/")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("http://{elsewhere} (redirected from http://{}) answered HTTP 404 Not Found", server.addr)
    );
}
