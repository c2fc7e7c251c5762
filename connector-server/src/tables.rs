//! The rows of a table.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use connector_core::chain;
use connector_runtime::store::{Cell, RowQuery, RowStream, StoreError};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::App;
use crate::problem::Problem;
use crate::request::{Params, Segments};
use crate::row_json::RowWriter;

/// The most rows that one answer has.
const ROWS_LIMIT: usize = 1_000_000;

/// How long an answer may take. As long as it does, the store keeps what was there when it began, and its log grows.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

pub(crate) async fn rows(
    State(app): State<Arc<App>>,
    Segments((database, table)): Segments<(String, String)>,
    mut params: Params,
) -> Result<Response, Problem> {
    let limit = params.take_limit(ROWS_LIMIT)?;
    let since = params.take_time("since")?;
    let until = params.take_time("until")?;
    let query = RowQuery { database, table, limit, since, until, filters: params.rest() };
    let RowStream { columns, mut batches } = app.store.rows(query).await?;
    // An error before the first row can still be told properly.
    let batch = batches.recv().await.transpose()?.map(Ok);
    let names: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    let answer =
        Answer { writer: RowWriter::new(&names), batch, batches, until: Instant::now() + ANSWER_WITHIN };
    let chunks = stream::unfold(Some(answer), |answer| async { Some(answer?.next().await) });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(chunks)).into_response())
}

type Batch = Result<Vec<Vec<Cell>>, StoreError>;

/// An answer on its way.
struct Answer {
    writer: RowWriter,
    /// The batch to write next; none after the last.
    batch: Option<Batch>,
    batches: mpsc::Receiver<Batch>,
    until: Instant,
}

impl Answer {
    /// The next chunk, and the rest of the answer. An error cuts the body off, so that nobody takes it for complete.
    async fn next(mut self) -> (Result<Bytes, StoreError>, Option<Self>) {
        let batch = match self.batch.take() {
            Some(Ok(_)) if Instant::now() > self.until => {
                let cause = format!("the client has not taken them within {ANSWER_WITHIN:?}");
                Some(Err(StoreError::failed("there are more rows", cause)))
            }
            batch => batch,
        };
        match batch {
            Some(Ok(rows)) => {
                rows.iter().for_each(|row| self.writer.row(row));
                let chunk = self.writer.take();
                self.batch = self.batches.recv().await;
                (Ok(chunk.into()), Some(self))
            }
            Some(Err(error)) => {
                tracing::warn!(error = chain(&error), "reading rows was cut off");
                (Err(error), None)
            }
            None => {
                let mut end = self.writer.take();
                end.extend_from_slice(b"]}");
                (Ok(end.into()), None)
            }
        }
    }
}
