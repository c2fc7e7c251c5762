//! Errors as `application/problem+json` (RFC 9457).

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connector_core::{ConfigError, TickError, chain};
use connector_runtime::store::StoreError;
use futures_util::FutureExt as _;
use serde_json::json;

/// Why a request is answered with an error.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    /// A body, path or query that makes no sense.
    pub(crate) fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// A tick that failed while an operator waited for it.
    pub(crate) fn of_tick(error: &TickError) -> Self {
        let (status, code) = match error {
            TickError::Transient(_) => (StatusCode::BAD_GATEWAY, "transient"),
            TickError::Permanent(_) => (StatusCode::BAD_GATEWAY, "permanent"),
            TickError::Config(_) => (StatusCode::UNPROCESSABLE_ENTITY, "config"),
        };
        Self::new(status, code, chain(error))
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        let code = match error {
            ConfigError::UnknownType(_) => "unknown_type",
            _ => "invalid_config",
        };
        Self::new(StatusCode::BAD_REQUEST, code, chain(&error))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (status, code) = match error {
            StoreError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            StoreError::NameTaken(_) => (StatusCode::CONFLICT, "name_taken"),
            StoreError::NotActive(_) => (StatusCode::CONFLICT, "not_active"),
            StoreError::SchemaMismatch(_) => (StatusCode::CONFLICT, "schema_mismatch"),
            StoreError::BadTarget(_) | StoreError::BadFilter(_) => {
                (StatusCode::BAD_REQUEST, "invalid_request")
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
        };
        let detail = chain(&error);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            tracing::warn!(error = detail, "the store could not answer a request");
        }
        Self::new(status, code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            // The title then is the status' own phrase; `code` tells problems apart.
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}

/// Answers where whoever was to answer panicked: a mistake in our own code, or in a connector's or a store's.
pub(crate) async fn of_panic(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            let detail = "the server made a mistake; what it was stands on its standard error";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
        }
    }
}

/// Answers a path that leads nowhere.
pub(crate) async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

/// Answers a method that a path does not know; the router adds `Allow`.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not know the method {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
