//! Conditions on one column's values, given as text.

use std::collections::BTreeMap;

use chrono::DateTime;
use connector_core::{Column, ColumnType, Role, Schema};
use rusqlite::types::Value;

use super::{bloom, table::qualified};
use crate::model::Millis;
use crate::store::{RowQuery, StoreError};

/// A query's conditions, sorted by where they are checked.
#[derive(Debug)]
pub(super) struct Filters {
    /// The first and the last time that are wanted.
    pub(super) since: Millis,
    pub(super) until: Millis,
    pub(super) keys: Conditions,
    pub(super) values: Conditions,
}

/// Conditions on the columns of one role.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// SQL for what SQLite can compare, each after an `AND`: `s` is the series, `x` the sample.
    pub(super) sql: String,
    pub(super) parameters: Vec<Value>,
    /// The [hashes](bloom::hash) of values that are compared.
    pub(super) hashes: Vec<u64>,
    /// The maps, and the columns that are to hold them.
    pub(super) maps: Vec<(usize, BTreeMap<String, String>)>,
}

impl Filters {
    pub(super) fn new(schema: &Schema, query: &RowQuery) -> Result<Self, StoreError> {
        let mut filters = Self {
            since: query.since.unwrap_or(Millis::MIN),
            until: query.until.map_or(Millis::MAX, |until| until.saturating_sub(1)),
            keys: Conditions::default(),
            values: Conditions::default(),
        };
        for (name, value) in &query.filters {
            filters.add(schema, name, value)?;
        }
        Ok(filters)
    }

    fn add(&mut self, schema: &Schema, name: &str, value: &str) -> Result<(), StoreError> {
        let index = schema
            .index_of(name)
            .ok_or_else(|| StoreError::BadFilter(format!("the table has no column {name:?}")))?;
        let column = &schema.columns()[index];
        let bad = |wanted: &str| StoreError::BadFilter(format!("{name}: {value:?} is not {wanted}"));
        let is_null = value == "null";
        let wanted = match column.kind() {
            ColumnType::String => Value::Text(value.to_owned()),
            ColumnType::Timestamp | ColumnType::Real if is_null => Value::Null,
            ColumnType::Timestamp => {
                let time = DateTime::parse_from_rfc3339(value);
                Value::Integer(time.map_err(|_| bad("a time in RFC 3339, or null"))?.timestamp_millis())
            }
            ColumnType::Real => {
                let number = value.parse().ok().filter(|number: &f64| number.is_finite());
                Value::Real(number.ok_or_else(|| bad("a finite number, or null"))?)
            }
            ColumnType::Dynamic => {
                let map =
                    serde_json::from_str(value).map_err(|_| bad("a JSON object whose values are strings"))?;
                self.of(column.role()).is_map(index, column, map);
                return Ok(());
            }
            _ => return Err(bad("comparable to the column's type")),
        };
        if column.role() == Role::Time {
            // A tick's time is never null: a range that holds nothing.
            let (first, last) =
                if let Value::Integer(time) = wanted { (time, time) } else { (Millis::MAX, Millis::MIN) };
            (self.since, self.until) = (self.since.max(first), self.until.min(last));
            return Ok(());
        }
        let conditions = self.of(column.role());
        conditions.sql.push_str(&format!(" AND {} IS ?", qualified(column)));
        conditions.hashes.push(bloom::hash(index, (&wanted).into()));
        conditions.parameters.push(wanted);
        Ok(())
    }

    fn of(&mut self, role: Role) -> &mut Conditions {
        if role == Role::Key { &mut self.keys } else { &mut self.values }
    }
}

impl Conditions {
    fn is_map(&mut self, index: usize, column: &Column, map: BTreeMap<String, String>) {
        // Only what has the longest value in it is worth parsing.
        let plain = |text: &&String| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if let Some(value) = map.values().filter(plain).max_by_key(|value| value.len()) {
            self.sql.push_str(&format!(" AND instr({}, ?) > 0", qualified(column)));
            self.parameters.push(Value::Text(format!("\"{value}\"")));
        }
        self.maps.push((index, map));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sql.is_empty() && self.maps.is_empty()
    }
}

/// Whether a JSON text is that map.
pub(super) fn is_map(json: &str, map: &BTreeMap<String, String>) -> bool {
    serde_json::from_str::<BTreeMap<String, String>>(json).is_ok_and(|found| found == *map)
}
