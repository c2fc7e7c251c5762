//! What the server serves, and the routes to it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use connector_core::{Registry, ResolveSecret, Secret};
use connector_runtime::store::Store;
use prometheus_client::registry::Registry as MetricsRegistry;

use crate::{connector_types, connectors, guard, health, metrics, page, problem, request, tables};

/// What the server serves.
#[derive(Clone)]
pub struct App {
    /// Where connectors and rows are kept.
    pub store: Arc<dyn Store>,
    /// The connector types that operators can ask for.
    pub registry: Registry,
    /// Where previews find secrets.
    pub secrets: Arc<dyn ResolveSecret>,
    /// Who is let in.
    pub access: Access,
    /// What `/metrics` tells.
    pub metrics: Arc<MetricsRegistry>,
}

/// Who is let in.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever shows this token, as `Authorization: Bearer TOKEN`.
    Token(Secret),
    /// The same with the token that this file holds when the request comes ([`read_token`](crate::read_token)): once another
    /// one is in it, the old one is worth nothing. While it cannot be read nobody is let in.
    TokenFile(PathBuf),
    /// Whoever reaches the listener and calls it by an IP address, or `localhost`. A page of another site could have the site's own
    /// name lead here, and then act as the operator's (DNS rebinding).
    Local,
    /// Whoever reaches the listener, by whatever name. Something in front of it should see to who does.
    Anyone,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("registry", &self.registry)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// The way from a request to who answers it.
pub(crate) fn router(app: App) -> Router {
    let app = Arc::new(app);
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show))
        .route("/", get(page::show))
        .route("/v1/connectors", post(connectors::create).get(connectors::list))
        .route(
            "/v1/connectors/{id}",
            get(connectors::read).put(connectors::replace).delete(connectors::delete),
        )
        .route("/v1/connectors/{id}/trigger", post(connectors::trigger))
        .route("/v1/connectors/{id}/pause", post(connectors::pause))
        .route("/v1/connectors/{id}/resume", post(connectors::resume))
        .route("/v1/connectors/{id}/ticks", get(connectors::ticks))
        .route("/v1/connector-types", get(connector_types::list))
        .route("/v1/connector-types/{type_id}/validate", post(connector_types::validate))
        .route("/v1/connector-types/{type_id}/preview", connector_types::previews())
        .route("/v1/tables/{database}/{table}/rows", get(tables::rows))
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(request::BODY_LIMIT))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::admit))
        .layer(middleware::from_fn(problem::of_panic))
        .with_state(app)
}
