//! What the framework keeps of a connector and of a tick.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// What an operator asks for: the body of a create, and of a replace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSpec {
    /// A unique name.
    pub name: String,
    /// The `TYPE_ID` of a registered connector type.
    #[serde(rename = "type")]
    pub type_id: String,
    /// The database that the rows land in: `[A-Za-z_][A-Za-z0-9_]{0,62}`.
    pub target_database: String,
    /// The table that the rows land in: `[A-Za-z_][A-Za-z0-9_]{0,62}`.
    pub target_table: String,
    /// One tick each so many milliseconds: 100 to 86,400,000.
    pub schedule_ms: i64,
    /// The type's own configuration.
    pub config: Value,
}

impl ConnectorSpec {
    /// The bounds of [`schedule_ms`](Self::schedule_ms).
    pub const SCHEDULE_MS: std::ops::RangeInclusive<i64> = 100..=86_400_000;

    /// Checks all but the config, which is the connector type's to check.
    ///
    /// # Errors
    ///
    /// The reason, beginning with the field's name.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.len() > 253 || self.name.chars().any(char::is_control) {
            return Err("name: must have 1 to 253 bytes and no control characters".to_owned());
        }
        for (field, name) in
            [("target_database", &self.target_database), ("target_table", &self.target_table)]
        {
            if !connector_core::is_identifier(name) {
                return Err(format!("{field}: must match [A-Za-z_][A-Za-z0-9_]{{0,62}}"));
            }
        }
        if !Self::SCHEDULE_MS.contains(&self.schedule_ms) {
            return Err("schedule_ms: must be between 100 and 86400000".to_owned());
        }
        Ok(())
    }
}

/// Whether a connector ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    Active,
    /// An operator paused it.
    Paused,
    /// A config error disabled it, until an operator resumes it.
    Disabled,
}

/// A connector, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorRecord {
    /// Its id, for good.
    pub id: Uuid,
    /// What was asked for.
    pub spec: ConnectorSpec,
    /// Whether it ticks.
    pub state: State,
    /// Why it is disabled; only while it is.
    pub disabled_reason: Option<String>,
    /// The error of the latest failed tick; gone once one commits.
    pub last_error: Option<String>,
    /// The latest finished tick.
    pub last_tick: Option<TickRecord>,
    /// When it was created.
    pub created_at: Millis,
    /// When an operator last changed it.
    pub updated_at: Millis,
}

/// How a tick ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Its rows landed.
    Committed,
    /// It failed in a way that may go away by itself.
    Transient,
    /// It failed in a way that needs a change at the source.
    Permanent,
    /// It failed in a way that needs a change of the configuration.
    Config,
    /// Its runner died or gave it back.
    Abandoned,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Committed, Self::Transient, Self::Permanent, Self::Config, Self::Abandoned];

    /// The outcome's name, as stores and the API spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Config => "config",
            Self::Abandoned => "abandoned",
        }
    }

    /// The outcome of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// The record of a tick that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TickRecord {
    /// The tick's bucket.
    #[serde(serialize_with = "rfc3339", deserialize_with = "from_rfc3339")]
    pub scheduled_for: Millis,
    /// When it was claimed.
    #[serde(serialize_with = "rfc3339", deserialize_with = "from_rfc3339")]
    pub started_at: Millis,
    /// When it ended.
    #[serde(serialize_with = "rfc3339", deserialize_with = "from_rfc3339")]
    pub finished_at: Millis,
    /// How it ended.
    pub outcome: Outcome,
    /// How many rows landed.
    pub rows: u64,
    /// How many requests were made to the source.
    pub attempts: u32,
    /// What failed.
    pub error: Option<String>,
    /// Who ran it.
    pub runner: String,
}

/// A time as the API writes it: RFC 3339 in UTC with `Z`, with milliseconds only where there are any.
pub fn format_millis(millis: Millis) -> String {
    let format = if millis.rem_euclid(1000) == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default().to_rfc3339_opts(format, true)
}

fn rfc3339<S: Serializer>(millis: &Millis, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_str(&format_millis(*millis))
}

fn from_rfc3339<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Millis, D::Error> {
    DateTime::<Utc>::deserialize(input).map(|time| time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_short_as_they_are() {
        assert_eq!(format_millis(1_777_716_000_000), "2026-05-02T10:00:00Z");
        assert_eq!(format_millis(1_777_716_000_250), "2026-05-02T10:00:00.250Z");
    }

    #[test]
    fn a_spec_names_the_field_that_is_wrong() {
        let good = ConnectorSpec {
            name: "n".into(),
            type_id: "t".into(),
            target_database: "default".into(),
            target_table: "select".into(),
            schedule_ms: 100,
            config: Value::Null,
        };
        assert_eq!(good.check(), Ok(()));
        let error = |change: fn(&mut ConnectorSpec)| {
            let mut spec = good.clone();
            change(&mut spec);
            spec.check().unwrap_err()
        };
        assert!(error(|s| s.name.clear()).starts_with("name: "));
        assert!(error(|s| s.target_database = "a.b".into()).starts_with("target_database: "));
        assert!(error(|s| s.target_table.clear()).starts_with("target_table: "));
        assert!(error(|s| s.schedule_ms = 99).starts_with("schedule_ms: "));
        assert!(error(|s| s.schedule_ms = 86_400_001).starts_with("schedule_ms: "));
    }
}
