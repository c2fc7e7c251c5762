//! Secrets are given by reference, resolved when they are needed, and never shown.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Where a secret is kept: `$env:NAME` or `$file:/absolute/path`. Nothing else is accepted, so that no secret is
/// ever written out in a configuration.
///
/// ```
/// use connector_core::SecretRef;
///
/// let reference: SecretRef = "$env:API_TOKEN".parse()?;
/// assert_eq!(reference.to_string(), "$env:API_TOKEN");
/// assert!("hunter2".parse::<SecretRef>().is_err());
/// # Ok::<(), connector_core::SecretRefError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretRef {
    /// A variable of the environment, by name.
    Env(String),
    /// A file, by absolute path; one trailing newline is not part of the secret.
    File(String),
}

impl SecretRef {
    /// Decodes a reference and names the field in the error, for `#[serde(deserialize_with)]`: the operator who
    /// wrote a secret out should be told where.
    ///
    /// # Errors
    ///
    /// Whatever is no reference. The text is not repeated, as it may be a secret.
    pub fn deserialize_field<'de, D: Deserializer<'de>>(field: &str, input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?
            .parse()
            .map_err(|e: SecretRefError| de::Error::custom(format!("{field}: {e}")))
    }
}

impl FromStr for SecretRef {
    type Err = SecretRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("$env:") {
            let sound =
                !name.is_empty() && !name.contains(['=', '\0']) && !name.contains(char::is_whitespace);
            return if sound { Ok(Self::Env(name.to_owned())) } else { Err(SecretRefError) };
        }
        match text.strip_prefix("$file:") {
            Some(path) if path.starts_with('/') && !path.contains('\0') => Ok(Self::File(path.to_owned())),
            _ => Err(SecretRefError),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "$env:{name}"),
            Self::File(path) => write!(f, "$file:{path}"),
        }
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

/// A text that is no [`SecretRef`]. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretRefError;

impl fmt::Display for SecretRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a secret is given by reference, as `$env:NAME` or `$file:/absolute/path`, never written out",
        )
    }
}

impl std::error::Error for SecretRefError {}

/// A resolved secret: shown as `[redacted]`, and wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself. Whoever calls this sees to it that it is not shown.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Finds the secret that a reference names. The framework brings one; tests bring their own.
pub trait ResolveSecret: Send + Sync {
    /// Resolves the reference as things stand now: nothing is cached, so that a rotated secret is picked up.
    ///
    /// # Errors
    ///
    /// When the reference leads nowhere, or may not be followed.
    fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError>;
}

/// A reference that could not be resolved. It names the reference and the reason, never a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretError {
    reference: SecretRef,
    reason: String,
}

impl SecretError {
    /// `reference` could not be resolved for this `reason`, as in "environment variable is not set".
    pub fn new(reference: &SecretRef, reason: impl Into<String>) -> Self {
        Self { reference: reference.clone(), reason: reason.into() }
    }

    /// The reference that leads nowhere.
    pub fn reference(&self) -> &SecretRef {
        &self.reference
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.reference, self.reason)
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_are_accepted() {
        for good in ["$env:A", "$env:NODE_EXPORTER_TOKEN", "$file:/run/secrets/token"] {
            assert_eq!(good.parse::<SecretRef>().unwrap().to_string(), good);
        }
        for bad in
            ["", "hunter2", "$env:", "$env:A B", "$env:A=B", "$file:token", "$file:", "env:A", "$ENV:A"]
        {
            assert_eq!(bad.parse::<SecretRef>(), Err(SecretRefError), "{bad}");
        }
    }

    #[test]
    fn a_refused_reference_names_the_field_and_never_the_text() {
        let input = serde_json::Value::from("hunter2");
        let error = SecretRef::deserialize_field("token_ref", input).unwrap_err().to_string();
        assert!(error.starts_with("token_ref: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some([redacted])");
    }
}
