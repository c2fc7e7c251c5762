//! Hashes of the columns that identify a row.

use connector_core::{ColumnData, Role, Rows, Schema};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// By what the keys of a tick's rows are recognised.
#[derive(Debug, Default)]
pub(super) struct Prints {
    /// The [fingerprint](Keys::fingerprint) of all.
    pub(super) whole: u128,
    /// The [hash](Keys::hash) of each row's, or nothing where the writer will hardly need them.
    pub(super) rows: Vec<u128>,
}

/// The key columns of a tick's rows.
pub(super) struct Keys<'a> {
    columns: Vec<&'a ColumnData>,
    rows: usize,
}

impl<'a> Keys<'a> {
    pub(super) fn new(schema: &Schema, rows: &'a Rows) -> Self {
        let columns = schema.with_role(Role::Key).map(|(i, _)| &rows.columns()[i]).collect();
        Self { columns, rows: rows.len() }
    }

    /// The columns, in the schema's order.
    pub(super) fn columns(&self) -> &[&'a ColumnData] {
        &self.columns
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The hash of each row's key.
    pub(super) fn hashes(&self) -> Vec<u128> {
        let mut bytes = Vec::new();
        (0..self.rows).map(|row| self.hash(row, &mut bytes)).collect()
    }

    /// One number for all keys of all rows in their order, from the columns as they lie in memory: the same number
    /// means the same keys, and so the same series. It is never stored.
    pub(super) fn fingerprint(&self) -> u128 {
        let mut hash = Xxh3Default::new();
        hash.update(&self.rows.to_ne_bytes());
        for column in &self.columns {
            match column {
                ColumnData::String(strings) => {
                    text(&mut hash, (strings.text(), strings.offsets()));
                    let validity = strings.validity();
                    hash.update(&[u8::from(validity.is_some())]);
                    hash.update(validity.unwrap_or_default());
                }
                ColumnData::Dynamic(maps) => {
                    text(&mut hash, maps.keys());
                    text(&mut hash, maps.values());
                    offsets(&mut hash, maps.row_offsets());
                }
                _ => {}
            }
        }
        hash.digest128()
    }

    /// One number for the key of one row, whatever the order of a map's entries. It is stored, and so always the same.
    pub(super) fn hash(&self, row: usize, bytes: &mut Vec<u8>) -> u128 {
        bytes.clear();
        for column in &self.columns {
            match column {
                ColumnData::String(strings) => match strings.get(row) {
                    Some(text) => framed(bytes, text),
                    None => bytes.extend_from_slice(&u32::MAX.to_le_bytes()),
                },
                ColumnData::Dynamic(maps) => {
                    let count = maps.row_offsets()[row + 1] - maps.row_offsets()[row];
                    bytes.extend_from_slice(&count.to_le_bytes());
                    if maps.entries(row).map(|(key, _)| key).is_sorted() {
                        maps.entries(row).for_each(|(key, value)| entry(bytes, key, value));
                    } else {
                        let mut entries: Vec<_> = maps.entries(row).collect();
                        entries.sort_unstable();
                        entries.iter().for_each(|(key, value)| entry(bytes, key, value));
                    }
                }
                _ => {}
            }
        }
        xxh3_128(bytes)
    }
}

/// What a series is recognised by: its key's hash, moved on by the time for which the key comes in a tick.
pub(super) fn mark(hash: u128, nth: u32) -> u128 {
    hash.wrapping_add(u128::from(nth) << 64)
}

/// The high and the low half of a mark, as files keep it.
pub(super) fn halves(mark: u128) -> (i64, i64) {
    ((mark >> 64) as i64, mark as i64)
}

/// A mark from its halves.
pub(super) fn whole((high, low): (i64, i64)) -> u128 {
    u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned())
}

fn entry(bytes: &mut Vec<u8>, key: &str, value: &str) {
    framed(bytes, key);
    framed(bytes, value);
}

/// Text with its length before it. A column holds at most 2 GiB.
fn framed(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn text(hash: &mut Xxh3Default, (text, ends): (&str, &[i32])) {
    hash.update(text.as_bytes());
    offsets(hash, ends);
}

fn offsets(hash: &mut Xxh3Default, offsets: &[i32]) {
    let mut bytes = [0; 1024];
    for chunk in offsets.chunks(bytes.len() / 4) {
        for (to, from) in bytes.chunks_exact_mut(4).zip(chunk) {
            to.copy_from_slice(&from.to_ne_bytes());
        }
        hash.update(&bytes[..chunk.len() * 4]);
    }
}

#[cfg(test)]
mod tests {
    use connector_core::{Column, ColumnType};

    use super::*;

    fn schema() -> Schema {
        Schema::new([
            Column::time("t"),
            Column::key("name", ColumnType::String),
            Column::key("labels", ColumnType::Dynamic),
        ])
        .unwrap()
    }

    fn rows(write: impl Fn(&mut Rows)) -> Rows {
        let mut rows = Rows::new(&schema());
        write(&mut rows);
        rows
    }

    fn hashes(rows: &Rows) -> Vec<u128> {
        let (schema, mut bytes) = (schema(), Vec::new());
        let keys = Keys::new(&schema, rows);
        (0..rows.len()).map(|row| keys.hash(row, &mut bytes)).collect()
    }

    #[test]
    fn keys_differ_wherever_their_bytes_are_cut() {
        let rows = rows(|rows| {
            rows.end_row();
            rows.string(1, "").end_row();
            rows.string(1, "a").entry(2, "b", "c").end_row();
            rows.string(1, "a").entry(2, "bc", "").end_row();
            rows.string(1, "ab").entry(2, "", "c").end_row();
            rows.string(1, "a").entry(2, "b", "").entry(2, "c", "").end_row();
        });
        let mut hashes = hashes(&rows);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), rows.len());
    }

    #[test]
    fn the_order_of_labels_makes_no_key() {
        let rows = rows(|rows| {
            rows.string(1, "n").entry(2, "a", "1").entry(2, "b", "2").end_row();
            rows.string(1, "n").entry(2, "b", "2").entry(2, "a", "1").end_row();
            rows.string(1, "n").entry(2, "a", "2").entry(2, "b", "1").end_row();
        });
        let hashes = hashes(&rows);
        assert_eq!(hashes[0], hashes[1]);
        assert_ne!(hashes[0], hashes[2]);
    }

    #[test]
    fn a_fingerprint_sees_every_row_and_where_it_ends() {
        let schema = schema();
        let fingerprint = |rows: &Rows| Keys::new(&schema, rows).fingerprint();
        let two = rows(|rows| rows.string(1, "a").end_row());
        let mut same = two.clone();
        assert_eq!(fingerprint(&two), fingerprint(&same));
        same.end_row();
        assert_ne!(fingerprint(&two), fingerprint(&same));
        let (ab, ba) = (
            rows(|rows| {
                rows.string(1, "a").end_row();
                rows.string(1, "bc").end_row();
            }),
            rows(|rows| {
                rows.string(1, "ab").end_row();
                rows.string(1, "c").end_row();
            }),
        );
        assert_ne!(fingerprint(&ab), fingerprint(&ba));
    }
}
