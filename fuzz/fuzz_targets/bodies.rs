//! Bodies in every framing and encoding: whole ones come back to the byte, and those that were cut never pass for whole.

#![no_main]

mod loopback;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use prom_scrape::ErrorKind;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length,
    Chunked(u8),
    Close,
}

#[derive(Arbitrary, Debug)]
struct Reply<'a> {
    encoding: Encoding,
    framing: Framing,
    /// How many bytes of the end are missing.
    missing: u16,
    /// How often the body is repeated.
    times: u8,
    body: &'a [u8],
}

fuzz_target!(|reply: Reply<'_>| {
    let body = reply.body.repeat(usize::from(reply.times) + 1);
    let (name, encoded) = match reply.encoding {
        Encoding::Identity => ("identity", body.clone()),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).unwrap();
            ("gzip", encoder.finish().unwrap())
        }
        Encoding::Zstd => ("zstd", zstd::encode_all(&body[..], 1).unwrap()),
    };
    if body.len().max(encoded.len()) > loopback::LIMIT {
        return;
    }
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {name}\r\n").into_bytes();
    match reply.framing {
        Framing::Length => write!(response, "Content-Length: {}\r\n\r\n", encoded.len()).unwrap(),
        Framing::Chunked(_) => response.extend(b"Transfer-Encoding: chunked\r\n\r\n"),
        Framing::Close => response.extend(b"\r\n"),
    }
    let head = response.len();
    if let Framing::Chunked(size) = reply.framing {
        for chunk in encoded.chunks(usize::from(size) + 1) {
            write!(response, "{:x}\r\n", chunk.len()).unwrap();
            response.extend(chunk);
            response.extend(b"\r\n");
        }
        response.extend(b"0\r\n\r\n");
    } else {
        response.extend(&encoded);
    }
    let missing = usize::from(reply.missing).min(response.len() - head);
    response.truncate(response.len() - missing);
    let result = loopback::scrape(&response);

    // Where nothing else tells, a body is whole if its last line is.
    let kept = if reply.framing == Framing::Close { &response[head..] } else { &[] };
    let whole = match (reply.framing, reply.encoding) {
        (Framing::Close, Encoding::Identity) => kept.ends_with(b"\n"),
        (Framing::Close, _) => missing == 0 && body.ends_with(b"\n"),
        _ => missing == 0,
    };
    match result {
        Ok(scrape) => {
            assert!(whole, "{reply:?}");
            let expected = body.len() - if reply.framing == Framing::Close { missing } else { 0 };
            assert!(scrape.body() == &body[..expected], "{reply:?}");
            assert_eq!(scrape.encoding(), name);
        }
        Err(error) => {
            assert!(!whole, "{reply:?}: {error}");
            assert_eq!(error.kind(), ErrorKind::Truncated, "{reply:?}: {error}");
        }
    }
});
