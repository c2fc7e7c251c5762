//! Sixty-four bytes at a time: which of them are name bytes, quotes, control bytes.
//!
//! [`Portable`] answers in plain integers. On x86-64 with SSE2 and with the feature `simd` the vector registers do, the widest that
//! the machine turns out to have; the tests hold all of them equal.

#[cfg(any(test, not(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))))]
mod portable;
#[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

#[cfg(any(test, not(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))))]
pub(crate) use portable::Portable;
#[cfg(not(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2")))]
pub(crate) use portable::{label, part, quote_or_backslash};
#[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
pub(crate) use x86::{label, part, quote_or_backslash};

/// How many bytes a window holds.
pub(crate) const WIDTH: usize = 64;

/// Sixty-four bytes, asked for properties: bit `i` of each answer is about byte `i`.
///
/// The methods are inlined into the function that [`Width::run`] compiles for the instruction set.
pub(crate) trait Window: Copy {
    /// Takes the bytes up.
    fn load(bytes: &[u8; WIDTH]) -> Self;

    /// The bytes that are none of `[a-zA-Z0-9_]`.
    fn not_name(self) -> u64;

    /// The bytes that are a double quote, a backslash or below 0x20.
    fn quote_backslash_or_control(self) -> u64;

    /// Writes the places of the bits that are set, lowest first and counted from `start`; behind them, anything.
    ///
    /// This one writes eight even where there are fewer: how many there are no branch predictor could know.
    #[inline(always)]
    fn write_places(mut bits: u64, start: u16, places: &mut [u16; WIDTH]) {
        for places in places.as_chunks_mut::<8>().0 {
            for place in places {
                *place = start + bits.trailing_zeros() as u16;
                bits &= bits.wrapping_sub(1);
            }
            if bits == 0 {
                break;
            }
        }
    }
}

/// Work that is compiled once for each kind of window.
pub(crate) trait Job {
    /// What the work yields.
    type Output;

    /// Does the work. To be marked `#[inline(always)]`, as is all it calls that handles windows.
    fn run<W: Window>(self) -> Self::Output;
}

/// The kind of window to use on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// What every machine of the target has.
    Baseline,
    /// Registers of 32 bytes.
    #[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
    Avx2(x86::HasAvx2),
    /// Registers of 64 bytes.
    #[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
    Avx512(x86::HasAvx512),
}

/// The windows that every machine of the target has.
#[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
pub(crate) type Baseline = x86::Sse2;
/// The windows that every machine of the target has.
#[cfg(not(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2")))]
pub(crate) type Baseline = Portable;

impl Width {
    /// The widest that this machine has.
    pub(crate) fn detect() -> Self {
        #[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
        if let Some(avx512) = x86::HasAvx512::detect() {
            return Self::Avx512(avx512);
        } else if let Some(avx2) = x86::HasAvx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Baseline
    }

    /// Does a job with windows of this kind.
    #[inline]
    pub(crate) fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            Self::Baseline => job.run::<Baseline>(),
            #[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
            Self::Avx2(avx2) => avx2.run(job),
            #[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
            Self::Avx512(avx512) => avx512.run(job),
        }
    }
}

#[cfg(test)]
#[allow(unused_qualifications, reason = "without the feature `simd`, what the twin has is in scope anyway")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Masks<'a>(&'a [u8; WIDTH]);

    impl Job for Masks<'_> {
        type Output = [Vec<u16>; 2];

        #[inline(always)]
        fn run<W: Window>(self) -> [Vec<u16>; 2] {
            let window = W::load(self.0);
            [window.not_name(), window.quote_backslash_or_control()].map(|bits| {
                let mut places = [0; WIDTH];
                W::write_places(bits, 1000, &mut places);
                places[..bits.count_ones() as usize].to_vec()
            })
        }
    }

    fn check(bytes: &[u8; WIDTH]) {
        let places = |test: &dyn Fn(u8) -> bool| {
            let places = bytes.iter().zip(1000..).filter(|(byte, _)| test(**byte));
            places.map(|(_, place)| place).collect::<Vec<u16>>()
        };
        let expected = [
            places(&|b| !(b.is_ascii_alphanumeric() || b == b'_')),
            places(&|b| b == b'"' || b == b'\\' || b < 0x20),
        ];
        assert_eq!(Masks(bytes).run::<Portable>(), expected, "portable");
        assert_eq!(Masks(bytes).run::<Baseline>(), expected, "baseline");
        #[cfg(all(feature = "simd", target_arch = "x86_64", target_feature = "sse2"))]
        if let Some(avx2) = x86::HasAvx2::detect() {
            assert_eq!(avx2.run(Masks(bytes)), expected, "AVX2");
        }
        assert_eq!(Width::detect().run(Masks(bytes)), expected, "detected");
        let naive = (0..WIDTH).filter(|i| matches!(bytes[*i], b'"' | b'\\')).fold(0, |bits, i| bits | 1 << i);
        assert_eq!(portable::quote_or_backslash(bytes), naive, "portable");
        assert_eq!(quote_or_backslash(bytes), naive, "baseline");
    }

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255 {
            for place in 0..WIDTH {
                let mut bytes = [b'a'; WIDTH];
                bytes[place] = byte;
                check(&bytes);
            }
            check(&[byte; WIDTH]);
        }
    }

    proptest! {
        #[test]
        fn parts_and_labels_agree(text in "[a=\",é]{0,14}") {
            let places = || 0..text.len() + 2;
            for at in places() {
                for open in places() {
                    prop_assert_eq!(part(&text, at..open), portable::part(&text, at..open));
                    // Names are ASCII where a label is asked for.
                    if text.as_bytes().get(at).is_some_and(|byte| !byte.is_ascii()) {
                        continue;
                    }
                    for close in places() {
                        let twin = portable::label(&text, at, open, close);
                        prop_assert_eq!(label(&text, at, open, close), twin);
                    }
                }
            }
        }

        #[test]
        fn all_kinds_agree(bytes: [[u8; 32]; 2]) {
            check(bytes.as_flattened().try_into().unwrap());
        }
    }
}
