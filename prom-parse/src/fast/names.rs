//! Whether a label name is taken, told fast.

/// The label names of one sample, by their hashes.
///
/// A name whose hash is new is new. Otherwise it is compared with the names before it, which happens to one in thirty
/// sets of nine labels.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// For each hash the number of the latest sample that had it, so that nothing is to be cleared between two of them.
    seen: [u8; HASHES],
    sample: u8,
}

/// How many hashes there are: a power of two.
const HASHES: usize = 1 << 10;

/// How many bytes at the start of a name go into its hash.
const HEAD: usize = 8;

/// A name that no label may have.
const RESERVED: &[u8; HEAD] = b"__name__";

impl Names {
    /// No names of no sample.
    pub(crate) fn new() -> Self {
        Self { seen: [0; HASHES], sample: 0 }
    }

    /// Begins with another sample, of whose names only the reserved one has been seen.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        const TAKEN: usize = hash(u64::from_le_bytes(*RESERVED), HEAD);
        self.sample = self.sample.wrapping_add(1);
        if self.sample == 0 {
            self.seen.fill(0);
            self.sample = 1;
        }
        self.seen[TAKEN] = self.sample;
    }

    /// Adds a name, given the eight bytes at its start, the first one lowest, and its length; false where it came before
    /// or is reserved. Asks for the label set up to the name's end only where that may be so.
    #[inline(always)]
    pub(super) fn add<'a>(&mut self, head: u64, length: usize, set: impl FnOnce() -> &'a [u8]) -> bool {
        let seen = &mut self.seen[hash(head & OF_NAME[length % OF_NAME.len()], length)];
        if *seen == self.sample {
            return !is_taken(set(), length);
        }
        *seen = self.sample;
        true
    }
}

/// Fibonacci hashing: the upper bits of the product depend on all of the name's head and its length.
#[inline(always)]
const fn hash(head: u64, length: usize) -> usize {
    ((head ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASHES.ilog2())) as usize
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

/// Whether the name that a label set ends with, of which a first part is given, is reserved or also the name of a label before.
/// Those labels are without blanks, each with its comma, after which one blank may stand.
///
/// Says so of a name in a large set without looking: the grammar sorts names, which a set made to be large needs.
#[cold]
#[inline(never)]
fn is_taken(set: &[u8], length: usize) -> bool {
    const LARGE: usize = 1024;
    if set.len() > LARGE {
        return true;
    }
    let (mut labels, name) = set.split_at(set.len() - length);
    if name == RESERVED {
        return true;
    }
    loop {
        labels = labels.strip_prefix(b" ").unwrap_or(labels);
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
