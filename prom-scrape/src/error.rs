use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::phase::{Phase, Timings, TlsSession};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a scrape failed.
///
/// `Display` says what went wrong on this level and names the host; the cause, where there is one, is in
/// [`source`](StdError::source). Neither ever holds a credential.
///
/// ```
/// # async fn f(client: prom_scrape::Client, target: prom_scrape::Target) {
/// use prom_scrape::{Credentials, ScrapeOptions};
///
/// match client.scrape(&target, || Ok::<_, std::io::Error>(Credentials::None), &ScrapeOptions::new()).await {
///     Ok(scrape) => println!("{} bytes", scrape.body().len()),
///     Err(error) if error.is_transient() => eprintln!("next time, perhaps: {error}"),
///     Err(error) => eprintln!("this needs somebody: {error}"),
/// }
/// # }
/// ```
pub struct Error(Box<Inner>);

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller could not supply the credentials; no request was sent with them. The caller's own error is
    /// the [`source`](StdError::source).
    Credentials,
    /// The credentials cannot be sent in a header: a control character, an empty token, a colon in the user name.
    InvalidCredentials,
    /// No connection: the name did not resolve, the connection was refused, or TLS failed.
    Connect,
    /// An attempt took longer than [`ScrapeOptions::timeout`](crate::ScrapeOptions::timeout).
    Timeout,
    /// The connection broke, or what came over it was not HTTP.
    Transport,
    /// The body ended before its length, its last chunk or its compression trailer said so.
    Truncated,
    /// The server answered with another status than 200.
    Status,
    /// The response head or the body is larger than the client's limits allow.
    TooLarge,
    /// The body is encoded in a way that was not asked for, or its compressed form is corrupt.
    Encoding,
    /// A redirect that must not or cannot be followed.
    Redirect,
    /// The client could not be built.
    Setup,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    attempts: u32,
    status: Option<u16>,
    retry_after: Option<Duration>,
    progress: Option<(Phase, Timings, Option<TlsSession>)>,
    source: Option<BoxError>,
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How many requests had been sent to the target when the scrape ended. Redirects do not count.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The status that the server answered with, for [`ErrorKind::Status`] and [`ErrorKind::Redirect`].
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// How long the server asked to be left alone, counted from its answer.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What the last attempt was doing when it failed; `None` if no request was made.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.progress.as_ref().map(|(phase, ..)| *phase)
    }

    /// How long each phase of the last attempt took, up to its failure.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.0.progress.as_ref().map(|(_, timings, _)| *timings).unwrap_or_default()
    }

    /// The TLS session of the last attempt, if it came as far as having one.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsSession> {
        self.0.progress.as_ref().and_then(|(.., tls)| tls.as_ref())
    }

    /// Whether the same scrape may well succeed later without anybody changing anything: 429, 5xx, a timeout, a
    /// connection that failed or broke, a body cut short.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.0.kind {
            ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Transport | ErrorKind::Truncated => true,
            ErrorKind::Status => self.0.status.is_some_and(|status| status == 429 || status >= 500),
            _ => false,
        }
    }

    /// Whether the credentials could not be had or cannot be sent.
    #[must_use]
    pub fn is_credentials(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Credentials | ErrorKind::InvalidCredentials)
    }

    /// Takes the cause out. For [`ErrorKind::Credentials`] it is the error that the caller's own closure returned.
    #[must_use]
    pub fn into_source(self) -> Option<Box<dyn StdError + Send + Sync>> {
        self.0.source
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            kind,
            message,
            attempts: 0,
            status: None,
            retry_after: None,
            progress: None,
            source: None,
        }))
    }

    pub(crate) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    pub(crate) fn with_progress(mut self, phase: Phase, timings: Timings, tls: Option<TlsSession>) -> Self {
        self.0.progress = Some((phase, timings, tls));
        self
    }

    pub(crate) fn with_remark(mut self, remark: &str) -> Self {
        self.0.message.push_str(remark);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("attempts", &self.0.attempts)
            .field("status", &self.0.status)
            .field("phase", &self.phase())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The first error of type `T` among `error` and its causes, also inside an [`io::Error`], which hides what it wraps.
pub(crate) fn find_cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as _),
            None => error.source(),
        };
    }
    None
}

/// Text from the other side, made printable and short enough for a message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const LONGEST: usize = 80;
    let clipped = &bytes[..bytes.len().min(LONGEST)];
    let mut text = clipped.escape_ascii().to_string();
    if clipped.len() < bytes.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_decides_what_is_transient() {
        for (status, transient) in [
            (204, false),
            (301, false),
            (401, false),
            (404, false),
            (408, false),
            (429, true),
            (500, true),
            (599, true),
        ] {
            let error = Error::new(ErrorKind::Status, "").with_status(status);
            assert_eq!(error.is_transient(), transient, "{status}");
        }
    }

    #[test]
    fn a_cause_is_found_inside_io_errors() {
        let inner = io::Error::new(io::ErrorKind::UnexpectedEof, "cut");
        let outer = Error::new(ErrorKind::Transport, "x").caused_by(io::Error::other(fmt::Error));
        assert!(find_cause::<fmt::Error>(&outer).is_some());
        let outer = Error::new(ErrorKind::Transport, "x").caused_by(inner);
        assert!(find_cause::<io::Error>(&outer).is_some());
        assert!(find_cause::<fmt::Error>(&outer).is_none());
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(excerpt(b"br\x1b\n"), "br\\x1b\\n");
        assert_eq!(excerpt(&[b'a'; 81]), format!("{}…", "a".repeat(80)));
    }
}
