//! What arrives as a body, whole and within the limits.

use crate::fixture::{Server, Step, chain, gzip, no_credentials, ok, once, raw, response, scrape};
use prom_scrape::{Client, ErrorKind, ScrapeOptions};

#[tokio::test]
async fn bodies_arrive_whole_however_they_are_framed() {
    let plain = "a 1\nb 2\n";
    let twice = [gzip(b"a 1\n"), gzip(b"b 2\n")].concat();
    let (first, rest) = twice.split_at(7);
    let in_chunks = [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            first.len()
        )
        .as_bytes(),
        first,
        format!("\r\n{:x}\r\n", rest.len()).as_bytes(),
        rest,
        b"\r\n0\r\nTrailer: x\r\n\r\n",
    ]
    .concat();
    let cases: Vec<(&str, Vec<Step>, bool)> = vec![
        ("by its length", ok(plain), true),
        (
            "in chunks",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na 1\nb\r\n3\r\n 2\n\r\n0\r\n\r\n"),
            true,
        ),
        ("by the connection's end", raw(format!("HTTP/1.1 200 OK\r\n\r\n{plain}")), false),
        ("HTTP/1.0", raw(format!("HTTP/1.0 200 OK\r\n\r\n{plain}")), false),
        (
            "after a 100",
            raw(format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{plain}")),
            true,
        ),
        ("gzip", response(200, "Content-Encoding: gzip", gzip(plain.as_bytes())), true),
        ("gzip in two members and two chunks", raw(in_chunks), true),
        ("gzip in capitals", response(200, "content-encoding: GZIP", gzip(plain.as_bytes())), true),
        ("identity", response(200, "Content-Encoding: identity", plain), true),
    ];
    for (what, reply, framed) in cases {
        let server = Server::replying(vec![reply]).await;
        let scrape =
            scrape(&once(), &server.target("/")).await.unwrap_or_else(|e| panic!("{what}: {}", chain(&e)));
        assert_eq!(scrape.body(), plain.as_bytes(), "{what}");
        assert_eq!(scrape.length_framed(), framed, "{what}");
    }
}

#[tokio::test]
async fn a_buffer_comes_back_whether_the_body_needed_it_or_not() {
    let long = "some_metric 1\n".repeat(100_000);
    for (what, body, reply) in [
        ("in one piece", "a 1\n", ok("a 1\n")),
        ("in many", &long, ok(&long)),
        ("gzip", "a 1\n", response(200, "Content-Encoding: gzip", gzip(b"a 1\n"))),
        ("in none", "", ok("")),
    ] {
        let server = Server::replying(vec![reply]).await;
        let (client, target, options) = (once(), server.target("/"), ScrapeOptions::new());
        let mut buffer = b"what the last one held".to_vec();
        buffer.reserve_exact(2_000_000);
        let (place, room) = (buffer.as_ptr(), buffer.capacity());
        for _ in 0..3 {
            let scraping = client.scrape_into(&target, no_credentials, &options, buffer);
            let scrape = scraping.await.unwrap_or_else(|e| panic!("{what}: {}", chain(&e)));
            assert_eq!(scrape.body(), body.as_bytes(), "{what}");
            buffer = scrape.into_buffer();
            assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, room), "{what}");
        }
        let scrape = client.scrape_into(&target, no_credentials, &options, buffer).await.unwrap();
        assert_eq!(scrape.into_body(), body.as_bytes(), "{what}");
    }
}

#[tokio::test]
async fn a_missing_final_newline_passes_where_the_length_is_known() {
    for (what, reply) in [
        ("Content-Length", ok("a 12")),
        ("chunked", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 12\r\n0\r\n\r\n")),
        ("empty", ok("")),
        (
            "OpenMetrics up to # EOF",
            raw("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0\r\n\r\n# EOF"),
        ),
    ] {
        let server = Server::replying(vec![reply]).await;
        assert!(scrape(&once(), &server.target("/")).await.is_ok(), "{what}");
    }
}

#[tokio::test]
async fn the_limit_passes_and_one_byte_more_fails() {
    let body = vec![b'#'; 100_000];
    let by_length = ok(&body);
    let unframed = raw([b"HTTP/1.1 200 OK\r\n\r\n", &body[..99_999], b"\n"].concat());
    let zipped = response(200, "Content-Encoding: gzip", gzip(&body));
    for (what, reply) in [("by length", by_length), ("unframed", unframed), ("gzip", zipped)] {
        let server = Server::replying(vec![reply]).await;
        for (limit, passes) in [(100_000, true), (99_999, false)] {
            let client = Client::builder().max_body_bytes(limit).build().unwrap();
            match scrape(&client, &server.target("/")).await {
                Ok(scrape) => assert!(passes && scrape.body().len() == body.len(), "{what} {limit}"),
                Err(error) => {
                    assert!(!passes, "{what} {limit}: {error}");
                    assert_eq!((error.kind(), error.attempts()), (ErrorKind::TooLarge, 1), "{what}");
                    let place = server.target("/").origin();
                    assert_eq!(
                        error.to_string(),
                        format!("the body of {place} is larger than 99999 bytes"),
                        "{what}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn compressed_bytes_have_a_limit_of_their_own() {
    let wire = gzip(&(0..20_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    let chunked = [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            wire.len()
        )
        .as_bytes(),
        &wire,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    for reply in [response(200, "Content-Encoding: gzip", &wire), raw(chunked)] {
        let server = Server::replying(vec![reply]).await;
        let with_limit = |limit| Client::builder().max_compressed_bytes(limit).build().unwrap();
        assert!(scrape(&with_limit(wire.len()), &server.target("/")).await.is_ok());
        let error = scrape(&with_limit(wire.len() - 1), &server.target("/")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().ends_with(" bytes on the wire"), "{error}");
    }
}

#[tokio::test]
async fn an_endless_body_stops_at_the_limit() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"] {
        let steps = vec![Step::Send(head.into()), Step::SendForever(vec![b'\n'; 65536])];
        let server = Server::replying(vec![steps]).await;
        let client = Client::builder().max_body_bytes(1 << 20).build().unwrap();
        let error = scrape(&client, &server.target("/")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{head:?}");
    }
}

#[tokio::test]
async fn an_unknown_encoding_is_refused_by_name() {
    let server = Server::replying(vec![response(200, "Content-Encoding: br", "x")]).await;
    let error = scrape(&once(), &server.target("/")).await.unwrap_err();
    let place = server.target("/").origin();
    assert_eq!(
        error.to_string(),
        format!("{place} answered with the Content-Encoding br, which was not asked for")
    );
}
