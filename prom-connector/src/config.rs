//! What an operator writes.

use std::ops::RangeInclusive;

use connector_core::{ConfigError, SecretRef};
use prom_scrape::Target;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// The bounds of [`timeout_ms`](PrometheusConfig::timeout_ms).
const TIMEOUT_MS: RangeInclusive<u64> = 100..=60_000;

/// The configuration of a `prometheus` connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrometheusConfig {
    /// The URL to scrape: absolute, `http://` or `https://`, with a host and without user name or password.
    pub endpoint: String,
    /// Who to scrape as. Default: anonymous.
    #[serde(default)]
    pub auth: Auth,
    /// The time that each request may take, body included, in milliseconds. Default: 5000. Bounded 100 to 60000.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout_ms: u64,
}

/// Who to scrape as. Secrets are given by reference only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// Anonymous.
    None {},
    /// `Authorization: Bearer <token>`.
    Bearer {
        /// Where the token is kept: `$env:NAME` or `$file:/absolute/path`.
        #[serde(deserialize_with = "token_ref")]
        #[schemars(with = "String")]
        token_ref: SecretRef,
    },
    /// HTTP Basic.
    Basic {
        /// The user name.
        username: String,
        /// Where the password is kept: `$env:NAME` or `$file:/absolute/path`.
        #[serde(deserialize_with = "password_ref")]
        #[schemars(with = "String")]
        password_ref: SecretRef,
    },
}

impl Default for Auth {
    fn default() -> Self {
        Self::None {}
    }
}

impl PrometheusConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        Target::parse(&self.endpoint).map_err(|e| ConfigError::invalid(format!("endpoint: {e}")))?;
        if !TIMEOUT_MS.contains(&self.timeout_ms) {
            return Err(ConfigError::invalid("timeout_ms: must be between 100 and 60000"));
        }
        match &self.auth {
            Auth::Basic { username, .. } if username.contains(':') => {
                Err(ConfigError::invalid("auth: username: HTTP Basic cannot carry a colon in it"))
            }
            _ => Ok(()),
        }
    }
}

fn default_timeout_ms() -> u64 {
    5000
}

fn token_ref<'de, D: Deserializer<'de>>(input: D) -> Result<SecretRef, D::Error> {
    SecretRef::deserialize_field("token_ref", input)
}

fn password_ref<'de, D: Deserializer<'de>>(input: D) -> Result<SecretRef, D::Error> {
    SecretRef::deserialize_field("password_ref", input)
}
