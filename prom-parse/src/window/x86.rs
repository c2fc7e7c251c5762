//! Windows in the vector registers of x86-64: the one module with `unsafe`.
//!
//! It loads arrays of bytes, whose bounds the types prove, and runs code for AVX2 once the machine was asked for it.
#![allow(unsafe_code)]

use core::arch::x86_64::*;
use core::ops::Range;

use super::{Job, WIDTH, Window};

/// The proof that this machine has AVX2 and the bit instructions that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HasAvx2(());

impl HasAvx2 {
    /// Asks the machine.
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(feature = "std")]
        let all = std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("bmi1")
            && std::is_x86_feature_detected!("bmi2");
        #[cfg(not(feature = "std"))]
        let all = cfg!(all(target_feature = "avx2", target_feature = "bmi1", target_feature = "bmi2"));
        all.then_some(Self(()))
    }

    /// Does a job with windows of AVX2.
    #[inline]
    pub(crate) fn run<J: Job>(self, job: J) -> J::Output {
        // SAFETY: only `detect` makes a value of this type, after finding all three features.
        unsafe { run_with_avx2(job) }
    }
}

/// Compiles the job for AVX2.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn run_with_avx2<J: Job>(job: J) -> J::Output {
    job.run::<Avx2>()
}

/// Two registers of 32 bytes. The type is private to this module and named in [`run_with_avx2`] alone, so whoever calls
/// its methods runs on a machine with AVX2.
#[derive(Clone, Copy)]
struct Avx2([__m256i; 2]);

impl Window for Avx2 {
    #[inline(always)]
    fn load(bytes: &[u8; WIDTH]) -> Self {
        let halves: *const __m256i = bytes.as_ptr().cast();
        // SAFETY: AVX2 is there; the halves are 32 readable bytes each, and the load needs no alignment.
        Self(unsafe { [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))] })
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        // SAFETY: AVX2 is there.
        unsafe { join([avx2::equal(self.0[0], byte), avx2::equal(self.0[1], byte)]) }
    }

    #[inline(always)]
    fn not_name(self) -> u64 {
        // SAFETY: AVX2 is there.
        !unsafe { join([avx2::name(self.0[0]), avx2::name(self.0[1])]) }
    }

    #[inline(always)]
    fn quote_backslash_or_control(self) -> u64 {
        // SAFETY: AVX2 is there.
        unsafe {
            join([avx2::quote_backslash_or_control(self.0[0]), avx2::quote_backslash_or_control(self.0[1])])
        }
    }
}

/// One mask of two.
#[inline(always)]
fn join(halves: [u32; 2]) -> u64 {
    u64::from(halves[0]) | u64::from(halves[1]) << 32
}

/// The properties of 32 bytes.
mod avx2 {
    use core::arch::asm;
    use core::arch::x86_64::*;

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn equal(v: __m256i, byte: u8) -> u32 {
        mask(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(byte as i8)))
    }

    /// A byte is a name byte when the sets of its two halves share a bit: one for digits, one for letters up to `o`, one
    /// for the capitals from `P` on and the underscore, one for the small letters from `p` on. Bytes from 0x80 on shuffle
    /// to zero.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn name(v: __m256i) -> u32 {
        let of_high = _mm_setr_epi8(0, 0, 0, 1, 2, 4, 2, 8, 0, 0, 0, 0, 0, 0, 0, 0);
        let of_low = _mm_setr_epi8(13, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 2, 2, 2, 2, 6);
        let half = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
        let high = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(of_high), half);
        let low = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(of_low), v);
        mask(_mm256_cmpgt_epi8(_mm256_and_si256(high, low), _mm256_setzero_si256()))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn quote_backslash_or_control(v: __m256i) -> u32 {
        let last = _mm256_set1_epi8(0x1f);
        let control = _mm256_cmpeq_epi8(_mm256_max_epu8(v, last), last);
        let backslash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(b'\\' as i8));
        let quote = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(b'"' as i8));
        mask(_mm256_or_si256(control, _mm256_or_si256(backslash, quote)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn mask(v: __m256i) -> u32 {
        let mask: u32;
        // The compiler knows what `_mm256_movemask_epi8` means, and takes the mask apart again, byte by byte, when it is
        // carried around a loop: half the speed. This it cannot look into.
        // SAFETY: AVX2 is there; the instruction reads one register and writes another.
        unsafe {
            asm!("vpmovmskb {mask:e}, {v}", v = in(ymm_reg) v, mask = lateout(reg) mask,
                options(pure, nomem, nostack, preserves_flags));
        }
        mask
    }
}

/// Four registers of 16 bytes. SSE2 is part of x86-64.
#[derive(Clone, Copy)]
pub(crate) struct Sse2([__m128i; 4]);

impl Window for Sse2 {
    #[inline(always)]
    fn load(bytes: &[u8; WIDTH]) -> Self {
        let quarters: *const __m128i = bytes.as_ptr().cast();
        // SAFETY: SSE2 is there; the quarters are 16 readable bytes each, and the load needs no alignment.
        Self([0, 1, 2, 3].map(|i| unsafe { _mm_loadu_si128(quarters.add(i)) }))
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        // SAFETY: SSE2 is there.
        unsafe { sse2::each(self.0, |v| sse2::equal(v, byte)) }
    }

    #[inline(always)]
    fn not_name(self) -> u64 {
        // SAFETY: SSE2 is there.
        !unsafe { sse2::each(self.0, |v| sse2::name(v)) }
    }

    #[inline(always)]
    fn quote_backslash_or_control(self) -> u64 {
        // SAFETY: SSE2 is there.
        unsafe { sse2::each(self.0, |v| sse2::quote_backslash_or_control(v)) }
    }
}

/// The properties of 16 bytes.
mod sse2 {
    use core::arch::x86_64::*;

    /// One mask of four.
    #[inline(always)]
    pub(super) fn each(v: [__m128i; 4], bits: impl Fn(__m128i) -> u64) -> u64 {
        bits(v[0]) | bits(v[1]) << 16 | bits(v[2]) << 32 | bits(v[3]) << 48
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn equal(v: __m128i, byte: u8) -> u64 {
        mask(_mm_cmpeq_epi8(v, _mm_set1_epi8(byte as i8)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn name(v: __m128i) -> u64 {
        let letter = range(_mm_or_si128(v, _mm_set1_epi8(0x20)), b'a', b'z');
        let underscore = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'_' as i8));
        mask(_mm_or_si128(_mm_or_si128(letter, underscore), range(v, b'0', b'9')))
    }

    /// The comparison is signed, so the range is shifted to end at the largest value.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn range(v: __m128i, first: u8, last: u8) -> __m128i {
        let shifted = _mm_add_epi8(v, _mm_set1_epi8((127 - last) as i8));
        _mm_cmpgt_epi8(shifted, _mm_set1_epi8((127 - last + first - 1) as i8))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn quote_backslash_or_control(v: __m128i) -> u64 {
        let last = _mm_set1_epi8(0x1f);
        let control = _mm_cmpeq_epi8(_mm_max_epu8(v, last), last);
        let backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'\\' as i8));
        let quote = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'"' as i8));
        mask(_mm_or_si128(control, _mm_or_si128(backslash, quote)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn mask(v: __m128i) -> u64 {
        _mm_movemask_epi8(v) as u64
    }
}

/// A part of a text between two places before its last byte where ASCII bytes stand; `None` where they do not.
#[inline(always)]
pub(crate) fn part(text: &str, range: Range<usize>) -> Option<&str> {
    let bytes = text.as_bytes();
    if range.start <= range.end
        && range.end < bytes.len()
        && (bytes[range.start] | bytes[range.end]).is_ascii()
    {
        // SAFETY: the range lies within the text, and begins and ends at an ASCII byte, so it cuts no character in two.
        Some(unsafe { text.get_unchecked(range) })
    } else {
        text.get(range)
    }
}

/// Sixty-four bytes of a text, at whose ends a character may be cut in two.
#[derive(Clone, Copy)]
pub(crate) struct TextWindow<'a>(&'a [u8; WIDTH]);

impl<'a> TextWindow<'a> {
    /// The bytes from `start` on, if there are that many.
    #[inline(always)]
    pub(crate) fn of(text: &'a str, start: usize) -> Option<Self> {
        Some(Self(text.as_bytes().get(start..)?.first_chunk()?))
    }

    /// The bytes.
    #[inline(always)]
    pub(crate) fn bytes(self) -> &'a [u8; WIDTH] {
        self.0
    }

    /// The name and the value of the label `name="value"` at its start, given where each ends; `None` where it is none.
    #[inline(always)]
    pub(crate) fn label(self, name_end: usize, value_end: usize) -> Option<(&'a str, &'a str)> {
        let value = name_end + 2;
        if value > value_end || value_end >= WIDTH {
            return None;
        }
        let opening = u16::from_le_bytes([self.0[name_end], self.0[name_end + 1]]);
        let others = opening ^ u16::from_le_bytes(*b"=\"") | u16::from(self.0[value_end] ^ b'"');
        if others | u16::from(self.0[0] & 0x80) != 0 {
            return None;
        }
        // SAFETY: both ranges lie within the window, which is part of a text. Each begins at an ASCII byte or right after
        // one, and ends at one, so it cuts no character in two.
        Some(unsafe {
            (
                core::str::from_utf8_unchecked(self.0.get_unchecked(..name_end)),
                core::str::from_utf8_unchecked(self.0.get_unchecked(value..value_end)),
            )
        })
    }
}

/// Sixty-four bytes below 0x80, any number of which in a row are text.
#[derive(Clone, Copy)]
pub(crate) struct Ascii<'a>(&'a [u8; WIDTH]);

impl<'a> Ascii<'a> {
    /// These bytes, if all are ASCII.
    #[inline(always)]
    pub(crate) fn of(bytes: &'a [u8; WIDTH]) -> Option<Self> {
        let all = Sse2::load(bytes).0;
        // SAFETY: SSE2 is there.
        let high_bits = unsafe {
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(all[0], all[1]), _mm_or_si128(all[2], all[3])))
        };
        (high_bits == 0).then_some(Self(bytes))
    }

    /// Some of the bytes; `None` where the range is not within them.
    #[inline(always)]
    pub(crate) fn part(self, range: Range<usize>) -> Option<&'a str> {
        // SAFETY: all bytes are ASCII, which `of` has seen to.
        self.0.get(range).map(|bytes| unsafe { core::str::from_utf8_unchecked(bytes) })
    }
}
