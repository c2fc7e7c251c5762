//! Which values a tick has, as far as a few bits tell: a Bloom filter a tick, by which a search for a value passes over
//! the samples of ticks that do not have it.

use connector_core::{Column, ColumnData, ColumnType, Role, Rows, Schema};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use xxhash_rust::xxh3::xxh3_64;

/// A value sets two bits of so many for each: of the values that a tick does not have, one in twenty seems to be there.
const BITS_A_VALUE: usize = 8;

/// Ticks with fewer values have no filter: to read it would take as long as to read them.
const MANY: usize = 256;

/// The filter over a tick's values, if it has many. Which bits a value sets is part of the layout of files.
pub(super) fn of(schema: &Schema, rows: &Rows) -> Option<Vec<u8>> {
    let columns =
        || schema.with_role(Role::Value).filter(|(_, column)| has(column)).map(|(column, _)| column);
    let values = rows.len() * columns().count();
    if values < MANY {
        return None;
    }
    let mut bits = vec![0; values * BITS_A_VALUE / 8];
    let mut set = |hash| {
        for place in places(bits.len(), hash) {
            bits[place / 8] |= 1 << (place % 8);
        }
    };
    for column in columns() {
        for row in 0..rows.len() {
            match &rows.columns()[column] {
                ColumnData::Real(reals) => set(of_real(column, reals.get(row))),
                ColumnData::Timestamp(times) => set(of_integer(column, times.get(row))),
                ColumnData::String(strings) => set(of_text(column, strings.get(row).map(str::as_bytes))),
                _ => {}
            }
        }
    }
    Some(bits)
}

/// Whether filters have the values of a column.
pub(super) fn has(column: &Column) -> bool {
    matches!(column.kind(), ColumnType::Real | ColumnType::Timestamp | ColumnType::String)
}

/// Writes a tick's filter.
pub(super) fn write(connection: &Connection, tick: i64, filter: Option<&[u8]>) -> rusqlite::Result<()> {
    let Some(filter) = filter else { return Ok(()) };
    connection.prepare_cached("INSERT INTO \"$blooms\" VALUES (?1, ?2)")?.execute((tick, filter)).map(drop)
}

/// Whether a tick may have a value, by its filter.
pub(super) fn may_have(filter: &[u8], hash: u64) -> bool {
    places(filter.len(), hash)
        .into_iter()
        .all(|place| filter.get(place / 8).is_some_and(|bits| bits >> (place % 8) & 1 == 1))
}

/// The hash of a column's value.
pub(super) fn hash(column: usize, value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Real(real) => of_real(column, Some(real)),
        ValueRef::Integer(integer) => of_integer(column, Some(integer)),
        ValueRef::Text(text) | ValueRef::Blob(text) => of_text(column, Some(text)),
        ValueRef::Null => of_integer(column, None),
    }
}

/// SQLite keeps NaN as null, and one zero.
#[inline]
fn of_real(column: usize, real: Option<f64>) -> u64 {
    mixed(column, real.filter(|real| !real.is_nan()).map(|real| (real + 0.0).to_bits()))
}

fn of_integer(column: usize, integer: Option<i64>) -> u64 {
    mixed(column, integer.map(i64::cast_unsigned))
}

fn of_text(column: usize, text: Option<&[u8]>) -> u64 {
    mixed(column, text.map(xxh3_64))
}

/// Both halves of a product depend on all bits of its factors.
#[inline]
fn mixed(column: usize, value: Option<u64>) -> u64 {
    const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
    const APART: u64 = 0xd1b5_4a32_d192_ed03;
    const NULL: u64 = 0x5bd1_e995_7b7d_159d;
    let of_column = (column as u64).wrapping_mul(APART);
    let product = u128::from(value.unwrap_or(NULL) ^ of_column) * FACTOR;
    product as u64 ^ (product >> 64) as u64
}

/// The bits that a hash sets in a filter of so many bytes.
#[inline]
fn places(bytes: usize, hash: u64) -> [usize; 2] {
    [hash >> 32, hash & 0xffff_ffff].map(|half| ((half * (bytes as u64 * 8)) >> 32) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 1_000;

    fn filled(rows: usize) -> (Schema, Rows) {
        let schema = Schema::new([
            Column::key("name", ColumnType::String),
            Column::value("real", ColumnType::Real),
            Column::time("at"),
            Column::value("map", ColumnType::Dynamic),
            Column::value("time", ColumnType::Timestamp),
            Column::value("text", ColumnType::String),
        ])
        .unwrap();
        let mut filled = Rows::new(&schema);
        for row in 0..rows {
            filled.string(0, "name").real(1, row as f64 / 8.0).entry(3, "key", "value");
            filled.timestamp(4, row as i64).string(5, &row.to_string()).end_row();
        }
        filled.real(1, f64::NAN).end_row();
        filled.real(1, -0.0).end_row();
        (schema, filled)
    }

    #[test]
    fn every_value_is_there_and_few_others_seem_to_be() {
        let (schema, rows) = filled(ROWS);
        let filter = of(&schema, &rows).unwrap();
        assert_eq!(filter.len(), 3 * (ROWS + 2));
        for row in 0..ROWS {
            assert!(may_have(&filter, hash(1, ValueRef::Real(row as f64 / 8.0))), "{row}");
            assert!(may_have(&filter, hash(4, ValueRef::Integer(row as i64))), "{row}");
            assert!(may_have(&filter, hash(5, ValueRef::Text(row.to_string().as_bytes()))), "{row}");
        }
        assert!([1, 4, 5].into_iter().all(|column| may_have(&filter, hash(column, ValueRef::Null))));
        let seem = |hash: &dyn Fn(usize) -> u64| {
            (ROWS..11 * ROWS).filter(|row| may_have(&filter, hash(*row))).count()
        };
        for seeming in [
            seem(&|row| hash(1, ValueRef::Real(row as f64 / 8.0))),
            seem(&|row| hash(1, ValueRef::Real(row as f64 * 1e-9))),
            seem(&|row| hash(4, ValueRef::Integer(row as i64))),
            seem(&|row| hash(5, ValueRef::Text(row.to_string().as_bytes()))),
        ] {
            assert!(seeming < ROWS, "one in twenty of {}, and not {seeming}", 10 * ROWS);
        }
    }

    #[test]
    fn few_values_have_no_filter() {
        // Two rows more, of three columns that it has.
        assert_eq!(of(&filled(83).0, &filled(83).1), None);
        assert_eq!(of(&filled(84).0, &filled(84).1).map(|filter| filter.len()), Some(3 * 86));
    }

    #[test]
    fn a_value_sets_the_same_bits_for_ever() {
        let values = [
            (1, ValueRef::Real(0.0)),
            (1, ValueRef::Real(1.5)),
            (4, ValueRef::Integer(1_777_716_000_000)),
            (5, ValueRef::Text(b"text")),
            (5, ValueRef::Null),
        ];
        assert_eq!(
            values.map(|(column, value)| places(1_000, hash(column, value))),
            [[6712, 5285], [6892, 6784], [2462, 5520], [7799, 2837], [6449, 791]]
        );
    }
}
