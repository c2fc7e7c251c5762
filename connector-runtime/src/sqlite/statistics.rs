//! What SQLite's planner is told of a file's tables, so that any client finds its way through their views.
//!
//! Without statistics SQLite takes a table for small, and reads all samples for a span of time. Those that `ANALYZE`
//! gathers are no better: it knows how many rows there are, but not how few of the samples a tick has, and what the view
//! says of that holds for the shape that is told of here: ten connectors with a thousand series each and ten
//! thousand ticks, in each of which few samples are read. Nothing but the ways compared depends on that, so the plans
//! fit tables of any size, and are put back where somebody has run `ANALYZE`.

use connector_core::{Role, Schema};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::table::schema_from_json;

/// A row of `sqlite_stat1`: the table, its index, and what is to be believed of them.
type Row = (String, Option<String>, String);

/// Puts those of a new table in place, beside the ledger's.
pub(super) fn tell(connection: &Connection, name: &str, schema: &Schema) -> rusqlite::Result<()> {
    // This creates the table of statistics.
    connection.execute_batch("ANALYZE \"$tables\"")?;
    write(connection, &ledger().into_iter().chain(of(name, schema)).collect::<Vec<_>>())
}

/// Puts those of a file's tables in place again, where they are not what they should be.
pub(super) fn restore(connection: &mut Connection) -> rusqlite::Result<()> {
    let has_some = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'";
    if connection.query_row(has_some, [], |_| Ok(())).optional()?.is_none() {
        return Ok(());
    }
    let tables: Vec<(String, String)> = connection
        .prepare("SELECT name, schema FROM \"$tables\"")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let of_tables = tables.iter().filter_map(|(name, json)| Some(of(name, &schema_from_json(json)?)));
    let rows: Vec<Row> = ledger().into_iter().chain(of_tables.flatten()).collect();
    if read(connection, &rows)? == sorted(rows.clone()) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write(&transaction, &rows)?;
    transaction.commit()
}

fn ledger() -> Option<Row> {
    Some(("$ticks".to_owned(), Some("sqlite_autoindex_$ticks_1".to_owned()), "100000 10000 1".to_owned()))
}

fn of(name: &str, schema: &Schema) -> Vec<Row> {
    let (series, samples) = (format!("{name}$series"), format!("{name}$samples"));
    let by_key = schema.with_role(Role::Key).next().map(|_| format!("{series}_by_key"));
    let mut rows = vec![(samples, None, "100000000".to_owned()), (series.clone(), None, "10000".to_owned())];
    rows.extend(by_key.map(|index| (series, Some(index), "10000 10".to_owned())));
    rows
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// What is told of the same tables now.
fn read(connection: &Connection, rows: &[Row]) -> rusqlite::Result<Vec<Row>> {
    let mut find = connection.prepare("SELECT tbl, idx, stat FROM sqlite_stat1 WHERE tbl = ?1")?;
    let mut found = Vec::new();
    for table in tables(rows) {
        let rows = find.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        found.extend(rows.collect::<Result<Vec<Row>, _>>()?);
    }
    Ok(sorted(found))
}

fn write(connection: &Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let samples = "SELECT name FROM sqlite_schema WHERE name IN ('sqlite_stat1', 'sqlite_stat4')";
    let places: Vec<String> =
        connection.prepare(samples)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for (place, table) in places.iter().flat_map(|place| tables(rows).map(move |table| (place, table))) {
        connection.execute(&format!("DELETE FROM {place} WHERE tbl = ?1"), [table])?;
    }
    let mut insert = connection.prepare("INSERT INTO sqlite_stat1 VALUES (?1, ?2, ?3)")?;
    for (table, index, stat) in rows {
        insert.execute((table, index, stat))?;
    }
    Ok(())
}

fn tables(rows: &[Row]) -> impl Iterator<Item = &str> {
    rows.chunk_by(|one, next| one.0 == next.0).map(|rows| rows[0].0.as_str())
}
