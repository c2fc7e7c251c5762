//! Windows in plain integers.

use core::ops::Range;

use super::{WIDTH, Window};

/// Windows in plain integers, eight bytes at a time.
#[derive(Clone, Copy)]
pub(crate) struct Portable([u64; 8]);

const EACH: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = EACH << 7;

impl Portable {
    /// Gathers one bit a byte. `test` sets the high bit of each byte it is true of.
    #[inline(always)]
    fn mask(self, test: impl Fn(u64) -> u64) -> u64 {
        let bits = |word| (((test(word) & HIGH) >> 7).wrapping_mul(0x0102_0408_1020_4080)) >> 56;
        self.0.iter().rev().fold(0, |mask, word| mask << 8 | bits(*word))
    }
}

/// The high bit of each byte below `limit`, for bytes and limits below 0x80.
#[inline(always)]
fn below(word: u64, limit: u8) -> u64 {
    !((word | HIGH).wrapping_sub(EACH * u64::from(limit)))
}

impl Window for Portable {
    #[inline(always)]
    fn load(bytes: &[u8; WIDTH]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        Self(core::array::from_fn(|i| u64::from_le_bytes(words[i])))
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        self.mask(|word| {
            let difference = word ^ (EACH * u64::from(byte));
            below(difference & !HIGH, 1) & !difference
        })
    }

    #[inline(always)]
    fn not_name(self) -> u64 {
        self.mask(|word| {
            let ascii = word & !HIGH;
            let lower = ascii | (EACH * 0x20);
            let letter = below(lower, b'z' + 1) & !below(lower, b'a');
            let digit = below(ascii, b'9' + 1) & !below(ascii, b'0');
            let underscore = below(ascii ^ (EACH * u64::from(b'_')), 1);
            !(letter | digit | underscore) | word
        })
    }

    #[inline(always)]
    fn quote_backslash_or_control(self) -> u64 {
        self.mask(|word| {
            let ascii = word & !HIGH;
            let backslash = below(ascii ^ (EACH * u64::from(b'\\')), 1);
            let quote = below(ascii ^ (EACH * u64::from(b'"')), 1);
            (below(ascii, 0x20) | backslash | quote) & !word
        })
    }
}

/// A part of a text; `None` where it does not lie within the text or cuts a character in two.
#[inline(always)]
pub(crate) fn part(text: &str, range: Range<usize>) -> Option<&str> {
    text.get(range)
}

/// Sixty-four bytes of a text, at whose ends a character may be cut in two.
#[derive(Clone, Copy)]
pub(crate) struct TextWindow<'a> {
    text: &'a str,
    start: usize,
    bytes: &'a [u8; WIDTH],
}

impl<'a> TextWindow<'a> {
    /// The bytes from `start` on, if there are that many.
    #[inline(always)]
    pub(crate) fn of(text: &'a str, start: usize) -> Option<Self> {
        Some(Self { text, start, bytes: text.as_bytes().get(start..)?.first_chunk()? })
    }

    /// The bytes.
    #[inline(always)]
    pub(crate) fn bytes(self) -> &'a [u8; WIDTH] {
        self.bytes
    }

    /// The name and the value of the label `name="value"` at its start, given where each ends; `None` where it is none.
    #[inline(always)]
    pub(crate) fn label(self, name_end: usize, value_end: usize) -> Option<(&'a str, &'a str)> {
        let (label, value) = (self.text.get(self.start..)?, name_end + 2);
        let is_label = label.get(name_end..value)? == "=\"" && *self.bytes.get(value_end)? == b'"';
        is_label.then_some((label.get(..name_end)?, label.get(value..value_end)?))
    }
}

/// Sixty-four bytes below 0x80, any number of which in a row are text.
#[derive(Clone, Copy)]
pub(crate) struct Ascii<'a>(&'a str);

impl<'a> Ascii<'a> {
    /// These bytes, if all are ASCII.
    #[inline(always)]
    pub(crate) fn of(bytes: &'a [u8; WIDTH]) -> Option<Self> {
        core::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).map(Self)
    }

    /// Some of the bytes; `None` where the range is not within them.
    #[inline(always)]
    pub(crate) fn part(self, range: Range<usize>) -> Option<&'a str> {
        self.0.get(range)
    }
}
