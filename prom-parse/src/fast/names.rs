//! Whether a label name comes twice, told fast.

/// The label names of one sample, as two bits of a hash each.
///
/// A name one of whose bits is new is new. Otherwise it is compared with the names before it, which happens to one in
/// twenty sets of ten labels.
#[derive(Default)]
pub(super) struct Names([u64; 2]);

impl Names {
    /// Adds a name, given the eight bytes at its start and its length, which is not 0; false where it is `__name__` or
    /// came before. Asks for the label set up to the name's end only where it may have come before.
    #[inline(always)]
    pub(super) fn add<'a>(&mut self, head: [u8; 8], length: usize, set: impl FnOnce() -> &'a [u8]) -> bool {
        const RESERVED: u64 = u64::from_le_bytes(*b"__name__");
        // Of a name that is shorter than eight bytes, what stands after it is shifted out.
        let key = u64::from_le_bytes(head) << (64 - 8 * length.min(8));
        if key == RESERVED && length == 8 {
            return false;
        }
        // Fibonacci hashing: the upper bits of the product depend on all of the key.
        let hash = (key ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = [1 << (hash >> 58), 1 << (hash >> 52 & 63)];
        let seen = self.0[0] & bits[0] != 0 && self.0[1] & bits[1] != 0;
        self.0[0] |= bits[0];
        self.0[1] |= bits[1];
        !seen || !is_twice(set(), length)
    }
}

/// Whether the name that a label set ends with, of which a first part is given, is also the name of a label before.
/// Those labels are without blanks, each with its comma.
///
/// Says so of a name in a large set without looking: the grammar sorts names, which a set made to be large needs.
#[cold]
fn is_twice(set: &[u8], length: usize) -> bool {
    const LARGE: usize = 1024;
    if set.len() > LARGE {
        return true;
    }
    let (mut labels, name) = set.split_at(set.len() - length);
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
