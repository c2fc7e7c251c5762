//! Content codings, decoded piece by piece straight into the body's buffer.

use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

use crate::error::excerpt;

/// How a body is encoded on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

/// Decodes a body that arrives in pieces.
pub(crate) enum Decoder {
    Identity,
    Gzip(Gzip),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The decoded body would be larger than the limit.
    TooLarge,
    /// Not what the encoding allows.
    Corrupt(String),
    /// The input ended too early.
    Truncated,
}

pub(crate) struct Gzip {
    inflate: Box<Decompress>,
    state: Member,
}

/// A gzip body is one or more members, each with its own trailer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Within,
    Ended,
}

/// What is decoded at a time, so that a long body leaves room for other tasks in between.
const STEP: usize = 256 * 1024;

impl Encoding {
    /// The encoding that the headers name, or its name if it is none of ours.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, String> {
        let values = headers.get_all(header::CONTENT_ENCODING);
        let mut found = Self::Identity;
        for coding in values.iter().flat_map(|v| v.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii) {
            if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let known = coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip");
            if !known || found != Self::Identity {
                let all: Vec<String> = values.iter().map(|v| excerpt(v.as_bytes())).collect();
                return Err(all.join(", "));
            }
            found = Self::Gzip;
        }
        Ok(found)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
        }
    }

    pub(crate) fn decoder(self) -> Decoder {
        match self {
            Self::Identity => Decoder::Identity,
            Self::Gzip => {
                Decoder::Gzip(Gzip { inflate: Box::new(Decompress::new_gzip(15)), state: Member::Within })
            }
        }
    }
}

impl Decoder {
    /// Decodes some of `input` onto the end of `body` and advances it. Returns whether there is more to do before
    /// the next piece is needed.
    pub(crate) fn step(
        &mut self,
        input: &mut &[u8],
        body: &mut Vec<u8>,
        limit: usize,
    ) -> Result<bool, DecodeError> {
        match self {
            Self::Identity => {
                if input.len() > limit - body.len() {
                    return Err(DecodeError::TooLarge);
                }
                body.extend_from_slice(std::mem::take(input));
                Ok(false)
            }
            Self::Gzip(gzip) => gzip.step(input, body, limit),
        }
    }

    /// The input is at its end.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self {
            Self::Gzip(Gzip { state: Member::Within, .. }) => Err(DecodeError::Truncated),
            _ => Ok(()),
        }
    }
}

impl Gzip {
    fn step(&mut self, input: &mut &[u8], body: &mut Vec<u8>, limit: usize) -> Result<bool, DecodeError> {
        if self.state == Member::Ended {
            if input.is_empty() {
                return Ok(false);
            }
            self.inflate.reset(true);
            self.state = Member::Within;
        }
        make_room(body, limit);
        let before = self.inflate.total_in();
        let status = self
            .inflate
            .decompress_vec(input, body, FlushDecompress::None)
            .map_err(|e| DecodeError::Corrupt(e.to_string()))?;
        let read = usize::try_from(self.inflate.total_in() - before).unwrap_or(input.len());
        *input = &input[read..];
        if body.len() > limit {
            return Err(DecodeError::TooLarge);
        }
        if status == Status::StreamEnd {
            self.state = Member::Ended;
        }
        // Room left over means that all of the input was used up, or that a member ended.
        Ok(!input.is_empty() || (self.state == Member::Within && body.len() == body.capacity()))
    }
}

/// Room for one step, growing geometrically but never further than one byte beyond the limit, which is enough to
/// see that it was passed.
fn make_room(body: &mut Vec<u8>, limit: usize) {
    if body.capacity() == body.len() {
        let room = body.len().max(STEP).min((limit - body.len()).saturating_add(1));
        body.reserve_exact(room);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn decode(encoding: Encoding, pieces: &[&[u8]], limit: usize) -> Result<Vec<u8>, DecodeError> {
        let (mut decoder, mut body) = (encoding.decoder(), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            while decoder.step(&mut input, &mut body, limit)? {}
            assert!(input.is_empty());
        }
        decoder.finish().map(|()| body)
    }

    #[test]
    fn the_header_names_at_most_one_known_encoding() {
        let of = |values: &[&'static str]| {
            let headers = values.iter().map(|v| (header::CONTENT_ENCODING, HeaderValue::from_static(v)));
            let mut map = HeaderMap::new();
            headers.for_each(|(name, value)| {
                map.append(name, value);
            });
            Encoding::of(&map)
        };
        assert_eq!(of(&[]), Ok(Encoding::Identity));
        assert_eq!(of(&["identity"]), Ok(Encoding::Identity));
        assert_eq!(of(&[""]), Ok(Encoding::Identity));
        assert_eq!(of(&["gzip"]), Ok(Encoding::Gzip));
        assert_eq!(of(&[" X-GZip , identity"]), Ok(Encoding::Gzip));
        assert_eq!(of(&["br"]), Err("br".to_owned()));
        assert_eq!(of(&["gzip, gzip"]), Err("gzip, gzip".to_owned()));
        assert_eq!(of(&["gzip", "deflate"]), Err("gzip, deflate".to_owned()));
    }

    #[test]
    fn the_limit_itself_passes_and_one_byte_more_fails() {
        let body = vec![b'a'; 700_000];
        for (encoding, wire) in [(Encoding::Identity, body.clone()), (Encoding::Gzip, gzip(&body))] {
            assert_eq!(decode(encoding, &[&wire], body.len()), Ok(body.clone()));
            assert_eq!(decode(encoding, &[&wire], body.len() - 1), Err(DecodeError::TooLarge));
            assert_eq!(decode(encoding, &[&wire], 0), Err(DecodeError::TooLarge));
        }
    }

    #[test]
    fn members_may_follow_one_another() {
        let (a, empty, b) = (gzip(b"a 1\n"), gzip(b""), gzip(b"b 2\n"));
        assert_eq!(decode(Encoding::Gzip, &[&[a, empty, b].concat()], 100), Ok(b"a 1\nb 2\n".to_vec()));
    }

    #[test]
    fn every_truncation_is_noticed() {
        let wire = gzip(b"some_metric{label=\"value\"} 1234\n");
        for end in 0..wire.len() {
            assert_eq!(decode(Encoding::Gzip, &[&wire[..end]], 100), Err(DecodeError::Truncated), "{end}");
        }
    }

    #[test]
    fn corruption_is_not_taken_for_truncation() {
        let wire = gzip(b"some_metric{label=\"value\"} 1234\n");
        let mut wrong_sum = wire.clone();
        let at = wire.len() - 8;
        wrong_sum[at] ^= 1;
        for corrupt in [wrong_sum, b"plain text\n".to_vec(), [&wire[..], b"garbage"].concat()] {
            assert!(matches!(decode(Encoding::Gzip, &[&corrupt], 100), Err(DecodeError::Corrupt(_))));
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_holds_no_more() {
        let wire = gzip(&vec![0; 8 << 20]);
        let (mut decoder, mut body, limit) = (Encoding::Gzip.decoder(), Vec::new(), 1 << 20);
        let mut input = &wire[..];
        let error = loop {
            match decoder.step(&mut input, &mut body, limit) {
                Ok(more) => assert!(more, "the limit was passed"),
                Err(error) => break error,
            }
        };
        assert_eq!(error, DecodeError::TooLarge);
        assert!(body.capacity() <= limit + 1, "{}", body.capacity());
    }

    proptest! {
        #[test]
        fn any_cut_into_pieces_decodes_to_the_same(
            body in prop::collection::vec(any::<u8>(), 0..2000),
            size in 1usize..64,
        ) {
            let wire = gzip(&body);
            let pieces: Vec<&[u8]> = wire.chunks(size).collect();
            prop_assert_eq!(decode(Encoding::Gzip, &pieces, 2000), Ok(body));
        }

        #[test]
        fn foreign_bytes_never_pass_the_limit(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(body) = decode(Encoding::Gzip, &[&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], &wire], 50) {
                prop_assert!(body.len() <= 50);
            }
        }
    }
}
