//! The connector types that a process knows, behind one face whatever their configuration.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use serde::Serialize;
use serde_json::Value;

use crate::{ConfigError, Connector, DriveModel, Rows, Schema, Tick, TickContext, TickError};

/// The connector types that a process knows, by their `TYPE_ID`.
#[derive(Clone, Default)]
pub struct Registry {
    types: BTreeMap<&'static str, Arc<dyn AnyConnector>>,
}

impl Registry {
    /// Knows no type yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a type; one of the same `TYPE_ID` is replaced.
    #[must_use]
    pub fn with<C: Connector>(mut self, connector: C) -> Self {
        self.types.insert(C::TYPE_ID, Arc::new(Erased(Arc::new(connector))));
        self
    }

    /// All types, in the order of their names.
    pub fn types(&self) -> impl Iterator<Item = ConnectorType> + '_ {
        self.types.values().map(|connector| connector.describe())
    }

    /// Decodes and validates a configuration, and makes it ready to tick.
    ///
    /// # Errors
    ///
    /// When the type is not known, or the configuration does not decode (the text is serde's own) or is not acceptable, which
    /// is what a panic of the connector's says too.
    pub fn configure(&self, type_id: &str, config: &Value) -> Result<Configured, ConfigError> {
        let connector =
            self.types.get(type_id).ok_or_else(|| ConfigError::UnknownType(type_id.to_owned()))?;
        catch_unwind(AssertUnwindSafe(|| connector.configure(config)))
            .unwrap_or_else(|panic| Err(ConfigError::invalid(panicked(&*panic))))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.types.keys()).finish()
    }
}

/// What there is to know of a connector type before one is created.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ConnectorType {
    /// The name by which operators ask for it.
    pub type_id: &'static str,
    /// What makes it tick.
    pub drive_model: DriveModel,
    /// The table's columns.
    pub columns: Schema,
    /// The configuration's JSON Schema.
    pub config_schema: Value,
}

/// A connector with its configuration, ready to tick.
#[derive(Clone)]
pub struct Configured {
    schema: Arc<Schema>,
    source: Arc<dyn Source>,
}

impl Configured {
    /// The table's columns.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Takes one tick; see [`Connector::tick`].
    ///
    /// # Errors
    ///
    /// Those of the connector, and a permanent one when it panics, or when the [rows](Rows::check) that it wrote cannot be
    /// stored.
    pub async fn tick(&self, context: &TickContext, rows: &mut Rows) -> Result<(), TickError> {
        let mut ticking = self.source.tick(context, rows);
        let ended = poll_fn(|task| {
            catch_unwind(AssertUnwindSafe(|| ticking.as_mut().poll(task)))
                .unwrap_or_else(|panic| Poll::Ready(Err(TickError::permanent(panicked(&*panic)))))
        });
        ended.await?;
        drop(ticking);
        rows.check().map_err(TickError::permanent)
    }
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// A [`Connector`] whose configuration type is forgotten.
trait AnyConnector: Send + Sync {
    fn describe(&self) -> ConnectorType;
    fn configure(&self, config: &Value) -> Result<Configured, ConfigError>;
}

struct Erased<C>(Arc<C>);

impl<C: Connector> AnyConnector for Erased<C> {
    fn describe(&self) -> ConnectorType {
        ConnectorType {
            type_id: C::TYPE_ID,
            drive_model: C::DRIVE_MODEL,
            columns: self.0.schema(),
            config_schema: self.0.config_schema(),
        }
    }

    fn configure(&self, config: &Value) -> Result<Configured, ConfigError> {
        let config: C::Config = decode(config)?;
        self.0.validate(&config)?;
        let schema = Arc::new(self.0.schema());
        Ok(Configured { schema, source: Arc::new(Bound { connector: Arc::clone(&self.0), config }) })
    }
}

type TickFuture<'a> = Pin<Box<dyn Future<Output = Result<(), TickError>> + Send + 'a>>;

trait Source: Send + Sync {
    fn tick<'a>(&'a self, context: &'a TickContext, rows: &'a mut Rows) -> TickFuture<'a>;
}

struct Bound<C: Connector> {
    connector: Arc<C>,
    config: C::Config,
}

impl<C: Connector> Source for Bound<C> {
    fn tick<'a>(&'a self, context: &'a TickContext, rows: &'a mut Rows) -> TickFuture<'a> {
        Box::pin(async move { self.connector.tick(&Tick::new(&self.config, context), rows).await })
    }
}

/// What to say of a connector whose own code panicked.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the connector panicked: {}", text.unwrap_or("no message"))
}

/// Decodes a configuration from a JSON object.
///
/// serde also reads a struct from an array of its fields in order. A configuration is read by people, so that is
/// refused, at every level: what reads as an object must have been written as one.
fn decode<C: Serialize + serde::de::DeserializeOwned>(config: &Value) -> Result<C, ConfigError> {
    if !config.is_object() {
        return Err(ConfigError::Decode("config: expected a JSON object".to_owned()));
    }
    let decoded = C::deserialize(config).map_err(|e| ConfigError::Decode(e.to_string()))?;
    let read = serde_json::to_value(&decoded).map_err(|e| ConfigError::Decode(e.to_string()))?;
    match array_for_object(config, &read) {
        Some(field) => Err(ConfigError::Decode(format!("{field}: expected a JSON object, not an array"))),
        None => Ok(decoded),
    }
}

/// The name of a field that was written as an array and read as an object.
fn array_for_object(written: &Value, read: &Value) -> Option<String> {
    let (Value::Object(written), Value::Object(read)) = (written, read) else { return None };
    read.iter().find_map(|(name, read)| match (written.get(name)?, read) {
        (Value::Array(_), Value::Object(_)) => Some(name.clone()),
        (written, read) => array_for_object(written, read),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::Utc;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::{Cancellation, Column, ColumnType, ResolveSecret, Secret, SecretError, SecretRef};

    struct Echo;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct EchoConfig {
        text: String,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
    enum Mode {
        Plain {},
        Times { n: u32 },
    }

    impl Default for Mode {
        fn default() -> Self {
            Self::Plain {}
        }
    }

    impl Connector for Echo {
        const TYPE_ID: &'static str = "echo";
        type Config = EchoConfig;

        fn config_schema(&self) -> Value {
            json!({"type": "object"})
        }

        fn schema(&self) -> Schema {
            Schema::new([Column::time("timestamp"), Column::value("text", ColumnType::String)]).unwrap()
        }

        fn validate(&self, config: &EchoConfig) -> Result<(), ConfigError> {
            assert_ne!(config.text, "panic at once");
            if config.text.is_empty() { Err(ConfigError::invalid("text: must not be empty")) } else { Ok(()) }
        }

        async fn tick(&self, tick: &Tick<'_, EchoConfig>, rows: &mut Rows) -> Result<(), TickError> {
            tick.count_attempt();
            let n = match tick.config().mode {
                Mode::Plain {} => 1,
                Mode::Times { n } => n,
            };
            for _ in 0..n {
                rows.string(1, &tick.config().text).end_row();
            }
            match tick.config().text.as_str() {
                "unfinished" => drop(rows.string(1, "x")),
                "panic" => panic!("of {n} rows"),
                "panic later" => {
                    tokio::task::yield_now().await;
                    std::panic::panic_any(1);
                }
                _ => {}
            }
            Ok(())
        }
    }

    struct NoSecrets;

    impl ResolveSecret for NoSecrets {
        fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
            Err(SecretError::new(reference, "there are none here"))
        }
    }

    fn refused(config: &Value) -> String {
        Registry::new().with(Echo).configure("echo", config).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_config_is_refused_in_serdes_own_words() {
        assert_eq!(refused(&json!({"txt": "a"})), "unknown field `txt`, expected `text` or `mode`");
        assert_eq!(refused(&json!({})), "missing field `text`");
        assert!(
            refused(&json!({"text": "a", "mode": {"type": "plain", "n": 1}}))
                .starts_with("unknown field `n`")
        );
        assert_eq!(refused(&json!({"text": ""})), "text: must not be empty");
    }

    #[test]
    fn a_panic_over_a_config_refuses_it() {
        let reason = refused(&json!({"text": "panic at once"}));
        assert!(reason.starts_with("the connector panicked: assertion `left != right` failed"), "{reason}");
    }

    #[test]
    fn arrays_do_not_stand_in_for_objects_at_any_level() {
        assert_eq!(refused(&json!(["a"])), "config: expected a JSON object");
        let nested = refused(&json!({"text": "a", "mode": ["times", 3]}));
        assert_eq!(nested, "mode: expected a JSON object, not an array");
    }

    #[test]
    fn an_unknown_type_is_named() {
        let error = Registry::new().configure("nope", &json!({})).unwrap_err();
        assert_eq!(error.to_string(), "type: no connector type \"nope\" is registered");
    }

    #[tokio::test]
    async fn a_configured_connector_ticks() {
        let registry = Registry::new().with(Echo);
        assert_eq!(registry.types().map(|t| t.type_id).collect::<Vec<_>>(), ["echo"]);
        let context =
            || TickContext::new(Utc::now(), Duration::from_secs(1), Arc::new(NoSecrets), Cancellation::new());
        let config = json!({"text": "hi", "mode": {"type": "times", "n": 2}});
        let echo = registry.configure("echo", &config).unwrap();
        let (mut rows, tick) = (Rows::new(echo.schema()), context());
        echo.tick(&tick, &mut rows).await.unwrap();
        assert_eq!((rows.len(), tick.attempts()), (2, 1));

        for (text, reason) in [
            ("unfinished", "the connector began a row and did not end it"),
            ("panic", "the connector panicked: of 1 rows"),
            ("panic later", "the connector panicked: no message"),
        ] {
            let echo = registry.configure("echo", &json!({ "text": text })).unwrap();
            rows.clear();
            let error = echo.tick(&context(), &mut rows).await.unwrap_err();
            assert!(matches!(error, TickError::Permanent(_)), "{error}");
            assert_eq!(error.to_string(), reason);
        }
    }
}
