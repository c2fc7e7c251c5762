//! The contract between a connector and the framework that runs it.
//!
//! A **connector** pulls from a source into a table: each **tick** it reads the source and writes rows, and all of a
//! tick's rows land or none, once. The framework does everything else: it keeps the schedule, sees that one runner at
//! a time has a tick, stores the rows with the tick's record in one transaction, and decides from the class of an
//! error what happens next.
//!
//! This crate is all that a connector's author needs, and it is small: no runtime, no store, no HTTP. Whoever wants to
//! *run* connectors looks at `connector-runtime`; whoever wants them served over HTTP, at `connector-server`.
//!
//! # A whole connector
//!
//! ```
//! use connector_core::{Column, ColumnType, ConfigError, Connector, Rows, Schema, Tick, TickError};
//! use serde::{Deserialize, Serialize};
//!
//! /// Reads one number from a file.
//! struct Gauge;
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct GaugeConfig {
//!     path: String,
//! }
//!
//! impl Connector for Gauge {
//!     const TYPE_ID: &'static str = "gauge";
//!     type Config = GaugeConfig;
//!
//!     fn config_schema(&self) -> serde_json::Value {
//!         serde_json::json!({
//!             "type": "object",
//!             "properties": { "path": { "type": "string" } },
//!             "required": ["path"],
//!             "additionalProperties": false
//!         })
//!     }
//!
//!     fn schema(&self) -> Schema {
//!         Schema::new([Column::time("timestamp"), Column::value("value", ColumnType::Real)])
//!             .expect("a fixed schema that the tests check")
//!     }
//!
//!     fn validate(&self, config: &GaugeConfig) -> Result<(), ConfigError> {
//!         if config.path.starts_with('/') { Ok(()) } else { Err(ConfigError::invalid("path: must be absolute")) }
//!     }
//!
//!     async fn tick(&self, tick: &Tick<'_, GaugeConfig>, rows: &mut Rows) -> Result<(), TickError> {
//!         tick.count_attempt();
//!         let text = std::fs::read_to_string(&tick.config().path).map_err(TickError::transient)?;
//!         let value: f64 = text.trim().parse().map_err(TickError::permanent)?;
//!         rows.real(1, value).end_row();
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # The parts
//!
//! | part | what it is |
//! | --- | --- |
//! | [`Connector`] | the trait: type, configuration, table, one tick |
//! | [`Tick`] | what a tick is given: configuration, bucket, secrets, the time left, a signal to stop |
//! | [`Rows`] | where a tick writes, column by column |
//! | [`Schema`], [`Column`], [`Role`] | what the table looks like, and which columns identify a row |
//! | [`TickError`] | the three classes of failure |
//! | [`SecretRef`], [`Secret`] | a secret by reference, and resolved |
//! | [`Registry`] | the types that a process knows |

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod connector;
mod error;
mod registry;
mod rows;
mod schema;
mod secret;
mod tick;

pub use connector::{Connector, DriveModel};
pub use error::{Cause, ConfigError, TickError, chain};
pub use registry::{Configured, ConnectorType, Registry};
pub use rows::{ColumnData, DynamicColumn, RealColumn, Rows, RowsError, StringColumn, TimestampColumn};
pub use schema::{Column, ColumnType, Role, Schema, SchemaError, is_identifier};
pub use secret::{ResolveSecret, Secret, SecretError, SecretRef, SecretRefError};
pub use tick::{Cancellation, Tick, TickContext};
