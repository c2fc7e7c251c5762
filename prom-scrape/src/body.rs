use std::ops::Deref;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use crate::decode::{DecodeError, Encoding, Space};
use crate::error::{Error, ErrorKind, find_cause};
use crate::redirect::Chain;

/// How large a body may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) compressed: usize,
    pub(crate) decompressed: usize,
}

/// A whole body, in one piece.
pub(crate) struct Body {
    /// The body as it lies in the connection's read buffer, if it came in one piece.
    received: Option<Bytes>,
    /// Otherwise the body.
    pub(crate) buffer: Vec<u8>,
}

impl Body {
    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.received.map_or(self.buffer, Vec::from)
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.received.as_deref().unwrap_or(&self.buffer)
    }
}

/// Reads and decodes a whole body, into the buffer in place of what that held unless it comes in one piece. Returns its
/// size on the wire as well.
///
/// The limits hold while reading, so nothing larger than them is ever held.
pub(crate) async fn read(
    mut incoming: Incoming,
    encoding: Encoding,
    limits: Limits,
    chain: &Chain<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(Body, u64), Error> {
    let wire_limit = match encoding {
        Encoding::Identity => limits.decompressed,
        _ => limits.compressed,
    } as u64;
    let too_large = |limit: u64, what: &str| {
        Error::new(
            ErrorKind::TooLarge,
            format!("the body of {} is larger than {limit} bytes{what}", chain.place()),
        )
    };
    let (announced, on_the_wire) = (incoming.size_hint().lower(), " on the wire");
    if announced > wire_limit {
        return Err(too_large(wire_limit, if encoding == Encoding::Identity { "" } else { on_the_wire }));
    }
    buffer.clear();
    let expected = match encoding {
        Encoding::Identity => usize::try_from(announced).unwrap_or(limits.decompressed),
        _ => 0,
    };
    let mut space = Space { body: buffer, expected, limit: limits.decompressed };
    let (mut wire_len, mut received) = (0, None);
    let failed = |error: DecodeError| match error {
        DecodeError::TooLarge => too_large(limits.decompressed as u64, ""),
        DecodeError::Truncated => Error::new(
            ErrorKind::Truncated,
            format!(
                "the body of {} was cut short: its {} trailer is missing",
                chain.place(),
                encoding.as_str()
            ),
        ),
        DecodeError::Corrupt(why) => Error::new(
            ErrorKind::Encoding,
            format!("the body of {} is not valid {}: {why}", chain.place(), encoding.as_str()),
        ),
    };
    let mut decoder = encoding.decoder().map_err(failed)?;
    while let Some(frame) = incoming.frame().await {
        let Ok(piece) = frame.map_err(|e| broken(e, chain))?.into_data() else { continue };
        wire_len += piece.len() as u64;
        if encoding != Encoding::Identity && wire_len > wire_limit {
            return Err(too_large(wire_limit, on_the_wire));
        }
        if encoding == Encoding::Identity && piece.len() == expected && incoming.is_end_stream() {
            received = Some(piece);
            continue;
        }
        let mut input = &piece[..];
        while decoder.step(&mut input, &mut space).map_err(failed)? {
            // A small piece can decode to a very long text: the deadline and other tasks get their turn in between.
            tokio::task::yield_now().await;
        }
    }
    decoder.finish().map_err(failed)?;
    Ok((Body { received, buffer: std::mem::take(buffer) }, wire_len))
}

fn broken(error: hyper::Error, chain: &Chain<'_>) -> Error {
    let cut =
        find_cause::<std::io::Error>(&error).is_some_and(|e| e.kind() == std::io::ErrorKind::UnexpectedEof);
    let (kind, what) = if cut {
        (ErrorKind::Truncated, "was cut short: the connection ended before the body did")
    } else {
        (ErrorKind::Transport, "could not be read to its end")
    };
    Error::new(kind, format!("the body of {} {what}", chain.place())).caused_by(error)
}

/// Whether a body that ended with its connection shows by itself that it is whole.
pub(crate) fn ends_properly(body: &[u8], content_type: Option<&str>) -> bool {
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
        body.strip_suffix(b"\n").unwrap_or(body).ends_with(b"# EOF")
    } else {
        body.ends_with(b"\n")
    }
}

/// Reads what is left of a body that nobody wants, so that its connection can be used again, if that is little.
/// Returns whether it came to the end.
pub(crate) async fn drain(mut incoming: Incoming) -> bool {
    const MOST: u64 = 16 * 1024;
    const LONGEST: std::time::Duration = std::time::Duration::from_millis(100);
    if incoming.size_hint().lower() > MOST {
        return false;
    }
    let reading = async {
        let mut left = MOST;
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else { return false };
            let len = frame.data_ref().map_or(0, |piece| piece.len() as u64);
            if len > left {
                return false;
            }
            left -= len;
        }
        true
    };
    tokio::time::timeout(LONGEST, reading).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_newline_or_eof_shows_a_whole_body() {
        let om = Some("application/openmetrics-text; version=1.0.0");
        for (body, content_type, whole) in [
            ("a 1\n", None, true),
            ("a 1", None, false),
            ("", None, false),
            ("a 1\n", Some("text/plain"), true),
            ("a 1\n# EOF", Some("text/plain"), false),
            ("a 1\n# EOF\n", om, true),
            ("a 1\n# EOF", om, true),
            ("a 1\n", om, false),
            ("a 1\n# EO", om, false),
        ] {
            assert_eq!(ends_properly(body.as_bytes(), content_type), whole, "{body:?} {content_type:?}");
        }
    }
}
