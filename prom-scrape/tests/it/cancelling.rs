//! A scrape that is dropped, at whatever point, leaves nothing behind.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use prom_scrape::{Client, ScrapeOptions, Target};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::fixture::{no_credentials, once, read_request, scrape};

/// A server that answers byte by byte, and how many connections to it are open.
async fn slow_server() -> (Target, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let open = Arc::new(watch::Sender::new(0));
    let seen = open.subscribe();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            open.send_modify(|open| *open += 1);
            let open = open.clone();
            tokio::spawn(async move {
                let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n";
                'open: while read_request(&mut stream, 0).await.is_some() {
                    for byte in answer {
                        if stream.write_all(&[*byte]).await.is_err() {
                            break 'open;
                        }
                        tokio::task::yield_now().await;
                    }
                }
                open.send_modify(|open| *open -= 1);
            });
        }
    });
    (target, seen)
}

/// Polls a scrape so many times; whether it came to its end.
async fn polled(times: usize, client: &Client, target: &Target) -> bool {
    let options = ScrapeOptions::new();
    let mut scrape = pin!(client.scrape(target, no_credentials, &options));
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        scrape.as_mut().poll(context).map(|result| result.unwrap().body() == b"a 1\n")
    })
    .await
}

#[tokio::test]
async fn whatever_it_was_waiting_for() {
    let (target, mut open) = slow_server().await;
    let client = once();
    let mut points = 0;
    while !polled(points, &client, &target).await {
        open.wait_for(|open| *open == 0).await.unwrap();
        points += 1;
    }
    assert!(points > 4, "connecting, waiting for the head and for the body's pieces: {points}");
    // Now over a connection that is kept from one time to the next, unless it is lost.
    points = 0;
    while !polled(points, &client, &target).await {
        points += 1;
        let scrape = scrape(&client, &target).await.unwrap();
        assert_eq!((scrape.body(), scrape.attempts()), (&b"a 1\n"[..], 1));
        open.wait_for(|open| *open == 1).await.unwrap();
    }
    drop(client);
    open.wait_for(|open| *open == 0).await.unwrap();
}
