//! What `connectord` does besides running: subcommands that look at a store and take rows out of it.

mod export;
#[cfg(feature = "parquet")]
mod parquet;
mod progress;
mod stats;
mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, NaiveTime};
use clap::{Args, Subcommand, ValueEnum};
use connector_core::chain;
use connector_runtime::model::Millis;
use connector_runtime::sqlite;
use connector_runtime::store::StoreError;

use crate::options::StoreUrl;

/// A subcommand. Without one, the daemon runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a store, count what is in it, or copy it
    #[command(subcommand)]
    Store(StoreCommand),
    /// Write a table's rows to a file, oldest first
    Export(export::ExportOptions),
}

/// What can be done with a store. Daemons may go on meanwhile: nothing in it is written.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Compare rows, ledgers, series and control.db; exit status 1 if something is wrong
    Check(StoreOption),
    /// Rows, series, ticks and bytes by table and connector
    Stats {
        #[command(flatten)]
        store: StoreOption,
        /// How they are written
        #[arg(long, value_enum, default_value_t = StatsFormat::Text)]
        format: StatsFormat,
    },
    /// Copy it to a new folder, whole and synced, on which a daemon can be started
    Backup {
        #[command(flatten)]
        store: StoreOption,
        /// The new folder. It has `.partial` behind its name until it is complete
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    /// Aligned, for people
    Text,
    /// One JSON document
    Json,
}

/// Which store is meant.
#[derive(Debug, Args)]
pub(crate) struct StoreOption {
    /// Where connectors and rows are kept: sqlite:DIR
    #[arg(
        long,
        env = "CONNECTORD_STORE",
        value_name = "URL",
        default_value = "sqlite:./connectord-data",
        hide_env_values = true
    )]
    store: StoreUrl,
}

impl StoreOption {
    fn folder(&self) -> &Path {
        let StoreUrl::Sqlite(folder) = &self.store;
        folder
    }
}

/// Why a subcommand did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    #[cfg(not(feature = "parquet"))]
    #[error("this connectord was built without Parquet: build it with `--features parquet`")]
    NoParquet,
    #[cfg(feature = "parquet")]
    #[error("cannot write Parquet")]
    Parquet(#[source] ::parquet::errors::ParquetError),
}

#[cfg(feature = "parquet")]
impl From<::parquet::errors::ParquetError> for CommandError {
    /// A failure of the output is one, whichever format is written.
    fn from(error: ::parquet::errors::ParquetError) -> Self {
        match error {
            ::parquet::errors::ParquetError::External(cause) => match cause.downcast::<io::Error>() {
                Ok(error) => Self::Output(*error),
                Err(cause) => Self::Parquet(::parquet::errors::ParquetError::External(cause)),
            },
            error => Self::Parquet(error),
        }
    }
}

/// Does what a subcommand says, and tells of a failure on standard error.
pub(crate) fn run(command: &Command) -> ExitCode {
    let mut out = io::stdout().lock();
    let done = match command {
        Command::Store(StoreCommand::Check(store)) => check(store.folder(), &mut out),
        Command::Store(StoreCommand::Stats { store, format }) => {
            stats::show(store.folder(), *format, &mut out)
        }
        Command::Store(StoreCommand::Backup { store, to }) => back_up(store.folder(), to, &mut out),
        Command::Export(options) => export::export(options),
    };
    match done.and_then(|code| Ok(out.flush().map(|()| code)?)) {
        Ok(code) => code,
        // Whoever read the output has read enough.
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("connectord: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn check(folder: &Path, out: &mut impl Write) -> Result<ExitCode, CommandError> {
    let checked = sqlite::check(folder)?;
    for file in &checked.files {
        writeln!(
            out,
            "{}: {} tables, {} ticks, {} series, {} rows",
            file.path.display(),
            text::count(file.tables),
            text::count(file.ticks),
            text::count(file.series),
            text::count(file.rows)
        )?;
    }
    for note in &checked.notes {
        writeln!(out, "note: {note}")?;
    }
    for fault in &checked.faults {
        writeln!(out, "FAULT: {fault}")?;
    }
    match checked.faults.len() {
        0 => writeln!(out, "all is as it should be")?,
        1 => writeln!(out, "1 fault")?,
        many => writeln!(out, "{many} faults")?,
    }
    Ok(if checked.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn back_up(folder: &Path, to: &Path, out: &mut impl Write) -> Result<ExitCode, CommandError> {
    let backup = sqlite::back_up(folder, to)?;
    for file in &backup.files {
        writeln!(out, "{}: {}", to.join(&file.name).display(), text::bytes(file.bytes))?;
    }
    for missing in &backup.missing {
        writeln!(out, "note: {} is missing, though connectors have rows in it", missing.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A time, or a day, which begins at midnight UTC.
fn time(text: &str) -> Result<Millis, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_millis());
    }
    let day = text
        .parse::<NaiveDate>()
        .map_err(|_| "must be a time in RFC 3339, or a day: 2026-05-02".to_owned())?;
    Ok(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
}
