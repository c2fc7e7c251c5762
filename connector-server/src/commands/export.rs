//! `connectord export`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use connector_core::Column;
use connector_runtime::model::{Millis, format_millis};
use connector_runtime::sqlite::TableReader;
use connector_runtime::store::Cell;

use super::{CommandError, StoreOption, progress::Progress, text, time};

/// What to export, and where to.
#[derive(Debug, Args)]
pub(crate) struct ExportOptions {
    #[command(flatten)]
    store: StoreOption,

    /// The table
    #[arg(long, value_name = "DATABASE.TABLE", value_parser = table_name)]
    table: (String, String),

    /// Only rows at or after this time, in RFC 3339, or day in UTC
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Millis>,

    /// Only rows before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Millis>,

    /// What to write
    #[arg(long, value_enum)]
    format: Format,

    /// Where to; `-` for standard output. A file is there, or replaced, once it is complete
    #[arg(long, value_name = "FILE|-")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Apache Parquet, compressed with zstd; maps as JSON text
    Parquet,
    /// Comma-separated values with a header, as in RFC 4180; maps as JSON text
    Csv,
    /// One JSON object a line
    Jsonl,
}

fn table_name(text: &str) -> Result<(String, String), String> {
    match text.split_once('.') {
        Some((database, table)) if !database.is_empty() && !table.is_empty() => {
            Ok((database.to_owned(), table.to_owned()))
        }
        _ => Err("must be DATABASE.TABLE".to_owned()),
    }
}

/// Reads the table in one snapshot and writes it, holding some thousand rows in memory at most.
pub(super) fn export(options: &ExportOptions) -> Result<ExitCode, CommandError> {
    let (database, table) = &options.table;
    let reader = TableReader::open(options.store.folder(), database, table, options.since, options.until)?;
    if options.output == Path::new("-") {
        write(&reader, options.format, io::stdout())?;
        return Ok(ExitCode::SUCCESS);
    }
    // A link stays one, and a device or a pipe is written to as it is.
    let output = fs::canonicalize(&options.output).unwrap_or_else(|_| options.output.clone());
    if output.exists() && !output.is_file() {
        write(&reader, options.format, File::options().write(true).open(&output)?)?;
    } else {
        write_whole(&reader, options.format, &output)?;
    }
    eprintln!("{} rows in {}", text::count(reader.rows()), options.output.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that is complete or not there: the name is given last.
fn write_whole(reader: &TableReader, format: Format, output: &Path) -> Result<(), CommandError> {
    let mut partial = output.as_os_str().to_owned();
    partial.push(".partial");
    let written = File::create(&partial).map_err(CommandError::from).and_then(|file| {
        write(reader, format, &file)?;
        file.sync_all()?;
        Ok(fs::rename(&partial, output)?)
    });
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write(reader: &TableReader, format: Format, out: impl Write + Send) -> Result<(), CommandError> {
    let mut progress = Progress::new(reader.rows());
    let names: Vec<&str> = reader.schema().columns().iter().map(Column::name).collect();
    let (mut out, mut time) = (BufWriter::with_capacity(1 << 16, out), Time::default());
    match format {
        Format::Csv => {
            let names: Vec<Cell> = names.iter().map(|name| Cell::Text((*name).to_owned())).collect();
            write_csv_row(&mut out, &mut time, &names)?;
            reader.read(|cells| {
                progress.step();
                Ok::<_, CommandError>(write_csv_row(&mut out, &mut time, cells)?)
            })?;
        }
        Format::Jsonl => {
            let keys: Vec<String> =
                names.iter().map(|name| format!("{}:", serde_json::Value::from(*name))).collect();
            reader.read(|cells| {
                progress.step();
                Ok::<_, CommandError>(write_json_line(&mut out, &keys, &mut time, cells)?)
            })?;
        }
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let mut parquet = super::parquet::ParquetWriter::new(&mut out, reader.schema())?;
            reader.read(|cells| {
                progress.step();
                Ok::<_, CommandError>(parquet.write(cells)?)
            })?;
            parquet.finish()?;
        }
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => return Err(CommandError::NoParquet),
    }
    Ok(out.flush()?)
}

/// The latest time as text: all rows of a tick have it in common.
#[derive(Default)]
struct Time {
    millis: Option<Millis>,
    text: String,
}

impl Time {
    fn text(&mut self, millis: Millis) -> &[u8] {
        if self.millis != Some(millis) {
            *self = Self { millis: Some(millis), text: format_millis(millis) };
        }
        self.text.as_bytes()
    }
}

/// Null is nothing, and an empty text is `""`.
fn write_csv_row(out: &mut impl Write, time: &mut Time, cells: &[Cell]) -> io::Result<()> {
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        match cell {
            Cell::Null => {}
            Cell::Timestamp(millis) => out.write_all(time.text(*millis))?,
            Cell::Real(real) => serde_json::to_writer(&mut *out, real)?,
            Cell::Text(text) | Cell::Json(text) => write_csv_text(out, text.as_bytes())?,
        }
    }
    out.write_all(b"\r\n")
}

fn write_csv_text(out: &mut impl Write, text: &[u8]) -> io::Result<()> {
    if !text.is_empty() && !text.iter().any(|byte| matches!(byte, b'"' | b',' | b'\n' | b'\r')) {
        return out.write_all(text);
    }
    out.write_all(b"\"")?;
    let mut begun = 0;
    for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'"') {
        // Each quote ends one part and begins the next, and so comes twice.
        out.write_all(&text[begun..=at])?;
        begun = at;
    }
    out.write_all(&text[begun..])?;
    out.write_all(b"\"")
}

fn write_json_line(out: &mut impl Write, keys: &[String], time: &mut Time, cells: &[Cell]) -> io::Result<()> {
    for (i, (key, cell)) in keys.iter().zip(cells).enumerate() {
        out.write_all(if i == 0 { b"{" } else { b"," })?;
        out.write_all(key.as_bytes())?;
        match cell {
            Cell::Null => out.write_all(b"null")?,
            Cell::Timestamp(millis) => {
                out.write_all(b"\"")?;
                out.write_all(time.text(*millis))?;
                out.write_all(b"\"")?;
            }
            Cell::Text(text) => serde_json::to_writer(&mut *out, text)?,
            Cell::Real(real) => serde_json::to_writer(&mut *out, real)?,
            Cell::Json(json) => out.write_all(json.as_bytes())?,
        }
    }
    out.write_all(b"}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Vec<Cell> {
        vec![
            Cell::Timestamp(1_777_716_000_250),
            Cell::Text("a \"b\", c\né".to_owned()),
            Cell::Real(1e300),
            Cell::Json(r#"{"a":"b"}"#.to_owned()),
            Cell::Null,
            Cell::Text(String::new()),
        ]
    }

    #[test]
    fn a_csv_row_is_quoted_where_it_must_be() {
        let mut out = Vec::new();
        write_csv_row(&mut out, &mut Time::default(), &cells()).unwrap();
        let row = "2026-05-02T10:00:00.250Z,\"a \"\"b\"\", c\né\",1e+300,\"{\"\"a\"\":\"\"b\"\"}\",,\"\"\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), row);
    }

    #[test]
    fn a_json_line_is_one_object() {
        let keys: Vec<String> =
            ["t", "n\"", "v", "l", "x", "e"].map(|key| format!("{}:", serde_json::Value::from(key))).into();
        let mut out = Vec::new();
        write_json_line(&mut out, &keys, &mut Time::default(), &cells()).unwrap();
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let wanted = serde_json::json!({
            "t": "2026-05-02T10:00:00.250Z", "n\"": "a \"b\", c\né", "v": 1e300, "l": {"a": "b"}, "x": null, "e": ""
        });
        assert_eq!(read, wanted);
    }

    #[test]
    fn a_table_has_a_database() {
        assert_eq!(table_name("default.node"), Ok(("default".to_owned(), "node".to_owned())));
        for bad in ["node", ".node", "default.", ""] {
            assert!(table_name(bad).is_err(), "{bad}");
        }
    }
}
