//! Whether a label name comes twice, told fast.

use std::ops::Range;

/// The label names of one sample, as three bits of a hash each.
///
/// A name whose three bits are all new is new. Otherwise it is compared with the names before it: of sets of ten labels,
/// about one in a hundred gets there.
#[derive(Default)]
pub(crate) struct Names {
    bits: [u64; 3],
    unchecked: bool,
}

impl Names {
    /// Takes any name as often as it comes.
    pub(crate) fn unchecked() -> Self {
        Self { unchecked: true, ..Self::default() }
    }

    /// Adds a name; false where it is `__name__` or came before. The label set begins at `first`, and what stands
    /// between there and the name are labels without blanks, and at least two bytes stand before it.
    #[inline(always)]
    pub(crate) fn add(&mut self, body: &[u8], first: usize, name: Range<usize>) -> bool {
        if self.unchecked {
            return true;
        }
        let Some(head) = body.get(name.start..).and_then(|rest| rest.first_chunk()) else { return false };
        let (head, length) = (u64::from_le_bytes(*head), name.len());
        let key = if length < 8 {
            head & !(!0 << (8 * length))
        } else {
            let tail = body[name.end - 8..].first_chunk().map_or(0, |tail| u64::from_le_bytes(*tail));
            if length == 8 && head == u64::from_le_bytes(*b"__name__") {
                return false;
            }
            head ^ tail.rotate_left(25)
        };
        // Fibonacci hashing: the upper bits of the product depend on all of the key.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut seen = true;
        for (bits, shift) in self.bits.iter_mut().zip([58, 52, 46]) {
            let bit = 1 << (hash >> shift & 63);
            seen &= *bits & bit != 0;
            *bits |= bit;
        }
        !seen || !came_before(&body[first..name.start], &body[name])
    }
}

/// Whether a label of this name is among plain labels, each with its comma.
#[cold]
fn came_before(mut labels: &[u8], name: &[u8]) -> bool {
    loop {
        let Some(equals) = memchr::memchr(b'=', labels) else { return false };
        if &labels[..equals] == name {
            return true;
        }
        let mut at = equals + "=\"".len();
        loop {
            match labels.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
                Some(stop) if labels[at + stop] == b'"' => {
                    at += stop + "\",".len();
                    break;
                }
                Some(stop) => at += stop + 2,
                None => return false,
            }
        }
        labels = labels.get(at..).unwrap_or_default();
    }
}
