//! `connectord store stats`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use connector_runtime::model::format_millis;
use connector_runtime::sqlite::{self, Amount};
use serde_json::json;

use super::{CommandError, StatsFormat, text};

/// Counts what is in the store and writes it out.
pub(super) fn show(
    folder: &Path,
    format: StatsFormat,
    out: &mut impl Write,
) -> Result<ExitCode, CommandError> {
    let databases = sqlite::stats(folder)?;
    if format == StatsFormat::Json {
        writeln!(out, "{:#}", json!({ "databases": databases }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for database in &databases {
        writeln!(
            out,
            "{}: {}, of which {} free; {} ticks ({})",
            database.database,
            text::bytes(database.bytes),
            text::bytes(database.free_bytes),
            text::count(database.ticks),
            text::bytes(database.ledger_bytes)
        )?;
        let mut lines = vec![
            ["table / connector", "rows", "series", "ticks", "bytes", "oldest", "newest"].map(String::from),
        ];
        for table in &database.tables {
            lines.push(line(table.table.clone(), &table.total, table.bytes));
            for connector in &table.connectors {
                let name = connector
                    .name
                    .as_deref()
                    .map_or_else(|| format!("(deleted) {}", connector.id), str::to_owned);
                lines.push(line(format!("  {name}"), &connector.amount, connector.bytes));
            }
        }
        write_aligned(&lines, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(name: String, amount: &Amount, bytes: u64) -> [String; 7] {
    let time = |millis: Option<i64>| millis.map_or("-".to_owned(), format_millis);
    [
        name,
        text::count(amount.rows),
        text::count(amount.series),
        text::count(amount.ticks),
        text::bytes(bytes),
        time(amount.oldest),
        time(amount.newest),
    ]
}

fn write_aligned(lines: &[[String; 7]], out: &mut impl Write) -> std::io::Result<()> {
    let mut widths = [0; 7];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    for [name, rows, series, ticks, bytes, oldest, newest] in lines {
        writeln!(
            out,
            "  {name:<0$}  {rows:>1$}  {series:>2$}  {ticks:>3$}  {bytes:>4$}  {oldest:<5$}  {newest}",
            widths[0], widths[1], widths[2], widths[3], widths[4], widths[5]
        )?;
    }
    Ok(())
}
