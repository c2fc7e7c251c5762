//! The control API of the connector framework over HTTP, the operator's page, and the `connectord` daemon.
//!
//! [`serve`] answers HTTP on a listener for an [`App`]: a store, the connector types that are known, and how secrets are
//! found. The binary of this package, `connectord`, wires it to the embedded store and a runner; a program of one's own
//! does the same with its own connectors.
//!
//! ```
//! use std::sync::Arc;
//!
//! use connector_core::{Registry, ResolveSecret};
//! use connector_runtime::store::Store;
//! use connector_server::{Access, App, serve};
//!
//! async fn api(store: Arc<dyn Store>, secrets: Arc<dyn ResolveSecret>) -> std::io::Result<()> {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     let app = App { store, registry: Registry::new(), secrets, access: Access::Local, metrics: Arc::default() };
//!     serve(listener, app, async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
//!     Ok(())
//! }
//! ```
//!
//! # Routes
//!
//! | call | answer |
//! | --- | --- |
//! | `GET /healthz` | 200 while the process answers; needs no token |
//! | `GET /readyz` | 200 while the store can be read and written, otherwise 503; needs no token |
//! | `GET /metrics` | the daemon's own metrics, in OpenMetrics 1.0 for whoever asks for it, otherwise in text 0.0.4 |
//! | `GET /` | the operator's page |
//! | `POST /v1/connectors` | 201, `Location`, `{"id"}` |
//! | `GET /v1/connectors?limit=&after=` | `{"connectors", "next"}`, 100 unless told, at most 1,000 |
//! | `GET /v1/connectors/{id}` | the connector |
//! | `PUT /v1/connectors/{id}` | replaces it; 200, the connector |
//! | `DELETE /v1/connectors/{id}` | 204; its rows stay |
//! | `POST /v1/connectors/{id}/trigger` | 202, `{"scheduled_for"}` |
//! | `POST /v1/connectors/{id}/pause` | 200, the connector |
//! | `POST /v1/connectors/{id}/resume` | 200, the connector |
//! | `GET /v1/connectors/{id}/ticks?limit=` | `{"ticks"}`, newest first, 100 unless told, at most 100,000 |
//! | `GET /v1/connector-types` | `{"connector_types"}` |
//! | `POST /v1/connector-types/{type_id}/validate` | 200 `{"valid": true}` |
//! | `POST /v1/connector-types/{type_id}/preview` | one tick of at most 60 s, nothing kept: `{"rows", "row_count", "attempts", "duration_ms"}` |
//! | `GET /v1/tables/{database}/{table}/rows?limit=&since=&until=&COLUMN=VALUE` | `{"rows"}`, streamed, newest first, 100 unless told, at most 1,000,000; cut off after ten minutes |
//!
//! # Errors
//!
//! Every error is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail` and `code`. The code is
//! stable and for programs, the detail is for people and carries the whole cause.
//!
//! | code | status | when |
//! | --- | --- | --- |
//! | `invalid_request` | 400 | a body, path or query that makes no sense |
//! | `unknown_type` | 400 | no connector type of that name is registered |
//! | `invalid_config` | 400 | the connector type refuses the config |
//! | `unauthorized` | 401 | the token is missing or wrong |
//! | `cross_origin` | 403 | a page of another site tries to change something |
//! | `unknown_host` | 403 | there is no token, and the host that was asked for is neither an IP address nor `localhost` |
//! | `not_found` | 404 | no such connector, table, connector type or path |
//! | `method_not_allowed` | 405 | see `Allow` |
//! | `request_timeout` | 408 | a body that has not arrived within 30 s |
//! | `name_taken` | 409 | another connector has that name |
//! | `not_active` | 409 | a trigger of a paused or disabled connector |
//! | `schema_mismatch` | 409 | the table exists with other columns |
//! | `body_too_large` | 413 | a body over 1 MiB |
//! | `config` | 422 | a preview failed because of its config, as with a secret that is not there |
//! | `internal` | 500 | a mistake in the server's code, or in that of a connector type or store: it panicked |
//! | `transient`, `permanent` | 502 | a preview failed at the source |
//! | `busy` | 503 | 8 previews are being taken, and none ended within 10 s |
//! | `token_unreadable` | 503 | the file of the token cannot be read, or holds none |
//! | `store_unavailable` | 503 | the store failed; nothing was changed |
//!
//! # Security
//!
//! With a token, every request but the two probes needs `Authorization: Bearer TOKEN`. One that is [in a
//! file](Access::TokenFile) can be replaced at any time. The operator's page asks for it and keeps it in the browser's session. Without one, whoever can reach the listener is the operator; requests that
//! pages of other sites make a browser send are refused, also where the site's name was made to lead here: unless
//! [anyone](Access::Anyone) is let in, the host that is asked for must be an IP address or `localhost`.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod app;
mod connector_types;
mod connectors;
mod guard;
mod health;
mod metrics;
mod page;
mod problem;
mod request;
mod row_json;
mod server;
mod tables;
mod token;

pub use app::{Access, App};
pub use server::serve;
pub use token::read_token;
