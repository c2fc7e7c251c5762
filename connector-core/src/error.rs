//! The three classes of a failed tick, and why a configuration is refused.

use std::error::Error;
use std::fmt;

/// Any error, as a cause.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a tick failed. The class decides what the framework does; the cause tells the operator what happened.
///
/// | class | what the framework does |
/// | --- | --- |
/// | [`Transient`](Self::Transient) | records the failure; the next tick runs as scheduled |
/// | [`Permanent`](Self::Permanent) | the same, and the operator is told that waiting will not help |
/// | [`Config`](Self::Config) | records it and disables the connector, until an operator resumes it |
#[derive(Debug)]
pub enum TickError {
    /// May go away by itself: the source is down, slow, or asks to be left alone for a while.
    Transient(Cause),
    /// Will not go away without a change at the source: it refuses the request, or what it sends makes no sense.
    Permanent(Cause),
    /// Will not go away without a change of the configuration or of what it refers to, such as a secret that is gone.
    Config(Cause),
}

impl TickError {
    /// A [`Transient`](Self::Transient) error with this cause, which may be plain text.
    pub fn transient(cause: impl Into<Cause>) -> Self {
        Self::Transient(cause.into())
    }

    /// A [`Permanent`](Self::Permanent) error with this cause, which may be plain text.
    pub fn permanent(cause: impl Into<Cause>) -> Self {
        Self::Permanent(cause.into())
    }

    /// A [`Config`](Self::Config) error with this cause, which may be plain text.
    pub fn config(cause: impl Into<Cause>) -> Self {
        Self::Config(cause.into())
    }

    /// The cause, whatever the class.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        match self {
            Self::Transient(cause) | Self::Permanent(cause) | Self::Config(cause) => cause.as_ref(),
        }
    }
}

/// The cause's own words: the class is for the framework, and shown beside them.
impl fmt::Display for TickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.cause(), f)
    }
}

impl Error for TickError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().source()
    }
}

/// Writes an error and the whole chain of its causes, as `this: because of this: because of that`.
///
/// Errors print one level each; whoever shows one to a person, in a log line or an answer, shows the chain once.
///
/// ```
/// use connector_core::{TickError, chain};
///
/// let cause = std::io::Error::other("the disk is on fire");
/// assert_eq!(chain(&TickError::transient(cause)), "the disk is on fire");
/// ```
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Why a configuration was refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// No connector of that type is registered.
    UnknownType(String),
    /// It does not decode; the text is serde's own.
    Decode(String),
    /// It decodes, and what it says is not acceptable; the text names the field.
    Invalid(String),
}

impl ConfigError {
    /// A configuration that decodes but says something unacceptable. The reason begins with the field's name.
    pub fn invalid(reason: impl fmt::Display) -> Self {
        Self::Invalid(reason.to_string())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(type_id) => write!(f, "type: no connector type {type_id:?} is registered"),
            Self::Decode(message) | Self::Invalid(message) => f.write_str(message),
        }
    }
}

impl Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("connect to host:9100")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_chain_is_written_once_and_the_class_leaves_the_words_alone() {
        let error = TickError::transient(Outer(std::io::Error::other("refused")));
        assert_eq!(error.to_string(), "connect to host:9100");
        assert_eq!(chain(&error), "connect to host:9100: refused");
        assert_eq!(chain(&TickError::config("token resolve: gone")), "token resolve: gone");
    }
}
