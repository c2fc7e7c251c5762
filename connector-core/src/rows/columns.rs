//! The columns of [`Rows`](super::Rows), each on its buffers.

use super::buffers::{Texts, Validity};

/// One column's values.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ColumnData {
    /// The tick's own timestamp, the same in every row and so not kept here.
    Time,
    /// Instants.
    Timestamp(TimestampColumn),
    /// Text.
    String(StringColumn),
    /// Numbers.
    Real(RealColumn),
    /// Maps from text to text.
    Dynamic(DynamicColumn),
}

impl ColumnData {
    /// Makes the column `len` rows long, with nulls.
    #[inline]
    pub(super) fn fill(&mut self, len: usize) {
        match self {
            Self::Time => {}
            Self::Timestamp(c) if c.values.len() < len => c.push(len - 1, None),
            Self::String(c) if c.texts.len() < len => c.push_null(),
            Self::Real(c) if c.values.len() < len => c.push(len - 1, None),
            Self::Dynamic(c) => c.end_row(),
            Self::Timestamp(_) | Self::String(_) | Self::Real(_) => {}
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        match self {
            Self::Time => {}
            Self::Timestamp(c) => {
                c.values.truncate(len);
                c.validity.truncate(len);
            }
            Self::String(c) => {
                c.texts.truncate(len);
                c.validity.truncate(len);
            }
            Self::Real(c) => {
                c.values.truncate(len);
                c.validity.truncate(len);
            }
            Self::Dynamic(c) => {
                c.rows.truncate(len + 1);
                let entries = c.rows[c.rows.len() - 1] as usize;
                c.keys.truncate(entries);
                c.values.truncate(entries);
            }
        }
    }

    pub(super) fn overflowed(&self) -> bool {
        match self {
            Self::String(c) => c.texts.overflowed,
            Self::Dynamic(c) => c.keys.overflowed || c.values.overflowed,
            Self::Time | Self::Timestamp(_) | Self::Real(_) => false,
        }
    }

    /// Whether something was written past the last complete row.
    pub(super) fn is_beyond(&self, len: usize) -> bool {
        match self {
            Self::Time => false,
            Self::Timestamp(c) => c.values.len() > len,
            Self::String(c) => c.texts.len() > len,
            Self::Real(c) => c.values.len() > len,
            Self::Dynamic(c) => c.keys.len() > c.rows[c.rows.len() - 1] as usize,
        }
    }

    #[cold]
    pub(super) fn misused(&self, wanted: &str) -> ! {
        panic!("a {wanted} was written into a column of another type: {}", self.kind())
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Timestamp(_) => "timestamp",
            Self::String(_) => "string",
            Self::Real(_) => "real",
            Self::Dynamic(_) => "dynamic",
        }
    }
}

#[cold]
fn written_twice() -> ! {
    panic!("a column was written twice in one row")
}

/// Text, one after the other in one buffer.
#[derive(Clone, Debug, Default)]
pub struct StringColumn {
    texts: Texts,
    validity: Validity,
}

impl StringColumn {
    /// The value in a row, or null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&str> {
        self.validity.get(row).then(|| self.texts.get(row))
    }

    /// All values, one after the other.
    pub fn text(&self) -> &str {
        &self.texts.text
    }

    /// Where each value begins in [`text`](Self::text), and at the end where the last one ends.
    pub fn offsets(&self) -> &[i32] {
        &self.texts.offsets
    }

    /// A bit for each row, least significant first: set where the value is not null. None where no value is null.
    pub fn validity(&self) -> Option<&[u8]> {
        self.validity.bits()
    }

    #[inline]
    pub(super) fn push(&mut self, row: usize, value: &str) {
        if self.texts.len() != row {
            written_twice();
        }
        self.texts.push(value);
        self.validity.push(row, true);
    }

    fn push_null(&mut self) {
        self.validity.push(self.texts.len(), false);
        self.texts.push("");
    }
}

/// Finite doubles.
#[derive(Clone, Debug, Default)]
pub struct RealColumn {
    values: Vec<f64>,
    validity: Validity,
}

impl RealColumn {
    /// The value in a row, or null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<f64> {
        self.validity.get(row).then(|| self.values[row])
    }

    /// All values; 0 where null.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// A bit for each row, least significant first: set where the value is not null. None where no value is null.
    pub fn validity(&self) -> Option<&[u8]> {
        self.validity.bits()
    }

    #[inline]
    pub(super) fn push(&mut self, row: usize, value: Option<f64>) {
        if self.values.len() != row {
            written_twice();
        }
        self.values.push(value.unwrap_or_default());
        self.validity.push(row, value.is_some());
    }
}

/// Instants, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub struct TimestampColumn {
    values: Vec<i64>,
    validity: Validity,
}

impl TimestampColumn {
    /// The value in a row, or null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<i64> {
        self.validity.get(row).then(|| self.values[row])
    }

    /// All values; 0 where null.
    pub fn values(&self) -> &[i64] {
        &self.values
    }

    /// A bit for each row, least significant first: set where the value is not null. None where no value is null.
    pub fn validity(&self) -> Option<&[u8]> {
        self.validity.bits()
    }

    pub(super) fn push(&mut self, row: usize, value: Option<i64>) {
        if self.values.len() != row {
            written_twice();
        }
        self.values.push(value.unwrap_or_default());
        self.validity.push(row, value.is_some());
    }
}

/// Maps from text to text: all keys in one buffer and all values in another, and where each row's entries begin.
#[derive(Clone, Debug)]
pub struct DynamicColumn {
    rows: Vec<i32>,
    keys: Texts,
    values: Texts,
}

impl DynamicColumn {
    /// The entries of a row's map, in the order in which they were written.
    #[inline]
    pub fn entries(&self, row: usize) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.rows[row] as usize..self.rows[row + 1] as usize;
        entries.map(|i| (self.keys.get(i), self.values.get(i)))
    }

    /// Appends a row's map to `json` as a JSON object, its keys in the order in which they were written.
    pub fn write_json(&self, row: usize, json: &mut String) {
        json.push('{');
        for (i, (key, value)) in self.entries(row).enumerate() {
            if i > 0 {
                json.push(',');
            }
            write_json_string(key, json);
            json.push(':');
            write_json_string(value, json);
        }
        json.push('}');
    }

    /// Where each row's entries begin, and at the end where the last one's end.
    pub fn row_offsets(&self) -> &[i32] {
        &self.rows
    }

    /// All keys one after the other, and where each begins.
    pub fn keys(&self) -> (&str, &[i32]) {
        (&self.keys.text, &self.keys.offsets)
    }

    /// All values one after the other, and where each begins.
    pub fn values(&self) -> (&str, &[i32]) {
        (&self.values.text, &self.values.offsets)
    }

    #[inline(always)]
    pub(super) fn push_entry(&mut self, key: &str, value: &str) {
        self.keys.push(key);
        self.values.push(value);
    }

    #[inline]
    fn end_row(&mut self) {
        match i32::try_from(self.keys.len()) {
            Ok(end) => self.rows.push(end),
            Err(_) => {
                self.keys.overflowed = true;
                self.rows.push(self.rows[self.rows.len() - 1]);
            }
        }
    }
}

impl Default for DynamicColumn {
    fn default() -> Self {
        Self { rows: vec![0], keys: Texts::default(), values: Texts::default() }
    }
}

fn write_json_string(text: &str, json: &mut String) {
    json.push('"');
    let mut plain = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        json.push_str(&text[plain..i]);
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            json.push_str("\\u00");
            json.push(char::from(HEX[usize::from(byte >> 4)]));
            json.push(char::from(HEX[usize::from(byte & 15)]));
        } else {
            json.push_str(escape);
        }
        plain = i + 1;
    }
    json.push_str(&text[plain..]);
    json.push('"');
}
