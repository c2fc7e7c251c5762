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

/// Which of the bytes are a double quote or a backslash.
#[inline(always)]
pub(crate) fn quote_or_backslash(bytes: &[u8; WIDTH]) -> u64 {
    Portable::load(bytes).mask(|word| {
        let ascii = word & !HIGH;
        let backslash = below(ascii ^ (EACH * u64::from(b'\\')), 1);
        let quote = below(ascii ^ (EACH * u64::from(b'"')), 1);
        (backslash | quote) & !word
    })
}

/// A part of a text; `None` where it does not lie within the text or cuts a character in two.
#[inline(always)]
pub(crate) fn part(text: &str, range: Range<usize>) -> Option<&str> {
    text.get(range)
}

/// The name and the value of a label `name="value"` in a text, given where it begins and where its quotes stand; `None`
/// where it is none or the name begins with what comes before `A`.
#[inline(always)]
pub(crate) fn label(text: &str, at: usize, open: usize, close: usize) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let equals = open.wrapping_sub(1);
    let is_label = bytes.get(equals..=open)? == b"=\"" && *bytes.get(close)? == b'"';
    if !is_label || *bytes.get(at)? < b'A' {
        return None;
    }
    Some((text.get(at..equals)?, text.get(open + 1..close)?))
}
