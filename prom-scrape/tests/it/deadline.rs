//! One deadline for each attempt, whatever it is spent on. Time is paused: it moves on when nobody has anything to do.

use std::net::Ipv4Addr;
use std::time::Duration;

use prom_scrape::{Client, Error, ErrorKind, Phase, ScrapeOptions, Target};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::fixture::{Server, Step, chain, no_credentials, once, response};

/// The error of a scrape that may take 2 s.
async fn time_out(client: &Client, target: &Target) -> Error {
    let options = ScrapeOptions::new().timeout(Duration::from_secs(2));
    let error = client.scrape(target, no_credentials, &options).await.expect_err("it takes for ever");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout, true), "{}", chain(&error));
    error
}

fn assert_ended(error: &Error, target: &Target, phase: Phase) {
    assert_eq!(error.phase(), Some(phase), "{error}");
    let (origin, phase) = (target.origin(), phase.to_string());
    let expected = format!("{origin} gave no complete answer within 2s; time ran out while {phase}");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stops_halfway() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let cases: Vec<(Vec<Step>, Phase)> = vec![
        (vec![Step::Hang], Phase::Wait),
        (vec![Step::Send(head[..17].to_vec()), Step::Hang], Phase::Wait),
        (vec![Step::Send(head.clone()), Step::Hang], Phase::Body),
        (vec![Step::Send([&head, &b"4\r\na 1\n\r\n"[..]].concat()), Step::Hang], Phase::Body),
        (response(302, "Location: /hang", ""), Phase::Wait),
    ];
    for (reply, phase) in cases {
        let server =
            Server::start(move |_, r| if r.path == "/hang" { vec![Step::Hang] } else { reply.clone() }).await;
        let target = server.target("/");
        assert_ended(&time_out(&once(), &target).await, &target, phase);
    }
}

/// In real time, since a server that always has something to do leaves no pause to skip.
#[tokio::test]
async fn a_body_that_drips() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let drip = vec![Step::Send(head.into()), Step::SendForever(b"1\r\n#\r\n".to_vec())];
    let server = Server::replying(vec![drip]).await;
    let target = server.target("/");
    assert_ended(&time_out(&once(), &target).await, &target, Phase::Body);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_never_speaks() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for (scheme, phase) in [("http", Phase::Wait), ("https", Phase::Tls)] {
        let target = Target::parse(&format!("{scheme}://{}/", listener.local_addr().unwrap())).unwrap();
        let error = time_out(&Client::new().unwrap(), &target).await;
        assert_eq!(error.attempts(), 4);
        assert_ended(&error, &target, phase);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_done_when_the_next_scrape_is_due() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = Target::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let options = ScrapeOptions::new().timeout(Duration::from_secs(2)).retry_within(Duration::from_secs(5));
    let begun = tokio::time::Instant::now();
    let error = Client::new().unwrap().scrape(&target, no_credentials, &options).await.unwrap_err();
    // They begin after 0, 2.1 and 4.3 s, more or less, and the last one has what is left.
    assert_eq!((error.attempts(), error.kind()), (3, ErrorKind::Timeout));
    assert!(begun.elapsed() <= Duration::from_millis(5_001), "{:?}", begun.elapsed());
    let message = error.to_string();
    assert!(!message.contains("within 2s"), "{message}");
    assert!(message.ends_with("; not tried again, as the next scrape is due"), "{message}");
}

/// Linux does not answer whoever knocks at a full queue; other systems refuse.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_accept() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let _queued = TcpStream::connect(addr).await.unwrap();
    let target = Target::parse(&format!("http://{addr}/")).unwrap();
    assert_ended(&time_out(&once(), &target).await, &target, Phase::Connect);
}

#[test]
fn a_resolver_that_is_busy() {
    // Names are looked up on a thread of which there is one, and that one waits for the test to end.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        tokio::task::spawn_blocking(move || ended.recv());
        let target = Target::parse("http://localhost:9/").unwrap();
        assert_ended(&time_out(&once(), &target).await, &target, Phase::Resolve);
    });
    drop(end);
}
