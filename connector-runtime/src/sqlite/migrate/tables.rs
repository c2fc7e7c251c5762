//! Steps that do the same for each table of a file.

use connector_core::{Role, Schema};
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use crate::sqlite::keys::{halves, mark};
use crate::sqlite::table::{affinity, qualified, quote, schema_from_json};

/// Runs `sql` for each table, with its own names in place of those in braces: `{table}`, the columns of its keys and
/// values, each after a comma (`{keys}`, `{values}`, and with their types `{keys:type}`, `{values:type}`), the view's
/// columns (`{columns}`), and the column by which series are found (`{first_key}`: without one, its lines are left out).
/// The functions `slot_of(hash, nth)` and `rest_of(hash)` take a hash as bytes.
pub(super) fn apply(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let hash = |context: &Context<'_>| context.get(0).map(u128::from_be_bytes);
    let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("slot_of", 2, pure, move |context| {
        Ok(halves(mark(hash(context)?, context.get(1)?)).0)
    })?;
    connection.create_scalar_function("rest_of", 1, pure, move |context| Ok(halves(hash(context)?).1))?;
    let tables: Vec<(String, String)> = connection
        .prepare("SELECT name, schema FROM \"$tables\" ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (name, json) in tables {
        let Some(schema) = schema_from_json(&json) else {
            let what = format!("the registry of tables is damaged: {name:?} has the columns {json}");
            return Err(rusqlite::Error::ToSqlConversionFailure(what.into()));
        };
        connection.execute_batch(&fill(sql, &name, &schema))?;
    }
    Ok(())
}

fn fill(sql: &str, name: &str, schema: &Schema) -> String {
    let names = |role| -> String {
        schema.with_role(role).map(|(_, column)| format!(", {}", quote(column.name()))).collect()
    };
    let typed = |role| -> String {
        let column = |(_, column): (usize, &connector_core::Column)| {
            format!(", {} {}", quote(column.name()), affinity(column.kind()))
        };
        schema.with_role(role).map(column).collect()
    };
    let columns: Vec<String> = schema
        .columns()
        .iter()
        .map(|column| format!("{} AS {}", qualified(column), quote(column.name())))
        .collect();
    let first_key = schema.with_role(Role::Key).next().map(|(_, key)| quote(key.name()));
    let lines = sql.split_inclusive('\n').filter(|line| first_key.is_some() || !line.contains("{first_key}"));
    lines
        .collect::<String>()
        .replace("{keys}", &names(Role::Key))
        .replace("{values}", &names(Role::Value))
        .replace("{keys:type}", &typed(Role::Key))
        .replace("{values:type}", &typed(Role::Value))
        .replace("{columns}", &columns.join(", "))
        .replace("{first_key}", &first_key.unwrap_or_default())
        .replace("{table}", name)
}
