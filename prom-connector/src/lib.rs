//! The `prometheus` connector: every tick it GETs a `/metrics` URL and writes one row a sample.
//!
//! It is the reference that shows how a connector is written: configuration, validation, one tick, and one match from
//! errors to classes. Transport is `prom-scrape`'s, the format `prom-parse`'s, and everything else the framework's.
//!
//! ```
//! use connector_core::Registry;
//! use prom_connector::Prometheus;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(Prometheus::new()?);
//! let refused = registry.configure("prometheus", &json!({ "endpoint": "node-exporter:9100" }));
//! assert!(refused.is_err());
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod config;

use std::time::{Duration, Instant};

use connector_core::{
    Column, ColumnType, ConfigError, Connector, Rows, Schema, SecretError, SecretRef, Tick, TickError,
};
use prom_parse::{Format, ParseError, SampleSink};
use prom_scrape::{Client, Credentials, ErrorKind, Scrape, ScrapeOptions, Target};

pub use config::{Auth, PrometheusConfig};

/// Where the columns stand in the [schema](Connector::schema).
const NAME: usize = 1;
const VALUE: usize = 2;
const LABELS: usize = 3;

/// The connector type: one client, shared by all connectors of the process.
#[derive(Clone, Debug)]
pub struct Prometheus {
    client: Client,
}

impl Prometheus {
    /// Sets the client up.
    ///
    /// # Errors
    ///
    /// When the system's trusted certificates cannot be read.
    pub fn new() -> Result<Self, prom_scrape::Error> {
        Ok(Self { client: Client::new()? })
    }
}

impl Connector for Prometheus {
    const TYPE_ID: &'static str = "prometheus";
    type Config = PrometheusConfig;

    fn config_schema(&self) -> serde_json::Value {
        schemars::schema_for!(PrometheusConfig).to_value()
    }

    fn schema(&self) -> Schema {
        Schema::new([
            Column::time("timestamp"),
            Column::key("name", ColumnType::String),
            Column::value("value", ColumnType::Real),
            Column::key("labels", ColumnType::Dynamic),
        ])
        .expect("four distinct identifiers, one of them the time")
    }

    fn validate(&self, config: &PrometheusConfig) -> Result<(), ConfigError> {
        config.validate()
    }

    async fn tick(&self, tick: &Tick<'_, PrometheusConfig>, rows: &mut Rows) -> Result<(), TickError> {
        let config = tick.config();
        let target =
            Target::parse(&config.endpoint).map_err(|e| TickError::config(format!("endpoint: {e}")))?;
        let count = || tick.count_attempt();
        let options = ScrapeOptions::new()
            .timeout(Duration::from_millis(config.timeout_ms))
            .retry_within(tick.next_due().saturating_duration_since(Instant::now()))
            .on_attempt(&count);
        let credentials = || credentials(&config.auth, |reference| tick.resolve(reference));
        let scrape = self.client.scrape(&target, credentials, &options).await.map_err(classify)?;
        parse(&scrape, rows).map_err(TickError::permanent)
    }
}

/// The one place where errors of the transport become classes.
fn classify(error: prom_scrape::Error) -> TickError {
    match error.kind() {
        ErrorKind::Credentials => TickError::Config(error.into_source().expect("the closure's own error")),
        ErrorKind::InvalidCredentials => TickError::config(error),
        _ if error.is_transient() => TickError::transient(error),
        _ => TickError::permanent(error),
    }
}

fn credentials(
    auth: &Auth,
    resolve: impl Fn(&SecretRef) -> Result<connector_core::Secret, SecretError>,
) -> Result<Credentials, Unresolved> {
    let resolve = |what, reference| match resolve(reference) {
        Ok(secret) => Ok(secret.expose().into()),
        Err(error) => Err(Unresolved { what, error }),
    };
    Ok(match auth {
        Auth::None {} => Credentials::None,
        Auth::Bearer { token_ref } => Credentials::Bearer(resolve("token", token_ref)?),
        Auth::Basic { username, password_ref } => {
            Credentials::Basic { username: username.clone(), password: resolve("password", password_ref)? }
        }
    })
}

/// A secret that could not be had. The whole text is the connector's `disabled_reason`.
#[derive(Debug)]
struct Unresolved {
    what: &'static str,
    error: SecretError,
}

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} resolve: {}", self.what, self.error)
    }
}

impl std::error::Error for Unresolved {}

/// Reads the body in the format that its `Content-Type` names; anything that is not OpenMetrics is read as 0.0.4.
fn parse(scrape: &Scrape, rows: &mut Rows) -> Result<(), Unparsable> {
    let content_type = scrape.content_type();
    let format = content_type.and_then(Format::from_content_type).unwrap_or(Format::Prometheus);
    prom_parse::samples(scrape.body(), format, &mut RowSink(rows))
        .map(drop)
        .map_err(|error| Unparsable { content_type: content_type.map(str::to_owned), error })
}

/// Writes samples straight into rows.
struct RowSink<'a>(&'a mut Rows);

impl SampleSink for RowSink<'_> {
    #[inline(always)]
    fn label(&mut self, name: &str, value: &str) {
        self.0.entry(LABELS, name, value);
    }

    #[inline]
    fn sample(&mut self, name: &str, value: f64) {
        self.0.string(NAME, name).real(VALUE, value).end_row();
    }

    #[inline]
    fn abandon(&mut self) {
        self.0.abandon_row();
    }
}

/// A body that does not parse.
#[derive(Debug)]
struct Unparsable {
    content_type: Option<String>,
    error: ParseError,
}

impl std::fmt::Display for Unparsable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.content_type {
            Some(content_type) => write!(f, "cannot parse the body ({content_type:?})"),
            None => f.write_str("cannot parse the body (no Content-Type)"),
        }
    }
}

impl std::error::Error for Unparsable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
