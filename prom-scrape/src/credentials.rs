use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind};

/// What a scrape identifies itself with.
///
/// The secrets are wiped from memory when dropped, and `Debug` does not show them.
///
/// ```
/// use prom_scrape::Credentials;
///
/// let credentials = Credentials::Bearer("s3cret".into());
/// assert_eq!(format!("{credentials:?}"), "Bearer([redacted])");
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// No `Authorization` header.
    #[default]
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer(SecretString),
    /// HTTP Basic, as UTF-8.
    Basic {
        /// The user name, which cannot hold a colon.
        username: String,
        /// The password; it may be empty.
        password: SecretString,
    },
}

impl Credentials {
    /// The `Authorization` header, marked as sensitive so that nothing below logs it.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, Error> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Bearer(token) => {
                let token = token.expose_secret();
                if token.is_empty() {
                    return Err(invalid("the bearer token is empty"));
                }
                refuse_control(token, "the bearer token")?;
                joined(&["Bearer ", token])
            }
            Self::Basic { username, password } => {
                if username.contains(':') {
                    return Err(invalid("the user name holds a colon, which HTTP Basic cannot carry"));
                }
                refuse_control(username, "the user name")?;
                refuse_control(password.expose_secret(), "the password")?;
                let pair = joined(&[username, ":", password.expose_secret()]);
                joined(&["Basic ", &Zeroizing::new(STANDARD.encode(pair.as_bytes()))])
            }
        };
        // The header owns the one copy, and wipes it when the last request with it is done.
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(text)))
            .map_err(|_| invalid("the credentials cannot be sent in a header"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The parts in one allocation: one that grows would leave copies behind.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    Zeroizing::new(parts.concat())
}

/// Bytes that are wiped from memory when they are dropped.
struct Wiped(Zeroizing<String>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn refuse_control(text: &str, what: &str) -> Result<(), Error> {
    match text.bytes().position(|b| b.is_ascii_control()) {
        None => Ok(()),
        Some(at) => {
            Err(invalid(format!("{what} holds a line break or another control character, at byte {at}")))
        }
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidCredentials, message)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bearer(_) => f.write_str("Bearer([redacted])"),
            Self::Basic { username, .. } => {
                write!(f, "Basic {{ username: {username:?}, password: [redacted] }}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(username: &str, password: &str) -> Credentials {
        Credentials::Basic { username: username.into(), password: password.into() }
    }

    #[test]
    fn headers_are_as_the_standards_say() {
        let cases = [
            (Credentials::Bearer("s3cret-token".into()), "Bearer s3cret-token"),
            (basic("ops", "pa:ss wörd"), "Basic b3BzOnBhOnNzIHfDtnJk"),
            (basic("key", ""), "Basic a2V5Og=="),
        ];
        for (credentials, expected) in cases {
            let header = credentials.header().expect("valid").expect("some");
            assert_eq!(header, expected);
            assert!(header.is_sensitive());
        }
        assert_eq!(Credentials::None.header().expect("valid"), None);
    }

    #[test]
    fn what_no_header_can_carry_is_refused_without_showing_it() {
        let cases = [
            (
                Credentials::Bearer("hunter2\n".into()),
                "the bearer token holds a line break or another control character, at byte 7",
            ),
            (
                Credentials::Bearer("hunter2\0x".into()),
                "the bearer token holds a line break or another control character, at byte 7",
            ),
            (Credentials::Bearer("".into()), "the bearer token is empty"),
            (
                basic("ops", "hunter2\r"),
                "the password holds a line break or another control character, at byte 7",
            ),
            (
                basic("o\tps", "hunter2"),
                "the user name holds a line break or another control character, at byte 1",
            ),
            (basic("o:ps", "hunter2"), "the user name holds a colon, which HTTP Basic cannot carry"),
        ];
        for (credentials, expected) in cases {
            let error = credentials.header().expect_err(expected);
            assert_eq!(error.to_string(), expected);
            assert!(error.is_credentials() && !error.is_transient());
            assert!(!format!("{error:?} {credentials:?}").contains("hunter2"));
        }
    }
}
