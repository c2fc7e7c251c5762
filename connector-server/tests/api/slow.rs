//! Clients that take their time.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use connector_server::Access;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use crate::broken::BrokenStore;
use crate::server::Server;

/// What the server answers to a client that sends this and no more, and after how many seconds it hangs up.
async fn answer_to(server: &Server, sent: &[u8]) -> (String, u64) {
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let begun = Instant::now();
    connection.write_all(sent).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    (answer, begun.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_whole_request_is_hung_up_on() {
    let server = Server::start().await;
    for sent in [&b""[..], b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"] {
        let (answer, seconds) = answer_to(&server, sent).await;
        assert_eq!((answer.as_str(), seconds), ("", 30), "{}", sent.escape_ascii());
    }
    let (answer, seconds) = answer_to(&server, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && seconds == 30, "{seconds} s: {answer}");
    let head = b"POST /v1/connectors HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
    let (answer, seconds) = answer_to(&server, head).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n") && seconds == 30, "{seconds} s: {answer}");
    assert!(answer.contains(r#""code":"request_timeout""#), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_its_answer_is_hung_up_on() {
    /// More than two sockets hold.
    const MUCH: usize = 256 << 20;

    let server = Server::with(Arc::new(BrokenStore), Access::Local).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /v1/tables/default/endless/rows HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.write_all(request).await.unwrap();
    sleep(Duration::from_secs(61)).await;
    let (mut taken, mut buffer) = (0, vec![0; 1 << 20]);
    while let Ok(length @ 1..) = connection.read(&mut buffer).await {
        taken += length;
        assert!(taken < MUCH, "the answer goes on");
    }
    assert!(taken > 0);
}

/// Takes that much of an answer, or what is left of it. Time stands still meanwhile, as it does while anything blocks: it
/// would otherwise go on whenever the sockets are not as quick as the rest, and their part is not to be what is slow.
async fn take(mut connection: std::net::TcpStream, bytes: u64) -> (std::net::TcpStream, u64) {
    let taking = move || {
        let taken = std::io::copy(&mut (&mut connection).take(bytes), &mut std::io::sink());
        (connection, taken.unwrap_or(0))
    };
    tokio::task::spawn_blocking(taking).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_answer_bit_by_bit_is_hung_up_on_in_the_end() {
    /// More than the sockets hold, so that the server has to write before as much can be taken.
    const BIT: u64 = 5 << 20;

    let server = Server::with(Arc::new(BrokenStore), Access::Local).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut connection = socket.connect(server.address).await.unwrap();
    let request = b"GET /v1/tables/default/endless/rows HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut connection = connection.into_std().unwrap();
    connection.set_nonblocking(false).unwrap();
    let begun = Instant::now();
    loop {
        let taken;
        (connection, taken) = take(connection, BIT).await;
        if taken < BIT {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(1_000), "the answer goes on");
        sleep(Duration::from_secs(50)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(600), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_opens_more_connections_than_there_are_places_waits_for_one() {
    let server = Server::start().await;
    let begun = Instant::now();
    let mut idle = Vec::new();
    for _ in 0..256 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    let (answer, _) =
        answer_to(&server, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_preview_ends_in_time_and_one_too_many_does_not_begin() {
    let server = Server::start().await;
    let preview = async || {
        let (path, config) = ("/v1/connector-types/counter/preview", json!({ "rows": 1, "fail": "never" }));
        let begun = Instant::now();
        let reply = server.call("POST", path, Some(config)).await;
        (reply, begun.elapsed().as_secs())
    };
    let mut ended: FuturesUnordered<_> = (0..9).map(|_| preview()).collect();
    let (reply, seconds) = ended.next().await.unwrap();
    let detail = reply.problem(503, "busy");
    assert_eq!((detail.split(' ').next(), seconds), (Some("8"), 10), "{detail}");
    while let Some((reply, seconds)) = ended.next().await {
        assert_eq!(reply.problem(502, "transient"), "the preview took more than 60s");
        assert_eq!(seconds, 60);
    }
}
