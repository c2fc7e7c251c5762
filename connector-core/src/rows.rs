//! The rows of one tick, column by column, laid out as Arrow lays them out.

mod buffers;
mod columns;

use std::fmt;

use crate::{ColumnType, Role, Schema};

pub use columns::{ColumnData, DynamicColumn, RealColumn, StringColumn, TimestampColumn};

/// The rows of one tick, in columns: built in one pass, handed to the store, cleared and used again.
///
/// A row is written column by column, in any order, by the column's position in the [`Schema`], and ended with
/// [`end_row`](Self::end_row). A column that was not written is null in that row (an empty map for a
/// [`Dynamic`](ColumnType::Dynamic) one). The [time](Role::Time) column is the framework's and is not written.
///
/// ```
/// use connector_core::{Column, ColumnType, Rows, Schema};
///
/// let schema = Schema::new([
///     Column::time("timestamp"),
///     Column::key("name", ColumnType::String),
///     Column::value("value", ColumnType::Real),
///     Column::key("labels", ColumnType::Dynamic),
/// ])?;
/// let mut rows = Rows::new(&schema);
/// rows.string(1, "up").entry(3, "job", "node").real(2, 1.0).end_row();
/// rows.string(1, "load").real(2, f64::NAN).end_row(); // what is not finite is null
/// assert_eq!(rows.len(), 2);
/// # Ok::<(), connector_core::SchemaError>(())
/// ```
///
/// # Panics
///
/// Writing to a column that is not of the method's type, or twice within a row, is a mistake in the connector's own
/// code, and panics.
#[derive(Clone, Debug)]
pub struct Rows {
    columns: Vec<ColumnData>,
    len: usize,
    has_too_many: bool,
}

impl Rows {
    /// The most rows that one tick can have. Landing more of them would hold up other connectors for too long.
    pub const MAX_ROWS: usize = 4_000_000;

    /// No rows yet, of this shape.
    pub fn new(schema: &Schema) -> Self {
        let column = |c: &crate::Column| match (c.role(), c.kind()) {
            (Role::Time, _) => ColumnData::Time,
            (_, ColumnType::Timestamp) => ColumnData::Timestamp(TimestampColumn::default()),
            (_, ColumnType::String) => ColumnData::String(StringColumn::default()),
            (_, ColumnType::Real) => ColumnData::Real(RealColumn::default()),
            (_, ColumnType::Dynamic) => ColumnData::Dynamic(DynamicColumn::default()),
        };
        Self { columns: schema.columns().iter().map(column).collect(), len: 0, has_too_many: false }
    }

    /// How many rows are complete.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row is complete.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The columns, in the schema's order.
    pub fn columns(&self) -> &[ColumnData] {
        &self.columns
    }

    /// Forgets all rows and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(|column| column.truncate(0));
        (self.len, self.has_too_many) = (0, false);
    }

    /// Writes text into a [`String`](ColumnType::String) column of the current row.
    #[inline]
    pub fn string(&mut self, column: usize, value: &str) -> &mut Self {
        match &mut self.columns[column] {
            ColumnData::String(c) => c.push(self.len, value),
            other => other.misused("string"),
        }
        self
    }

    /// Writes a number into a [`Real`](ColumnType::Real) column of the current row; NaN and the infinities as null.
    #[inline]
    pub fn real(&mut self, column: usize, value: f64) -> &mut Self {
        match &mut self.columns[column] {
            ColumnData::Real(c) => c.push(self.len, value.is_finite().then_some(value)),
            other => other.misused("real"),
        }
        self
    }

    /// Writes an instant, in milliseconds since the Unix epoch, into a [`Timestamp`](ColumnType::Timestamp) column.
    #[inline]
    pub fn timestamp(&mut self, column: usize, millis: i64) -> &mut Self {
        match &mut self.columns[column] {
            ColumnData::Timestamp(c) => c.push(self.len, Some(millis)),
            other => other.misused("timestamp"),
        }
        self
    }

    /// Adds one entry to the map in a [`Dynamic`](ColumnType::Dynamic) column of the current row. Entries keep their
    /// order; that no key comes twice is the connector's duty.
    #[inline(always)]
    pub fn entry(&mut self, column: usize, key: &str, value: &str) -> &mut Self {
        match &mut self.columns[column] {
            ColumnData::Dynamic(c) => c.push_entry(key, value),
            other => other.misused("entry"),
        }
        self
    }

    /// Completes the current row. One beyond [`MAX_ROWS`](Self::MAX_ROWS) is not kept, and [`check`](Self::check) says so.
    #[inline]
    pub fn end_row(&mut self) {
        if self.len == Self::MAX_ROWS {
            return self.refuse_row();
        }
        self.len += 1;
        for column in &mut self.columns {
            column.fill(self.len);
        }
    }

    #[cold]
    fn refuse_row(&mut self) {
        self.has_too_many = true;
        self.abandon_row();
    }

    /// Forgets what was written of the current row.
    pub fn abandon_row(&mut self) {
        let len = self.len;
        self.columns.iter_mut().for_each(|column| column.truncate(len));
    }

    /// Checks that the rows can be stored.
    ///
    /// # Errors
    ///
    /// When a row was begun and not ended, there were more than [`MAX_ROWS`](Self::MAX_ROWS), or a column's text is over 2 GiB.
    pub fn check(&self) -> Result<(), RowsError> {
        if self.has_too_many {
            return Err(RowsError::TooMany);
        }
        if self.columns.iter().any(ColumnData::overflowed) {
            return Err(RowsError::TooLarge);
        }
        if self.columns.iter().any(|column| column.is_beyond(self.len)) {
            return Err(RowsError::Unfinished);
        }
        Ok(())
    }
}

/// Rows that cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowsError {
    /// A row was begun and not ended: a mistake in the connector's own code.
    Unfinished,
    /// There were more than [`Rows::MAX_ROWS`].
    TooMany,
    /// One column holds more than 2 GiB of text.
    TooLarge,
}

impl fmt::Display for RowsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unfinished => "the connector began a row and did not end it",
            Self::TooMany => return write!(f, "the tick has more than {} rows", Rows::MAX_ROWS),
            Self::TooLarge => "the tick's rows hold more than 2 GiB of text in one column",
        })
    }
}

impl std::error::Error for RowsError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Column;

    fn schema() -> Schema {
        Schema::new([
            Column::time("t"),
            Column::key("name", ColumnType::String),
            Column::value("value", ColumnType::Real),
            Column::key("labels", ColumnType::Dynamic),
            Column::value("seen", ColumnType::Timestamp),
        ])
        .unwrap()
    }

    type Row = (Option<String>, Option<f64>, Vec<(String, String)>, Option<i64>);

    fn write(rows: &mut Rows, (name, value, labels, seen): &Row) {
        for (k, v) in labels {
            rows.entry(3, k, v);
        }
        if let Some(seen) = seen {
            rows.timestamp(4, *seen);
        }
        if let Some(name) = name {
            rows.string(1, name);
        }
        if let Some(value) = value {
            rows.real(2, *value);
        }
    }

    fn read(rows: &Rows, i: usize) -> Row {
        let [
            ColumnData::Time,
            ColumnData::String(name),
            ColumnData::Real(value),
            ColumnData::Dynamic(labels),
            ColumnData::Timestamp(seen),
        ] = rows.columns()
        else {
            panic!("columns of another shape")
        };
        let labels = labels.entries(i).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        (name.get(i).map(str::to_owned), value.get(i), labels, seen.get(i))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn rows_read_back_as_written_however_often_a_row_is_abandoned(
            written in proptest::collection::vec((any::<Row>(), any::<bool>()), 0..20)
        ) {
            let mut rows = Rows::new(&schema());
            for _ in 0..2 {
                rows.clear();
                let mut kept = Vec::new();
                for (row, keep) in &written {
                    write(&mut rows, row);
                    if *keep {
                        rows.end_row();
                        let (name, value, labels, seen) = row.clone();
                        kept.push((name, value.filter(|v| v.is_finite()), labels, seen));
                    } else {
                        rows.abandon_row();
                    }
                }
                prop_assert_eq!(rows.check(), Ok(()));
                prop_assert_eq!(rows.len(), kept.len());
                for (i, row) in kept.iter().enumerate() {
                    prop_assert_eq!(&read(&rows, i), row);
                }
            }
        }
    }

    #[test]
    fn a_row_begun_and_not_ended_is_noticed() {
        let mut rows = Rows::new(&schema());
        rows.string(1, "a").end_row();
        assert_eq!(rows.check(), Ok(()));
        rows.entry(3, "k", "v");
        assert_eq!(rows.check(), Err(RowsError::Unfinished));
        rows.abandon_row();
        rows.string(1, "b");
        assert_eq!(rows.check(), Err(RowsError::Unfinished));
    }

    #[test]
    fn rows_beyond_the_most_are_not_kept_and_refused() {
        let mut rows = Rows::new(&schema());
        (0..Rows::MAX_ROWS).for_each(|_| rows.end_row());
        assert_eq!(rows.check(), Ok(()));
        rows.end_row();
        assert_eq!((rows.len(), rows.check()), (Rows::MAX_ROWS, Err(RowsError::TooMany)));
        rows.clear();
        assert_eq!((rows.len(), rows.check()), (0, Ok(())));
    }

    #[test]
    #[should_panic(expected = "twice")]
    fn writing_a_column_twice_panics() {
        Rows::new(&schema()).string(1, "a").string(1, "b");
    }

    #[test]
    #[should_panic(expected = "real")]
    fn writing_another_type_panics() {
        Rows::new(&schema()).real(1, 1.0);
    }

    #[test]
    fn a_map_is_written_as_json_with_its_keys_in_order() {
        let mut rows = Rows::new(&schema());
        rows.entry(3, "z", "a\"b\\\n\u{1}").entry(3, "a", "é").end_row();
        rows.end_row();
        let ColumnData::Dynamic(labels) = &rows.columns()[3] else { panic!() };
        let mut json = String::new();
        labels.write_json(0, &mut json);
        assert_eq!(json, r#"{"z":"a\"b\\\n\u0001","a":"é"}"#);
        json.clear();
        labels.write_json(1, &mut json);
        assert_eq!(json, "{}");
    }
}
