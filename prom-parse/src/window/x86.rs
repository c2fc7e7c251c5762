//! Windows in the vector registers of x86-64: the one module with `unsafe`.
//!
//! It loads arrays of bytes, whose bounds the types prove, and runs code for AVX2 once the machine was asked for it.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Job, WIDTH, Window};

/// The proof that this machine has AVX2 and the bit instructions that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HasAvx2(());

impl HasAvx2 {
    /// Asks the machine.
    pub(crate) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
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

/// Two registers of 32 bytes.
///
/// SAFETY, throughout: the type is private to this module and named in [`run_with_avx2`] alone, which runs only where
/// the machine has AVX2.
#[derive(Clone, Copy)]
struct Avx2([__m256i; 2]);

impl Avx2 {
    #[inline(always)]
    fn mask(self, test: impl Fn(__m256i) -> __m256i) -> u64 {
        // SAFETY: AVX2 is there, see above.
        let bits = |vector| unsafe { _mm256_movemask_epi8(test(vector)) } as u32;
        u64::from(bits(self.0[0])) | u64::from(bits(self.0[1])) << 32
    }
}

impl Window for Avx2 {
    #[inline(always)]
    fn load(bytes: &[u8; WIDTH]) -> Self {
        let (halves, _) = bytes.as_chunks::<32>();
        // SAFETY: AVX2 is there, see above; each half is 32 readable bytes, and the load needs no alignment.
        Self([0, 1].map(|i| unsafe { _mm256_loadu_si256(halves[i].as_ptr().cast()) }))
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        // SAFETY: AVX2 is there, see above.
        self.mask(|v| unsafe { _mm256_cmpeq_epi8(v, _mm256_set1_epi8(byte as i8)) })
    }

    #[inline(always)]
    fn not_name(self) -> u64 {
        // A byte is a name byte when the sets of its two halves share a bit: one for digits, two for letters up to
        // `o`, two from `p` on, one for the underscore. Bytes from 0x80 on shuffle to zero.
        // SAFETY: AVX2 is there, see above.
        !self.mask(|v| unsafe {
            let by_high = _mm256_setr_epi8(
                0, 0, 0, 1, 2, 4, 2, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 8, 0, 0, 0, 0, 0, 0, 0,
                0,
            );
            let by_low = _mm256_setr_epi8(
                13, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 2, 2, 2, 2, 6, 13, 15, 15, 15, 15, 15, 15, 15,
                15, 15, 14, 2, 2, 2, 2, 6,
            );
            let high =
                _mm256_shuffle_epi8(by_high, _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15)));
            let low = _mm256_shuffle_epi8(by_low, v);
            _mm256_cmpgt_epi8(_mm256_and_si256(high, low), _mm256_setzero_si256())
        })
    }

    #[inline(always)]
    fn backslash_or_control(self) -> u64 {
        // SAFETY: AVX2 is there, see above.
        self.mask(|v| unsafe {
            let last_control = _mm256_set1_epi8(0x1f);
            let control = _mm256_cmpeq_epi8(_mm256_max_epu8(v, last_control), last_control);
            _mm256_or_si256(control, _mm256_cmpeq_epi8(v, _mm256_set1_epi8(b'\\' as i8)))
        })
    }
}

/// Four registers of 16 bytes. Every x86-64 machine has SSE2.
#[derive(Clone, Copy)]
pub(crate) struct Sse2([__m128i; 4]);

impl Sse2 {
    #[inline(always)]
    fn mask(self, test: impl Fn(__m128i) -> __m128i) -> u64 {
        // SAFETY: SSE2 is part of x86-64.
        let bits = |vector| unsafe { _mm_movemask_epi8(test(vector)) } as u64;
        self.0.iter().rev().fold(0, |mask, vector| mask << 16 | bits(*vector))
    }
}

impl Window for Sse2 {
    #[inline(always)]
    fn load(bytes: &[u8; WIDTH]) -> Self {
        let (quarters, _) = bytes.as_chunks::<16>();
        // SAFETY: SSE2 is part of x86-64; each quarter is 16 readable bytes, and the load needs no alignment.
        Self([0, 1, 2, 3].map(|i| unsafe { _mm_loadu_si128(quarters[i].as_ptr().cast()) }))
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        // SAFETY: SSE2 is part of x86-64.
        self.mask(|v| unsafe { _mm_cmpeq_epi8(v, _mm_set1_epi8(byte as i8)) })
    }

    #[inline(always)]
    fn not_name(self) -> u64 {
        // SAFETY: SSE2 is part of x86-64.
        !self.mask(|v| unsafe {
            // Signed comparison: shifted so that the range ends at the largest value.
            let range = |v, first: u8, last: u8| {
                let shifted = _mm_add_epi8(v, _mm_set1_epi8((127 - last) as i8));
                _mm_cmpgt_epi8(shifted, _mm_set1_epi8((127 - last + first - 1) as i8))
            };
            let letter = range(_mm_or_si128(v, _mm_set1_epi8(0x20)), b'a', b'z');
            let underscore = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'_' as i8));
            _mm_or_si128(_mm_or_si128(letter, underscore), range(v, b'0', b'9'))
        })
    }

    #[inline(always)]
    fn backslash_or_control(self) -> u64 {
        // SAFETY: SSE2 is part of x86-64.
        self.mask(|v| unsafe {
            let last_control = _mm_set1_epi8(0x1f);
            let control = _mm_cmpeq_epi8(_mm_max_epu8(v, last_control), last_control);
            _mm_or_si128(control, _mm_cmpeq_epi8(v, _mm_set1_epi8(b'\\' as i8)))
        })
    }
}
