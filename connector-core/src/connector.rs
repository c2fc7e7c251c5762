//! The trait that a connector implements.

use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ConfigError, Rows, Schema, Tick, TickError};

/// What makes a connector tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DriveModel {
    /// The clock: one tick each `schedule_ms`, each independent of the last.
    Periodic,
}

impl fmt::Display for DriveModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Periodic => f.write_str("periodic"),
        }
    }
}

/// A kind of source: how it is configured, what its table looks like, and how one tick of it is taken.
///
/// One value serves every connector of its type in the process, so what is shared, such as a connection pool, lives in
/// it. What is particular to one connector lives in its [`Config`](Self::Config).
///
/// The crate's page shows a whole one.
pub trait Connector: Send + Sync + 'static {
    /// The name by which operators ask for this type, as in `"type": "prometheus"`.
    const TYPE_ID: &'static str;

    /// What makes it tick.
    const DRIVE_MODEL: DriveModel = DriveModel::Periodic;

    /// Its configuration, decoded from JSON by the framework. Put `#[serde(deny_unknown_fields)]` on it, so that a
    /// misspelt key is refused when the connector is created. An internally tagged enum ignores unknown keys beside a
    /// unit variant: write such a variant as `None {}`.
    type Config: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The configuration's JSON Schema, for tools and people that fill it in.
    fn config_schema(&self) -> serde_json::Value;

    /// The table's columns.
    fn schema(&self) -> Schema;

    /// Checks what decoding cannot: ranges, URLs. Called when a connector is created or replaced, and by each runner that takes
    /// it up.
    ///
    /// # Errors
    ///
    /// When the configuration is not acceptable; the text names the field.
    fn validate(&self, config: &Self::Config) -> Result<(), ConfigError> {
        let _ = config;
        Ok(())
    }

    /// Takes one tick: reads the source and writes its rows.
    ///
    /// Either all of the rows land or, on an error or a panic, none. The future is dropped when the tick's lease is lost, when the
    /// runner stops, and when it has run for a second and others wait for its slot: then the tick begins again later.
    ///
    /// It has as long as it takes, and holds up the connector's next ticks, and nobody else, for so long: bound each wait. Work
    /// that blocks its thread, such as a synchronous client's, belongs on one of its own (`tokio::task::spawn_blocking`).
    ///
    /// # Errors
    ///
    /// The [class](TickError) decides what happens next.
    fn tick(
        &self,
        tick: &Tick<'_, Self::Config>,
        rows: &mut Rows,
    ) -> impl Future<Output = Result<(), TickError>> + Send;
}
