//! The calls on connectors.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use connector_core::Schema;
use connector_runtime::model::{ConnectorRecord, ConnectorSpec, State, TickRecord, format_millis};
use connector_runtime::schedule;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::App;
use crate::problem::Problem;
use crate::request::{JsonObject, Params, Segments};

/// The most connectors that one page of a list has.
const LIST_LIMIT: usize = 1_000;

/// The most ticks that one answer has.
const TICKS_LIMIT: usize = 100_000;

pub(crate) async fn create(
    Shared(app): Shared<Arc<App>>,
    JsonObject(spec): JsonObject<ConnectorSpec>,
) -> Result<Response, Problem> {
    let schema = check(&app, &spec)?;
    let id = app.store.create(spec, &schema).await?.id;
    tracing::info!(connector = %id, "created");
    let location = [(header::LOCATION, format!("/v1/connectors/{id}"))];
    Ok((StatusCode::CREATED, location, Json(json!({ "id": id }))).into_response())
}

pub(crate) async fn list(Shared(app): Shared<Arc<App>>, mut params: Params) -> Result<Json<Value>, Problem> {
    let limit = params.take_limit(LIST_LIMIT)?;
    let after = params
        .take("after")?
        .map(|cursor| Uuid::try_parse(&cursor))
        .transpose()
        .map_err(|_| Problem::invalid_request("after: must be the `next` of an earlier answer"))?;
    params.finish()?;
    let mut records = app.store.list(after, limit + 1).await?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next = if more { records.last().map(|record| record.id) } else { None };
    let connectors: Vec<_> = records.into_iter().map(Connector::from).collect();
    Ok(Json(json!({ "connectors": connectors, "next": next })))
}

pub(crate) async fn read(
    Shared(app): Shared<Arc<App>>,
    Segments(id): Segments<Uuid>,
) -> Result<Json<Connector>, Problem> {
    let record = app.store.get(id).await?.ok_or_else(|| Problem::not_found("there is no such connector"))?;
    Ok(Json(record.into()))
}

pub(crate) async fn replace(
    Shared(app): Shared<Arc<App>>,
    Segments(id): Segments<Uuid>,
    JsonObject(spec): JsonObject<ConnectorSpec>,
) -> Result<Json<Connector>, Problem> {
    let schema = check(&app, &spec)?;
    let record = app.store.replace(id, spec, &schema).await?;
    tracing::info!(connector = %id, "replaced");
    Ok(Json(record.into()))
}

pub(crate) async fn delete(
    Shared(app): Shared<Arc<App>>,
    Segments(id): Segments<Uuid>,
) -> Result<StatusCode, Problem> {
    app.store.delete(id).await?;
    tracing::info!(connector = %id, "deleted");
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn trigger(
    Shared(app): Shared<Arc<App>>,
    Segments(id): Segments<Uuid>,
) -> Result<Response, Problem> {
    let bucket = app.store.trigger(id, Utc::now().timestamp_millis()).await?;
    tracing::info!(connector = %id, scheduled_for = format_millis(bucket), "triggered");
    Ok((StatusCode::ACCEPTED, Json(json!({ "scheduled_for": format_millis(bucket) }))).into_response())
}

pub(crate) async fn pause(
    Shared(app): Shared<Arc<App>>,
    Segments(id): Segments<Uuid>,
) -> Result<Json<Connector>, Problem> {
    let record = app.store.set_active(id, false).await?;
    tracing::info!(connector = %id, "paused");
    Ok(Json(record.into()))
}

pub(crate) async fn resume(
    Shared(app): Shared<Arc<App>>,
    Segments(id): Segments<Uuid>,
) -> Result<Json<Connector>, Problem> {
    let record = app.store.set_active(id, true).await?;
    tracing::info!(connector = %id, "resumed");
    Ok(Json(record.into()))
}

pub(crate) async fn ticks(
    Shared(app): Shared<Arc<App>>,
    Segments(id): Segments<Uuid>,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let limit = params.take_limit(TICKS_LIMIT)?;
    params.finish()?;
    let ticks = app.store.ticks(id, limit).await?;
    Ok(Json(json!({ "ticks": ticks })))
}

/// A connector as the API shows it.
#[derive(Serialize)]
pub(crate) struct Connector {
    id: Uuid,
    #[serde(flatten)]
    spec: ConnectorSpec,
    state: State,
    disabled_reason: Option<String>,
    last_error: Option<String>,
    last_tick: Option<TickRecord>,
    next_tick_at: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<ConnectorRecord> for Connector {
    fn from(record: ConnectorRecord) -> Self {
        let ConnectorRecord {
            id,
            spec,
            state,
            disabled_reason,
            last_error,
            last_tick,
            created_at,
            updated_at,
        } = record;
        let next_tick_at = (state == State::Active).then(|| {
            let due = schedule::next_due(Utc::now().timestamp_millis(), spec.schedule_ms, id);
            format_millis(due.due_at)
        });
        Self {
            id,
            spec,
            state,
            disabled_reason,
            last_error,
            last_tick,
            next_tick_at,
            created_at: format_millis(created_at),
            updated_at: format_millis(updated_at),
        }
    }
}

/// Checks all that was asked for, and says what the table looks like.
fn check(app: &App, spec: &ConnectorSpec) -> Result<Arc<Schema>, Problem> {
    spec.check().map_err(Problem::invalid_request)?;
    let configured = app.registry.configure(&spec.type_id, &spec.config)?;
    Ok(Arc::clone(configured.schema()))
}
