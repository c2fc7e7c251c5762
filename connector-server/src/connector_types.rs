//! The calls on connector types.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use axum::{Extension, Json};
use chrono::{DateTime, SubsecRound, Utc};
use connector_core::{Cancellation, ColumnData, ConfigError, Configured, Rows, TickContext, TickError};
use connector_runtime::model::Millis;
use connector_runtime::store::Cell;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::App;
use crate::problem::Problem;
use crate::request::{JsonObject, Segments};
use crate::row_json::RowWriter;

/// How many rows a preview shows.
const PREVIEW_ROWS: usize = 20;

/// How long a preview may take: an operator waits for it.
const PREVIEW_TIME: Duration = Duration::from_secs(60);

/// How many previews are taken at the same time: each may hold all of a large source in memory.
const PREVIEWS: usize = 8;

/// How long a preview waits for a place among them.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The call that takes previews.
pub(crate) fn previews() -> MethodRouter<Arc<App>> {
    post(preview).layer(Extension(Arc::new(Semaphore::new(PREVIEWS))))
}

pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let types: Vec<_> = app.registry.types().collect();
    Json(json!({ "connector_types": types }))
}

pub(crate) async fn validate(
    State(app): State<Arc<App>>,
    Segments(type_id): Segments<String>,
    JsonObject(config): JsonObject<Value>,
) -> Result<Json<Value>, Problem> {
    configure(&app, &type_id, &config)?;
    Ok(Json(json!({ "valid": true })))
}

async fn preview(
    State(app): State<Arc<App>>,
    Extension(places): Extension<Arc<Semaphore>>,
    Segments(type_id): Segments<String>,
    JsonObject(config): JsonObject<Value>,
) -> Result<Response, Problem> {
    let configured = configure(&app, &type_id, &config)?;
    let Ok(_place) = timeout(LONGEST_WAIT, places.acquire()).await else {
        let detail = format!("{PREVIEWS} previews are being taken, which is the most: try again later");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail));
    };
    let begun = Instant::now();
    let bucket: DateTime<Utc> = Utc::now().trunc_subsecs(0);
    let context = TickContext::new(bucket, PREVIEW_TIME, Arc::clone(&app.secrets), Cancellation::new());
    let mut rows = Rows::new(configured.schema());
    let too_slow = |_| TickError::transient(format!("the preview took more than {PREVIEW_TIME:?}"));
    let ended = timeout(PREVIEW_TIME, configured.tick(&context, &mut rows)).await.map_err(too_slow);
    ended.flatten().map_err(|error| Problem::of_tick(&error))?;
    let columns: Vec<String> =
        configured.schema().columns().iter().map(|column| column.name().to_owned()).collect();
    let mut writer = RowWriter::new(&columns);
    for row in 0..rows.len().min(PREVIEW_ROWS) {
        writer.row(&cells(&rows, row, bucket.timestamp_millis()));
    }
    let mut body = writer.take();
    body.extend_from_slice(
        format!(
            r#"],"row_count":{},"attempts":{},"duration_ms":{}}}"#,
            rows.len(),
            context.attempts(),
            begun.elapsed().as_millis()
        )
        .as_bytes(),
    );
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Checks a config. A type that is not known is a path that leads nowhere.
fn configure(app: &App, type_id: &str, config: &Value) -> Result<Configured, Problem> {
    app.registry.configure(type_id, config).map_err(|error| match error {
        ConfigError::UnknownType(_) => Problem::not_found(error.to_string()),
        error => error.into(),
    })
}

/// One row of a tick as a store would answer it.
fn cells(rows: &Rows, row: usize, scheduled_for: Millis) -> Vec<Cell> {
    rows.columns()
        .iter()
        .map(|column| match column {
            ColumnData::Time => Cell::Timestamp(scheduled_for),
            ColumnData::Timestamp(values) => values.get(row).map_or(Cell::Null, Cell::Timestamp),
            ColumnData::String(values) => {
                values.get(row).map_or(Cell::Null, |text| Cell::Text(text.to_owned()))
            }
            ColumnData::Real(values) => values.get(row).map_or(Cell::Null, Cell::Real),
            ColumnData::Dynamic(values) => {
                let mut json = String::new();
                values.write_json(row, &mut json);
                Cell::Json(json)
            }
            _ => Cell::Null,
        })
        .collect()
}
