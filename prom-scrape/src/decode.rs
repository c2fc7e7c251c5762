//! Content codings, decoded piece by piece straight into the body's buffer.

use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

use crate::error::excerpt;

/// What is asked for. Equal weights leave the choice to the server, which pays for it.
#[cfg(feature = "zstd")]
pub(crate) const ACCEPTED: &str = "gzip, zstd";
#[cfg(not(feature = "zstd"))]
pub(crate) const ACCEPTED: &str = "gzip";

/// How a body is encoded on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    #[cfg(feature = "zstd")]
    Zstd,
}

/// Decodes a body that arrives in pieces.
pub(crate) enum Decoder {
    Identity,
    Gzip(Gzip),
    #[cfg(feature = "zstd")]
    Zstd(Zstd),
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

/// Where a body is put together, in one piece.
pub(crate) struct Space<'a> {
    pub(crate) body: &'a mut Vec<u8>,
    /// How long the body says it is; 0 if it does not say.
    pub(crate) expected: usize,
    /// How long it may be at most.
    pub(crate) limit: usize,
}

pub(crate) struct Gzip {
    inflate: Box<Decompress>,
    state: Member,
}

#[cfg(feature = "zstd")]
pub(crate) struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    state: Member,
}

/// A compressed body is one or more members (of gzip) or frames (of zstd), each with its own end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Within,
    Ended,
}

/// What is decoded at a time, so that a long body leaves room for other tasks in between.
const STEP: usize = 256 * 1024;

/// What the mere promise of a long body can make us set aside.
const MOST_AHEAD: usize = 16 << 20;

/// The window that RFC 9659 lets an HTTP body ask for: 8 MiB.
#[cfg(feature = "zstd")]
const WINDOW_LOG: u32 = 23;

impl Encoding {
    /// The encoding that the headers name, or its name if it is none of ours.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, String> {
        let values = headers.get_all(header::CONTENT_ENCODING);
        let mut found = Self::Identity;
        for coding in values.iter().flat_map(|v| v.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii) {
            if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let known = if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
                Some(Self::Gzip)
            } else {
                Self::zstd_by_name(coding)
            };
            match known {
                Some(encoding) if found == Self::Identity => found = encoding,
                _ => {
                    let all: Vec<String> = values.iter().map(|v| excerpt(v.as_bytes())).collect();
                    return Err(all.join(", "));
                }
            }
        }
        Ok(found)
    }

    #[cfg(feature = "zstd")]
    fn zstd_by_name(coding: &[u8]) -> Option<Self> {
        coding.eq_ignore_ascii_case(b"zstd").then_some(Self::Zstd)
    }

    #[cfg(not(feature = "zstd"))]
    fn zstd_by_name(_: &[u8]) -> Option<Self> {
        None
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    pub(crate) fn decoder(self) -> Result<Decoder, DecodeError> {
        Ok(match self {
            Self::Identity => Decoder::Identity,
            Self::Gzip => {
                Decoder::Gzip(Gzip { inflate: Box::new(Decompress::new_gzip(15)), state: Member::Within })
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => Decoder::Zstd(Zstd::new().map_err(|e| DecodeError::Corrupt(e.to_string()))?),
        })
    }
}

impl Decoder {
    /// Decodes some of `input` into `space` and advances it. Returns whether there is more to do before the next piece
    /// is needed.
    pub(crate) fn step(&mut self, input: &mut &[u8], space: &mut Space<'_>) -> Result<bool, DecodeError> {
        match self {
            Self::Identity => space.append(std::mem::take(input)).map(|()| false),
            Self::Gzip(gzip) => gzip.step(input, space),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.step(input, space),
        }
    }

    /// The input is at its end.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        let state = match self {
            Self::Identity => Member::Ended,
            Self::Gzip(gzip) => gzip.state,
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.state,
        };
        if state == Member::Ended { Ok(()) } else { Err(DecodeError::Truncated) }
    }
}

impl Gzip {
    fn step(&mut self, input: &mut &[u8], space: &mut Space<'_>) -> Result<bool, DecodeError> {
        if self.state == Member::Ended {
            if input.is_empty() {
                return Ok(false);
            }
            self.inflate.reset(true);
            self.state = Member::Within;
        }
        space.make_room();
        let before = self.inflate.total_in();
        let status = self
            .inflate
            .decompress_vec(input, space.body, FlushDecompress::None)
            .map_err(|e| DecodeError::Corrupt(e.to_string()))?;
        let read = usize::try_from(self.inflate.total_in() - before).unwrap_or(input.len());
        *input = &input[read..];
        if status == Status::StreamEnd {
            self.state = Member::Ended;
        }
        space.is_more(input, self.state)
    }
}

#[cfg(feature = "zstd")]
impl Zstd {
    fn new() -> std::io::Result<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new()?;
        decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(Self { decoder, state: Member::Within })
    }

    fn step(&mut self, input: &mut &[u8], space: &mut Space<'_>) -> Result<bool, DecodeError> {
        use zstd::stream::raw::{InBuffer, Operation, OutBuffer};
        if self.state == Member::Ended && input.is_empty() {
            return Ok(false);
        }
        space.make_room();
        let mut from = InBuffer::around(input);
        let filled = space.body.len();
        let mut to = OutBuffer::around_pos(&mut *space.body, filled);
        let left = self.decoder.run(&mut from, &mut to).map_err(|e| DecodeError::Corrupt(e.to_string()))?;
        *input = &input[from.pos()..];
        self.state = if left == 0 { Member::Ended } else { Member::Within };
        space.is_more(input, self.state)
    }
}

impl Space<'_> {
    fn append(&mut self, piece: &[u8]) -> Result<(), DecodeError> {
        if piece.len() > self.limit - self.body.len() {
            return Err(DecodeError::TooLarge);
        }
        if piece.len() > self.body.capacity() - self.body.len() {
            self.body.reserve_exact(self.next_room().max(piece.len()));
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }

    /// Room for the next step of a decoder, but never for more than one byte beyond the limit, which is enough to see
    /// that it was passed.
    fn make_room(&mut self) {
        if self.body.capacity() == self.body.len() {
            let most = (self.limit - self.body.len()).saturating_add(1);
            self.body.reserve_exact(self.next_room().min(most));
        }
    }

    /// What the body's promise asks for, once a part of it has been kept; otherwise growth that doubles a small body
    /// and adds a quarter to a large one, so that little of the room is for nothing.
    fn next_room(&self) -> usize {
        let len = self.body.len();
        match self.expected.saturating_sub(len) {
            0 if len < MOST_AHEAD => len.max(STEP),
            0 => len / 4,
            rest if len < MOST_AHEAD => rest.min(MOST_AHEAD),
            rest => rest,
        }
    }

    /// Whether a decoder that has just run has more to do before it needs the next piece.
    fn is_more(&self, input: &[u8], state: Member) -> Result<bool, DecodeError> {
        if self.body.len() > self.limit {
            return Err(DecodeError::TooLarge);
        }
        // Room left over means that all of the input was used up, or that a member ended.
        Ok(!input.is_empty() || (state == Member::Within && self.body.len() == self.body.capacity()))
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
        let (mut decoder, mut body) = (encoding.decoder()?, Vec::new());
        let mut space = Space { body: &mut body, expected: 0, limit };
        for piece in pieces {
            let mut input = *piece;
            while decoder.step(&mut input, &mut space)? {}
            assert!(input.is_empty());
        }
        decoder.finish().map(|()| body)
    }

    /// Each compression there is, with `bytes` in it.
    fn compressed(bytes: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
        vec![
            (Encoding::Gzip, gzip(bytes)),
            #[cfg(feature = "zstd")]
            (Encoding::Zstd, zstd::encode_all(bytes, 0).expect("in memory")),
        ]
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
        assert_eq!(of(&["gzip", "zstd"]), Err("gzip, zstd".to_owned()));
        assert_eq!(of(&["Zstd"]).is_ok(), cfg!(feature = "zstd"));
    }

    #[test]
    fn the_limit_itself_passes_and_one_byte_more_fails() {
        let body = vec![b'a'; 700_000];
        let all = compressed(&body).into_iter().chain([(Encoding::Identity, body.clone())]);
        for (encoding, wire) in all {
            assert_eq!(decode(encoding, &[&wire], body.len()), Ok(body.clone()));
            assert_eq!(decode(encoding, &[&wire], body.len() - 1), Err(DecodeError::TooLarge));
            assert_eq!(decode(encoding, &[&wire], 0), Err(DecodeError::TooLarge));
        }
    }

    #[test]
    fn members_may_follow_one_another() {
        let members = [compressed(b"a 1\n"), compressed(b""), compressed(b"b 2\n")];
        for nth in 0..members[0].len() {
            let wire: Vec<u8> = members.iter().flat_map(|member| member[nth].1.clone()).collect();
            assert_eq!(decode(members[0][nth].0, &[&wire], 100), Ok(b"a 1\nb 2\n".to_vec()));
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        for (encoding, wire) in compressed(b"some_metric{label=\"value\"} 1234\n") {
            for end in 0..wire.len() {
                let result = decode(encoding, &[&wire[..end]], 100);
                assert_eq!(result, Err(DecodeError::Truncated), "{encoding:?} {end}");
            }
        }
    }

    #[test]
    fn corruption_is_not_taken_for_truncation() {
        for (encoding, wire) in compressed(b"some_metric{label=\"value\"} 1234\n") {
            let mut corrupt = vec![b"plain text\n".to_vec(), [&wire[..], b"garbage"].concat()];
            if encoding == Encoding::Gzip {
                let mut wrong_sum = wire.clone();
                wrong_sum[wire.len() - 8] ^= 1;
                corrupt.push(wrong_sum);
            }
            for corrupt in corrupt {
                let result = decode(encoding, &[&corrupt], 100);
                assert!(matches!(result, Err(DecodeError::Corrupt(_))), "{encoding:?} {result:?}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_holds_no_more() {
        for (encoding, wire) in compressed(&vec![0; 8 << 20]) {
            let limit = 1 << 20;
            let (mut decoder, mut body) = (encoding.decoder().expect("in memory"), Vec::new());
            let mut space = Space { body: &mut body, expected: 0, limit };
            let mut input = &wire[..];
            let error = loop {
                match decoder.step(&mut input, &mut space) {
                    Ok(more) => assert!(more, "the limit was passed"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error, DecodeError::TooLarge);
            assert!(body.capacity() <= limit + 1, "{}", body.capacity());
        }
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn a_zstd_window_beyond_the_standards_is_refused() {
        let wire = |window| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("in memory");
            encoder.window_log(window).expect("a valid window");
            encoder.write_all(&[0; 1000]).expect("in memory");
            encoder.finish().expect("in memory")
        };
        assert!(decode(Encoding::Zstd, &[&wire(WINDOW_LOG)], 1000).is_ok());
        assert!(matches!(
            decode(Encoding::Zstd, &[&wire(WINDOW_LOG + 1)], 1000),
            Err(DecodeError::Corrupt(_))
        ));
    }

    #[test]
    fn room_follows_the_promise_and_otherwise_what_has_come() {
        let grown = |expected, total| {
            let mut body = Vec::new();
            let mut space = Space { body: &mut body, expected, limit: usize::MAX };
            let piece = vec![0; 64 << 10];
            for _ in 0..total / piece.len() {
                space.append(&piece).expect("within the limit");
            }
            body.capacity()
        };
        let mib = |n: usize| n << 20;
        assert_eq!(grown(mib(1), mib(1)), mib(1));
        assert_eq!(grown(mib(40), 64 << 10), MOST_AHEAD, "a promise alone is not believed altogether");
        assert_eq!(grown(mib(40), mib(40)), mib(40));
        assert!(grown(0, mib(40)) <= mib(40) * 5 / 4);
    }

    proptest! {
        #[test]
        fn any_cut_into_pieces_decodes_to_the_same(
            body in prop::collection::vec(any::<u8>(), 0..2000),
            size in 1usize..64,
        ) {
            for (encoding, wire) in compressed(&body) {
                let pieces: Vec<&[u8]> = wire.chunks(size).collect();
                prop_assert_eq!(decode(encoding, &pieces, 2000), Ok(body.clone()));
            }
        }

        #[test]
        fn foreign_bytes_never_pass_the_limit(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            for (encoding, start) in compressed(b"") {
                // A true header gets further than chance would.
                for header in 0..start.len() {
                    if let Ok(body) = decode(encoding, &[&start[..header], &wire], 50) {
                        prop_assert!(body.len() <= 50);
                    }
                }
            }
        }
    }
}
