//! The buffers behind [`Rows`](super::Rows): values or bytes, offsets, and a bit for each value that is not null.

/// How many bytes of text a column can hold.
const MOST: usize = i32::MAX as usize;

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
            Self::String(c) if c.offsets.len() <= len => c.push_null(),
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
                c.text.truncate(c.offsets[len.min(c.offsets.len() - 1)] as usize);
                c.offsets.truncate(len + 1);
                c.validity.truncate(len);
                c.overflowed &= len > 0;
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
            Self::String(c) => c.overflowed,
            Self::Dynamic(c) => c.keys.overflowed || c.values.overflowed,
            Self::Time | Self::Timestamp(_) | Self::Real(_) => false,
        }
    }

    /// Whether something was written past the last complete row.
    pub(super) fn is_beyond(&self, len: usize) -> bool {
        match self {
            Self::Time => false,
            Self::Timestamp(c) => c.values.len() > len,
            Self::String(c) => c.len() > len,
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
#[derive(Clone, Debug)]
pub struct StringColumn {
    text: String,
    offsets: Vec<i32>,
    validity: Validity,
    overflowed: bool,
}

impl StringColumn {
    /// How many values there are.
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The value in a row, or null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&str> {
        self.validity.get(row).then(|| &self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize])
    }

    /// All values, one after the other.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where each value begins in [`text`](Self::text), and at the end where the last one ends.
    pub fn offsets(&self) -> &[i32] {
        &self.offsets
    }

    /// A bit for each row, least significant first: set where the value is not null. None where no value is null.
    pub fn validity(&self) -> Option<&[u8]> {
        self.validity.bits()
    }

    #[inline]
    pub(super) fn push(&mut self, row: usize, value: &str) {
        if self.len() != row {
            written_twice();
        }
        self.append(value);
        self.validity.push(row, true);
    }

    fn push_null(&mut self) {
        self.validity.push(self.len(), false);
        self.append("");
    }

    #[inline]
    fn append(&mut self, value: &str) {
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
}

impl Default for StringColumn {
    fn default() -> Self {
        Self { text: String::new(), offsets: vec![0], validity: Validity::default(), overflowed: false }
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

/// Texts one after the other, none of them null.
#[derive(Clone, Debug)]
struct Texts {
    text: String,
    offsets: Vec<i32>,
    overflowed: bool,
}

impl Texts {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    fn get(&self, i: usize) -> &str {
        &self.text[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    #[inline(always)]
    fn push(&mut self, value: &str) {
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

    fn truncate(&mut self, len: usize) {
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
struct Validity(Vec<u8>);

impl Validity {
    #[inline]
    fn get(&self, row: usize) -> bool {
        self.0.is_empty() || self.0[row / 8] >> (row % 8) & 1 == 1
    }

    fn bits(&self) -> Option<&[u8]> {
        (!self.0.is_empty()).then_some(&self.0)
    }

    /// Says of the next row whether it has a value.
    #[inline]
    fn push(&mut self, row: usize, valid: bool) {
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

    fn truncate(&mut self, len: usize) {
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
