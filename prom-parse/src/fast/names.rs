//! Whether a label name comes twice, told fast.

/// The label names of one sample, as one bit of 512 each.
///
/// A name whose bit is new is new. Otherwise it is compared with the names before it, which happens to one in fourteen
/// sets of nine labels.
#[derive(Default)]
pub(super) struct Names([u64; 8]);

/// How many bytes at the start of a name go into its hash.
const HEAD: usize = 8;

impl Names {
    /// Adds a name, given the eight bytes at its start, the first one lowest, and its length, which is from 1 to 63; false where it came before, or
    /// begins as `__name__` does. Asks for the label set up to the name's end only where it may have come before.
    #[inline(always)]
    pub(super) fn add<'a>(&mut self, head: u64, length: usize, set: impl FnOnce() -> &'a [u8]) -> bool {
        const RESERVED: u64 = u64::from_le_bytes(*b"__name__");
        let key = head & OF_NAME[length % OF_NAME.len()];
        if key == RESERVED {
            return false;
        }
        // Fibonacci hashing: the upper bits of the product depend on all of the key.
        let hash = (key ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55;
        let (word, bit) = (&mut self.0[(hash >> 6) as usize], hash & 63);
        let seen = *word >> bit & 1 != 0;
        *word |= 1 << bit;
        !seen || !is_twice(set(), length)
    }
}

/// Which of the eight bytes at its start belong to a name, by its length.
const OF_NAME: [u64; 64] = {
    let mut masks = [!0; 64];
    let mut length = 0;
    while length < HEAD {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};

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
