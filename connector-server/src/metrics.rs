//! What the daemon tells of itself, for whoever scrapes it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{prometheus_text, text};

use crate::App;
use crate::problem::Problem;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// In OpenMetrics for whoever asks for it, otherwise in the text format that everybody reads.
pub(crate) async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let openmetrics = accept.into_iter().any(|accept| accept.contains("application/openmetrics-text"));
    let mut body = String::new();
    let (content_type, written) = if openmetrics {
        (OPENMETRICS, text::encode(&mut body, &app.metrics))
    } else {
        (prometheus_text::CONTENT_TYPE, prometheus_text::encode(&mut body, &app.metrics))
    };
    match written {
        Ok(()) => ([(header::CONTENT_TYPE, content_type), (header::VARY, "accept")], body).into_response(),
        Err(error) => {
            let detail = format!("the metrics cannot be written: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics_failed", detail).into_response()
        }
    }
}
