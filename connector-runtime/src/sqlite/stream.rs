//! Rows on their way from a file to whoever asked for them.

use std::path::Path;
use std::time::Duration;

use connector_core::Schema;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, oneshot};

use super::{
    data::find_table,
    fault::At,
    filter::Filters,
    read::{Readers, off_the_runtime},
    rows::read_table,
    table::schema_from_json,
};
use crate::store::{Cell, RowQuery, RowStream, StoreError};

/// Rows sent at once.
const BATCH: usize = 1000;

/// Batches that wait for the receiver.
const WAITING: usize = 4;

/// How long a receiver may take nothing before it is cut off: meanwhile the file's write-ahead log grows, and others may wait
/// to read.
const STALLED: Duration = Duration::from_secs(60);

const NO_TABLE: StoreError = StoreError::NotFound("table");

/// Begins to read, and returns once it is known that there is something to read.
pub(super) async fn stream(readers: &Readers, query: RowQuery) -> Result<RowStream, StoreError> {
    let permit = readers.stream_permit().await?;
    let (sender, batches) = mpsc::channel(WAITING + 1);
    // A receiver that takes nothing must be able to learn why there is no more.
    let last = sender.clone().try_reserve_owned().map_err(|_| StoreError::Closed)?;
    let (begin, begun) = oneshot::channel();
    let (readers, runtime) = (readers.clone(), Handle::current());
    let reading = tokio::spawn(off_the_runtime(permit, move || {
        let mut begin = Some(begin);
        let read = |connection: &Connection, path: &Path| {
            let (name, schema) = find(connection, path, &query)?;
            let filters = Filters::new(&schema, &query)?;
            let columns = schema.columns().iter().map(|c| (c.name().to_owned(), c.kind())).collect();
            if let Some(begin) = begin.take() {
                let _ = begin.send(columns);
            }
            let (sender, runtime) = (&sender, &runtime);
            let mut output =
                Output { batch: Vec::new(), left: query.limit, sender, runtime, has_stalled: false };
            read_table(connection, &name, &schema, &filters, &mut output).at(path)?;
            if output.has_stalled { Err(stalled()) } else { Ok(()) }
        };
        match readers.on_data(&query.database, read) {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(NO_TABLE),
            Err(error) if begin.is_some() => Err(error),
            Err(error) => {
                last.send(Err(error));
                Ok(())
            }
        }
    }));
    if let Ok(columns) = begun.await {
        return Ok(RowStream { columns, batches });
    }
    match reading.await {
        Ok(Ok(())) => Err(StoreError::Closed),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(StoreError::failed("reading the table was broken off", error)),
    }
}

fn find(connection: &Connection, path: &Path, query: &RowQuery) -> Result<(String, Schema), StoreError> {
    let (_, name, json) = find_table(connection, &query.table).at(path)?.ok_or(NO_TABLE)?;
    let schema = schema_from_json(&json).ok_or_else(|| {
        StoreError::failed(format!("the registry of tables in {} is damaged", path.display()), json)
    })?;
    Ok((name, schema))
}

fn stalled() -> StoreError {
    let cause = format!("nobody has taken any of its rows for {STALLED:?}");
    StoreError::failed("reading the table was broken off", cause)
}

/// Where rows go.
pub(super) struct Output<'a> {
    batch: Vec<Vec<Cell>>,
    left: usize,
    sender: &'a mpsc::Sender<Result<Vec<Vec<Cell>>, StoreError>>,
    runtime: &'a Handle,
    has_stalled: bool,
}

impl Output<'_> {
    /// Whether more rows are wanted.
    pub(super) fn push(&mut self, row: Vec<Cell>) -> bool {
        self.batch.push(row);
        self.left -= 1;
        self.left > 0 && (self.batch.len() < BATCH || self.flush())
    }

    pub(super) fn flush(&mut self) -> bool {
        if self.batch.is_empty() {
            return true;
        }
        let batch = std::mem::take(&mut self.batch);
        let sent = self.runtime.block_on(self.sender.send_timeout(Ok(batch), STALLED));
        self.has_stalled |= matches!(sent, Err(SendTimeoutError::Timeout(_)));
        sent.is_ok()
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.left > 0 && !self.sender.is_closed() && !self.has_stalled
    }
}
