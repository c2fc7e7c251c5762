//! What a connector's table looks like: columns, their types, and the role each plays.

use serde::Serialize;

/// The type of a column's values.
///
/// How a store spells each type is the store's own business; what a reader of the table sees is the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ColumnType {
    /// An instant in UTC with millisecond resolution.
    Timestamp,
    /// UTF-8 text.
    String,
    /// A finite double. What is not finite lands as null.
    Real,
    /// A map from text to text, read as a JSON object; `{}` where nothing was written.
    Dynamic,
}

/// What a column is for. Stores derive their layout from it, and so need to know nothing of any one connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The tick's `scheduled_for`. The framework fills it in; a connector never writes it.
    Time,
    /// Part of what identifies a series of rows that comes again each tick. A store need not keep it with every row.
    Key,
    /// What is new in each tick.
    Value,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: ColumnType,
    role: Role,
}

impl Column {
    /// The column that holds the tick's `scheduled_for`.
    pub fn time(name: &str) -> Self {
        Self { name: name.to_owned(), kind: ColumnType::Timestamp, role: Role::Time }
    }

    /// A column that is part of a row's identity from tick to tick.
    pub fn key(name: &str, kind: ColumnType) -> Self {
        Self { name: name.to_owned(), kind, role: Role::Key }
    }

    /// A column that holds what is new in each tick.
    pub fn value(name: &str, kind: ColumnType) -> Self {
        Self { name: name.to_owned(), kind, role: Role::Value }
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its values.
    pub fn kind(&self) -> ColumnType {
        self.kind
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        self.role
    }
}

/// The columns of a table, in the order in which users see them.
///
/// ```
/// use connector_core::{Column, ColumnType, Schema};
///
/// let schema = Schema::new([
///     Column::time("timestamp"),
///     Column::key("city", ColumnType::String),
///     Column::value("celsius", ColumnType::Real),
/// ])?;
/// assert_eq!(schema.index_of("celsius"), Some(2));
/// # Ok::<(), connector_core::SchemaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Schema {
    columns: Vec<Column>,
}

impl Schema {
    /// Checks the columns and puts them together.
    ///
    /// # Errors
    ///
    /// A schema has exactly one [time](Role::Time) column and at least one other; names are distinct and match
    /// `[A-Za-z_][A-Za-z0-9_]{0,62}`, so that every store can take them as they are. Key columns are of type
    /// [`String`](ColumnType::String) or [`Dynamic`](ColumnType::Dynamic).
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Result<Self, SchemaError> {
        let columns: Vec<Column> = columns.into_iter().collect();
        for (i, column) in columns.iter().enumerate() {
            if !is_identifier(&column.name) {
                return Err(SchemaError::Name(column.name.clone()));
            }
            // SQL compares identifiers without regard to case.
            if columns[..i].iter().any(|c| c.name.eq_ignore_ascii_case(&column.name)) {
                return Err(SchemaError::Duplicate(column.name.clone()));
            }
            if column.role == Role::Key && !matches!(column.kind, ColumnType::String | ColumnType::Dynamic) {
                return Err(SchemaError::Key(column.name.clone()));
            }
        }
        let times = columns.iter().filter(|c| c.role == Role::Time).count();
        if times != 1 || columns.len() < 2 {
            return Err(SchemaError::Shape);
        }
        Ok(Self { columns })
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The position of the column of that name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// The positions and columns of one role.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(move |(_, c)| c.role == role)
    }
}

/// Whether a name can stand in every store's SQL: `[A-Za-z_][A-Za-z0-9_]{0,62}`.
pub fn is_identifier(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= 63 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Why columns make no schema: a mistake in the connector's own code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// A column's name is no identifier.
    Name(String),
    /// Two columns have one name, letter case aside.
    Duplicate(String),
    /// A key column of a type that cannot identify a row.
    Key(String),
    /// Not exactly one time column, or nothing beside it.
    Shape,
}

impl std::fmt::Display for SchemaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => {
                write!(f, "column name {name:?} does not match [A-Za-z_][A-Za-z0-9_]{{0,62}}")
            }
            Self::Duplicate(name) => write!(f, "two columns are named {name:?}"),
            Self::Key(name) => write!(f, "key column {name:?} must be of type string or dynamic"),
            Self::Shape => f.write_str("a schema needs exactly one time column and at least one other"),
        }
    }
}

impl std::error::Error for SchemaError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_has_one_time_column_and_distinct_sound_names() {
        let value = |name| Column::value(name, ColumnType::Real);
        let error = |columns: Vec<Column>| Schema::new(columns).unwrap_err();
        assert_eq!(error(vec![value("a")]), SchemaError::Shape);
        assert_eq!(error(vec![Column::time("t")]), SchemaError::Shape);
        assert_eq!(error(vec![Column::time("t"), Column::time("u")]), SchemaError::Shape);
        assert_eq!(error(vec![Column::time("t"), value("T")]), SchemaError::Duplicate("T".into()));
        assert_eq!(error(vec![Column::time("t"), value("a b")]), SchemaError::Name("a b".into()));
        let key = Column::key("k", ColumnType::Real);
        assert_eq!(error(vec![Column::time("t"), key]), SchemaError::Key("k".into()));
    }

    #[test]
    fn identifiers_are_ascii_and_bounded() {
        for good in ["a", "_", "A9_z", &"x".repeat(63)] {
            assert!(is_identifier(good), "{good}");
        }
        for bad in ["", "9a", "a-b", "a.b", "é", "a\"b", &"x".repeat(64)] {
            assert!(!is_identifier(bad), "{bad}");
        }
    }
}
