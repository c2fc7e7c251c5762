//! Windows in the vector registers of x86-64: the one module with `unsafe`.
//!
//! It loads and stores arrays, whose bounds the types prove, hints at what is read next, runs code for AVX2 and AVX-512 once the machine was asked for
//! them, and cuts texts at bytes that it has seen to be ASCII.
#![allow(unsafe_code)]

use core::arch::x86_64::*;
use core::ops::Range;

use super::{Job, WIDTH, Window};

/// A set of features, asked for at run time if the standard library is there to ask, and else of the target.
macro_rules! has {
    ($($feature:tt),*) => {{
        #[cfg(feature = "std")]
        let all = $(std::is_x86_feature_detected!($feature))&&*;
        #[cfg(not(feature = "std"))]
        let all = cfg!(all($(target_feature = $feature),*));
        all
    }};
}

/// Has the cache fetch what comes a block later: the machine does so by itself only up to the end of a page.
#[inline(always)]
fn expect_more(bytes: &[u8; WIDTH]) {
    // SAFETY: SSE is part of SSE2, and a hint does nothing where there is no memory.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(4096).cast()) }
}

/// The proof that this machine has AVX2 and the bit instructions that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HasAvx2(());

impl HasAvx2 {
    /// Asks the machine.
    pub(crate) fn detect() -> Option<Self> {
        has!("avx2", "bmi1", "bmi2", "popcnt").then_some(Self(()))
    }

    /// Does a job with windows of AVX2.
    #[inline]
    pub(crate) fn run<J: Job>(self, job: J) -> J::Output {
        // SAFETY: only `detect` makes a value of this type, after finding all of the features.
        unsafe { run_with_avx2(job) }
    }
}

/// The proof that this machine has AVX-512 as of Ice Lake and Zen 4, and the bit instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HasAvx512(());

impl HasAvx512 {
    /// Asks the machine.
    pub(crate) fn detect() -> Option<Self> {
        has!("avx512f", "avx512bw", "avx512vbmi2", "avx2", "bmi1", "bmi2", "popcnt").then_some(Self(()))
    }

    /// Does a job with windows of AVX-512.
    #[inline]
    pub(crate) fn run<J: Job>(self, job: J) -> J::Output {
        // SAFETY: only `detect` makes a value of this type, after finding all of the features.
        unsafe { run_with_avx512(job) }
    }
}

/// Compiles the job for AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn run_with_avx512<J: Job>(job: J) -> J::Output {
    job.run::<Avx512>()
}

/// One register of 64 bytes. The type is private to this module and named in [`run_with_avx512`] alone, so whoever calls
/// its methods runs on a machine with AVX-512.
#[derive(Clone, Copy)]
struct Avx512(__m512i);

impl Window for Avx512 {
    #[inline(always)]
    fn load(bytes: &[u8; WIDTH]) -> Self {
        expect_more(bytes);
        // SAFETY: AVX-512 is there; the bytes are 64 readable ones, and the load needs no alignment.
        Self(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
    }

    #[inline(always)]
    fn not_name(self) -> u64 {
        // SAFETY: AVX-512 is there.
        !unsafe { avx512::name(self.0) }
    }

    #[inline(always)]
    fn quote_backslash_or_control(self) -> u64 {
        // SAFETY: AVX-512 is there.
        unsafe { avx512::quote_backslash_or_control(self.0) }
    }

    #[inline(always)]
    fn write_places(bits: u64, start: u16, places: &mut [u16; WIDTH]) {
        // SAFETY: AVX-512 is there.
        let halves = unsafe { avx512::places(bits, start) };
        let to: *mut __m512i = places.as_mut_ptr().cast();
        // SAFETY: AVX-512 is there; the places are two times 64 writable bytes, and the stores need no alignment.
        unsafe {
            _mm512_storeu_si512(to, halves[0]);
            if bits.count_ones() > 32 {
                _mm512_storeu_si512(to.add(1), halves[1]);
            }
        }
    }
}

/// The properties of 64 bytes.
mod avx512 {
    use core::arch::x86_64::*;

    use super::{NAME_BY_HIGH_HALF, NAME_BY_LOW_HALF};

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn name(v: __m512i) -> u64 {
        let [of_high, of_low] = [NAME_BY_HIGH_HALF, NAME_BY_LOW_HALF]
            .map(|table| _mm512_broadcast_i32x4(_mm_set_epi64x((table >> 64) as i64, table as i64)));
        let half = _mm512_and_si512(_mm512_srli_epi16::<4>(v), _mm512_set1_epi8(15));
        _mm512_test_epi8_mask(_mm512_shuffle_epi8(of_high, half), _mm512_shuffle_epi8(of_low, v))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn quote_backslash_or_control(v: __m512i) -> u64 {
        _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20))
            | _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(b'\\' as i8))
            | _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(b'"' as i8))
    }

    /// The places of the bits that are set, lowest first and counted from `start`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
    pub(super) fn places(bits: u64, start: u16) -> [__m512i; 2] {
        let each = _mm512_set_epi64(
            0x3f3e_3d3c_3b3a_3938,
            0x3736_3534_3332_3130,
            0x2f2e_2d2c_2b2a_2928,
            0x2726_2524_2322_2120,
            0x1f1e_1d1c_1b1a_1918,
            0x1716_1514_1312_1110,
            0x0f0e_0d0c_0b0a_0908,
            0x0706_0504_0302_0100,
        );
        let places = _mm512_maskz_compress_epi8(bits, each);
        let halves = [_mm512_castsi512_si256(places), _mm512_extracti64x4_epi64::<1>(places)];
        halves.map(|half| _mm512_add_epi16(_mm512_cvtepu8_epi16(half), _mm512_set1_epi16(start as i16)))
    }
}

/// A byte is a name byte when the sets of its two halves share a bit: one for digits, one for letters up to `o`, one for
/// the capitals from `P` on and the underscore, one for the small letters from `p` on. Bytes from 0x80 on shuffle to zero.
const NAME_BY_HIGH_HALF: u128 = u128::from_le_bytes([0, 0, 0, 1, 2, 4, 2, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
/// The sets of the lower half.
const NAME_BY_LOW_HALF: u128 =
    u128::from_le_bytes([13, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 2, 2, 2, 2, 6]);

/// Compiles the job for AVX2.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
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
        expect_more(bytes);
        let halves: *const __m256i = bytes.as_ptr().cast();
        // SAFETY: AVX2 is there; the halves are 32 readable bytes each, and the load needs no alignment.
        Self(unsafe { [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))] })
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

    use super::{NAME_BY_HIGH_HALF, NAME_BY_LOW_HALF};

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn name(v: __m256i) -> u32 {
        let [of_high, of_low] = [NAME_BY_HIGH_HALF, NAME_BY_LOW_HALF]
            .map(|table| _mm_set_epi64x((table >> 64) as i64, table as i64));
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

/// Four registers of 16 bytes. SSE2 is part of the target wherever this module is compiled.
#[derive(Clone, Copy)]
pub(crate) struct Sse2([__m128i; 4]);

impl Window for Sse2 {
    #[inline(always)]
    fn load(bytes: &[u8; WIDTH]) -> Self {
        expect_more(bytes);
        let quarters: *const __m128i = bytes.as_ptr().cast();
        // SAFETY: SSE2 is there; the quarters are 16 readable bytes each, and the load needs no alignment.
        Self([0, 1, 2, 3].map(|i| unsafe { _mm_loadu_si128(quarters.add(i)) }))
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
    pub(super) fn quote_or_backslash(v: __m128i) -> u64 {
        let backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'\\' as i8));
        mask(_mm_or_si128(backslash, _mm_cmpeq_epi8(v, _mm_set1_epi8(b'"' as i8))))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn mask(v: __m128i) -> u64 {
        _mm_movemask_epi8(v) as u64
    }
}

/// Which of the bytes are a double quote or a backslash.
#[inline(always)]
pub(crate) fn quote_or_backslash(bytes: &[u8; WIDTH]) -> u64 {
    // SAFETY: SSE2 is there.
    unsafe { sse2::each(Sse2::load(bytes).0, |v| sse2::quote_or_backslash(v)) }
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

/// The name and the value of a label `name="value"` in a text, given where it begins and where its quotes stand; `None`
/// where it is none or the name begins with what comes before `A`.
#[inline(always)]
pub(crate) fn label(text: &str, at: usize, open: usize, close: usize) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    if at >= open || open >= close || close >= bytes.len() {
        return None;
    }
    let opening = u16::from_le_bytes([bytes[open - 1], bytes[open]]);
    let others = opening ^ u16::from_le_bytes(*b"=\"") | u16::from(bytes[close] ^ b'"');
    // Beyond ASCII or before `A`.
    let no_name = (bytes[at] | bytes[at].wrapping_sub(b'A')) & 0x80;
    if others | u16::from(no_name) != 0 {
        return None;
    }
    // SAFETY: both ranges lie within the text: `at < open < close < bytes.len()`. Each begins at an ASCII byte or right
    // after one, and ends at one, so it cuts no character in two.
    Some(unsafe { (text.get_unchecked(at..open - 1), text.get_unchecked(open + 1..close)) })
}
