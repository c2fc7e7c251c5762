//! What columns are made of: bytes with offsets, and a bit for each value that is not null.

/// How many bytes of text a column can hold.
const MOST: usize = i32::MAX as usize;

/// Texts one after the other, none of them null.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub(super) text: String,
    /// Where each begins, and at the end where the last one ends.
    pub(super) offsets: Vec<i32>,
    /// Whether a text was left out, as all of them would have been too large.
    pub(super) overflowed: bool,
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    pub(super) fn get(&self, i: usize) -> &str {
        &self.text[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: &str) {
        let end = self.text.len() + value.len();
        if end > MOST {
            return self.overflow();
        }
        self.text.push_str(value);
        self.offsets.push(end as i32);
    }

    #[cold]
    fn overflow(&mut self) {
        self.overflowed = true;
        self.offsets.push(self.offsets[self.offsets.len() - 1]);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.text.truncate(self.offsets[self.offsets.len() - 1] as usize);
        self.overflowed &= len > 0;
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self { text: String::new(), offsets: vec![0], overflowed: false }
    }
}

/// Which rows have a value: a bit for each, least significant first, and none at all while every row has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Validity(Vec<u8>);

impl Validity {
    #[inline]
    pub(super) fn get(&self, row: usize) -> bool {
        self.0.is_empty() || self.0[row / 8] >> (row % 8) & 1 == 1
    }

    pub(super) fn bits(&self) -> Option<&[u8]> {
        (!self.0.is_empty()).then_some(&self.0)
    }

    /// Says of the next row whether it has a value.
    #[inline]
    pub(super) fn push(&mut self, row: usize, valid: bool) {
        if !valid || !self.0.is_empty() {
            self.set(row, valid);
        }
    }

    #[cold]
    fn set(&mut self, row: usize, valid: bool) {
        if self.0.is_empty() {
            self.0.resize(row / 8, u8::MAX);
            self.0.push(low_bits(row % 8));
        } else if row.is_multiple_of(8) {
            self.0.push(0);
        }
        self.0[row / 8] |= u8::from(valid) << (row % 8);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if len.div_ceil(8) > self.0.len() {
            return;
        }
        self.0.truncate(len.div_ceil(8));
        if let Some(last) = self.0.last_mut().filter(|_| !len.is_multiple_of(8)) {
            *last &= low_bits(len % 8);
        }
    }
}

/// A byte whose lowest `n` bits are set.
fn low_bits(n: usize) -> u8 {
    (1 << n) - 1
}
