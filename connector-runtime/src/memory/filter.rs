//! Conditions on one column's values, given as text.

use std::collections::BTreeMap;

use chrono::DateTime;
use connector_core::{ColumnData, ColumnType, Rows, Schema};

use crate::model::Millis;
use crate::store::StoreError;

/// Keeps the rows that have one value in one column.
#[derive(Debug)]
pub(super) struct Filter {
    column: usize,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Null,
    Timestamp(Millis),
    Text(String),
    Real(f64),
    Map(BTreeMap<String, String>),
}

impl Filter {
    pub(super) fn new(schema: &Schema, name: &str, value: &str) -> Result<Self, StoreError> {
        let column = schema
            .index_of(name)
            .ok_or_else(|| StoreError::BadFilter(format!("the table has no column {name:?}")))?;
        let bad = |wanted: &str| StoreError::BadFilter(format!("{name}: {value:?} is not {wanted}"));
        let value = match schema.columns()[column].kind() {
            ColumnType::String => Value::Text(value.to_owned()),
            ColumnType::Timestamp | ColumnType::Real if value == "null" => Value::Null,
            ColumnType::Timestamp => {
                let time = DateTime::parse_from_rfc3339(value);
                Value::Timestamp(time.map_err(|_| bad("a time in RFC 3339, or null"))?.timestamp_millis())
            }
            ColumnType::Real => {
                let number = value.parse().ok().filter(|number: &f64| number.is_finite());
                Value::Real(number.ok_or_else(|| bad("a finite number, or null"))?)
            }
            ColumnType::Dynamic => Value::Map(
                serde_json::from_str(value).map_err(|_| bad("a JSON object whose values are strings"))?,
            ),
            _ => return Err(bad("comparable to the column's type")),
        };
        Ok(Self { column, value })
    }

    pub(super) fn keeps(&self, scheduled_for: Millis, rows: &Rows, row: usize) -> bool {
        match (&rows.columns()[self.column], &self.value) {
            (ColumnData::Time, Value::Timestamp(time)) => scheduled_for == *time,
            (ColumnData::Timestamp(c), Value::Timestamp(time)) => c.get(row) == Some(*time),
            (ColumnData::Timestamp(c), Value::Null) => c.get(row).is_none(),
            (ColumnData::String(c), Value::Text(text)) => c.get(row) == Some(text),
            (ColumnData::Real(c), Value::Real(number)) => c.get(row) == Some(*number),
            (ColumnData::Real(c), Value::Null) => c.get(row).is_none(),
            (ColumnData::Dynamic(c), Value::Map(map)) => {
                let mut entries = 0;
                let same = c.entries(row).all(|(key, value)| {
                    entries += 1;
                    map.get(key).is_some_and(|wanted| wanted == value)
                });
                same && entries == map.len()
            }
            _ => false,
        }
    }
}
