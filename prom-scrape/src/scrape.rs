use std::fmt;
use std::net::SocketAddr;

use crate::body::Body;
use crate::phase::{Timings, TlsSession};

/// One complete exposition, as it was fetched.
///
/// A body that this crate hands out is whole as far as HTTP can tell: by `Content-Length`, by the last chunk, by the
/// HTTP/2 stream's end, by the trailer of its compression. See [`length_framed`](Self::length_framed) for the one
/// case in which HTTP cannot tell.
pub struct Scrape {
    pub(crate) body: Body,
    pub(crate) content_type: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) length_framed: bool,
    pub(crate) encoding: &'static str,
    pub(crate) wire_len: u64,
    pub(crate) version: &'static str,
    pub(crate) url: String,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) tls: Option<TlsSession>,
    pub(crate) timings: Timings,
}

impl Scrape {
    /// The decoded body, in one piece.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The decoded body, to keep. One that came without compression and in one piece lies in the connection's read buffer
    /// until here, and is copied: keep this rather than the `Scrape`, which keeps all of that buffer.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body.into_vec()
    }

    /// The memory for the body of the [next scrape](crate::Client::scrape_into), whatever it holds.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.body.buffer
    }

    /// The `Content-Type` header, if there is one in ASCII.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The status, which is always 200: any other is an error.
    #[must_use]
    pub fn status(&self) -> u16 {
        200
    }

    /// How many requests were sent to the target, this one included. Redirects do not count.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether HTTP told where the body ends. A body that merely ended with its connection may have been cut; one
    /// that does not end in a newline (or, in OpenMetrics, in `# EOF`) is refused as truncated, and one that was cut
    /// exactly at the end of a line cannot be told from a whole one.
    #[must_use]
    pub fn length_framed(&self) -> bool {
        self.length_framed
    }

    /// The body's encoding on the wire: `identity`, `gzip` or `zstd`.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        self.encoding
    }

    /// The body's size on the wire, in bytes, before decoding.
    #[must_use]
    pub fn wire_len(&self) -> u64 {
        self.wire_len
    }

    /// The protocol version of the response, as in `HTTP/1.1`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The URL that answered: the target's own, or where its redirects led.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the server that answered.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The TLS session that the scrape went through, if it was one over https.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_ref()
    }

    /// How long each phase of the last attempt took.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.timings
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape")
            .field("url", &self.url)
            .field("content_type", &self.content_type)
            .field("body_len", &self.body.len())
            .field("encoding", &self.encoding)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
