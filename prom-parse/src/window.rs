//! Sixty-four bytes at a time: which of them are quotes, name bytes, control bytes.
//!
//! [`Portable`] answers in plain integers. On x86-64 and with the feature `simd` the vector registers do, the widest that
//! the machine turns out to have; the tests hold all of them equal.

#[cfg_attr(
    all(feature = "simd", target_arch = "x86_64"),
    allow(dead_code, reason = "the twin is for the tests")
)]
#[cfg(any(test, not(all(feature = "simd", target_arch = "x86_64"))))]
mod portable;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod x86;

#[cfg(any(test, not(all(feature = "simd", target_arch = "x86_64"))))]
pub(crate) use portable::Portable;
#[cfg(not(all(feature = "simd", target_arch = "x86_64")))]
pub(crate) use portable::{Ascii, TextWindow, part};
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
pub(crate) use x86::{Ascii, TextWindow, part};

/// How many bytes a window holds.
pub(crate) const WIDTH: usize = 64;

/// Sixty-four bytes, asked for properties: bit `i` of each answer is about byte `i`.
///
/// The methods are inlined into the function that [`Width::run`] compiles for the instruction set.
pub(crate) trait Window: Copy {
    /// Takes the bytes up.
    fn load(bytes: &[u8; WIDTH]) -> Self;

    /// The bytes that equal this one.
    fn equal(self, byte: u8) -> u64;

    /// The bytes that are none of `[a-zA-Z0-9_]`.
    fn not_name(self) -> u64;

    /// The bytes that are a double quote, a backslash or below 0x20.
    fn quote_backslash_or_control(self) -> u64;
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
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    Avx2(x86::HasAvx2),
}

/// The windows that every machine of the target has.
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
pub(crate) type Baseline = x86::Sse2;
/// The windows that every machine of the target has.
#[cfg(not(all(feature = "simd", target_arch = "x86_64")))]
pub(crate) type Baseline = Portable;

impl Width {
    /// The widest that this machine has.
    pub(crate) fn detect() -> Self {
        #[cfg(all(feature = "simd", target_arch = "x86_64"))]
        if let Some(avx2) = x86::HasAvx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Baseline
    }

    /// Does a job with windows of this kind.
    #[inline]
    pub(crate) fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            Self::Baseline => job.run::<Baseline>(),
            #[cfg(all(feature = "simd", target_arch = "x86_64"))]
            Self::Avx2(avx2) => avx2.run(job),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Masks<'a>(&'a [u8; WIDTH]);

    impl Job for Masks<'_> {
        type Output = [u64; 6];

        #[inline(always)]
        fn run<W: Window>(self) -> [u64; 6] {
            let w = W::load(self.0);
            [
                w.equal(b'"'),
                w.equal(0),
                w.equal(0xff),
                w.equal(b'\n'),
                w.not_name(),
                w.quote_backslash_or_control(),
            ]
        }
    }

    fn naive(bytes: &[u8; WIDTH]) -> [u64; 6] {
        let mask = |test: &dyn Fn(u8) -> bool| (0..WIDTH).fold(0, |m, i| m | u64::from(test(bytes[i])) << i);
        [
            mask(&|b| b == b'"'),
            mask(&|b| b == 0),
            mask(&|b| b == 0xff),
            mask(&|b| b == b'\n'),
            mask(&|b| !(b.is_ascii_alphanumeric() || b == b'_')),
            mask(&|b| b == b'"' || b == b'\\' || b < 0x20),
        ]
    }

    fn check(bytes: &[u8; WIDTH]) {
        assert_eq!(Masks(bytes).run::<Portable>(), naive(bytes), "portable");
        assert_eq!(Masks(bytes).run::<Baseline>(), naive(bytes), "baseline");
        assert_eq!(Width::detect().run(Masks(bytes)), naive(bytes), "detected");
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
        fn all_kinds_agree(bytes: [[u8; 32]; 2]) {
            check(bytes.as_flattened().try_into().unwrap());
        }
    }
}
