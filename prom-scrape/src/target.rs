use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use url::{Position, Url};

/// An endpoint that can be scraped: an absolute `http` or `https` URL with a host.
///
/// The host must stand in the text as written, whatever a lenient URL parser would make of it, and the text must
/// hold no user name or password: those belong in [`Credentials`](crate::Credentials). A fragment is dropped.
///
/// ```
/// use prom_scrape::Target;
///
/// let target = Target::parse("http://node-exporter:9100/metrics")?;
/// assert_eq!(target.to_string(), "http://node-exporter:9100/metrics");
/// assert!(Target::parse("node-exporter:9100/metrics").is_err());
/// # Ok::<(), prom_scrape::TargetError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    url: Url,
}

/// Why a text is no [`Target`]. Never repeats the text, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Scheme,
    NoHost,
    UserInfo,
    Blank,
    Malformed(url::ParseError),
    Unsendable,
}

impl Target {
    /// Checks `text` and makes a target of it.
    ///
    /// # Errors
    ///
    /// When `text` is no absolute `http` or `https` URL with a host, or holds a user name or password.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
            return Err(TargetError(Reason::Blank));
        }
        let authority = written_authority(text).ok_or(TargetError(Reason::Scheme))?;
        if authority.contains('@') {
            return Err(TargetError(Reason::UserInfo));
        }
        if authority.is_empty() || authority.starts_with(':') || authority.contains('\\') {
            return Err(TargetError(Reason::NoHost));
        }
        let mut url = Url::parse(text).map_err(|e| TargetError(Reason::Malformed(e)))?;
        url.set_fragment(None);
        let target = Self { url };
        to_uri(&target.url).ok_or(TargetError(Reason::Unsendable))?;
        Ok(target)
    }

    /// Scheme, host and, unless it is the scheme's own, port: `http://node-exporter:9100`.
    #[must_use]
    pub fn origin(&self) -> String {
        origin(&self.url)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

/// The part between `http://` or `https://` and the path, as it is written.
fn written_authority(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    rest.split(['/', '?', '#']).next()
}

pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The same without a copy, for a URL that is known to hold no user name.
pub(crate) fn origin_slice(url: &Url) -> &str {
    &url[..Position::AfterPort]
}

/// As the HTTP library wants it; it is stricter than the URL standard about characters and length.
pub(crate) fn to_uri(url: &Url) -> Option<Uri> {
    Uri::from_str(url.as_str()).ok()
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        Self::parse(text)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.url)
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Reason::Scheme => "the URL must start with http:// or https://, as in http://localhost:9100/metrics",
            Reason::NoHost => "the URL must name a host after http:// or https://, as in http://localhost:9100/metrics",
            Reason::UserInfo => {
                "the URL must hold no user name or password, since URLs are shown and logged: configure them as credentials"
            }
            Reason::Blank => "the URL must hold no white space or control characters: write them as %20 and the like",
            Reason::Malformed(_) => "the URL is malformed",
            Reason::Unsendable => "the URL is too long or holds characters that cannot be sent: percent-encode them",
        })
    }
}

impl StdError for TargetError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            Reason::Malformed(cause) => Some(cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_reads_back() {
        for (text, shown) in [
            ("http://node-exporter:9100/metrics", "http://node-exporter:9100/metrics"),
            ("HTTPS://Host", "https://host/"),
            ("http://host:80/m?collect[]=cpu&x=%20#part", "http://host/m?collect[]=cpu&x=%20"),
            ("http://[::1]:9100/metrics", "http://[::1]:9100/metrics"),
            ("http://host?target=a@b", "http://host/?target=a@b"),
            ("http://bücher.example/metrics", "http://xn--bcher-kva.example/metrics"),
        ] {
            assert_eq!(Target::parse(text).map(|t| t.to_string()).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        let cases: &[(&str, Reason)] = &[
            ("", Reason::Scheme),
            ("/metrics", Reason::Scheme),
            ("//host/metrics", Reason::Scheme),
            ("host:9100/metrics", Reason::Scheme),
            ("ftp://host/metrics", Reason::Scheme),
            ("file:///etc/passwd", Reason::Scheme),
            ("http:/host/metrics", Reason::Scheme),
            ("http:host", Reason::Scheme),
            ("http:\\\\host\\metrics", Reason::Scheme),
            ("http://", Reason::NoHost),
            ("https:///metrics", Reason::NoHost),
            ("http://?x", Reason::NoHost),
            ("http://#x", Reason::NoHost),
            ("http://:9100/metrics", Reason::NoHost),
            ("http://\\host/metrics", Reason::NoHost),
            ("http://user@host/", Reason::UserInfo),
            ("http://user:pw@host/", Reason::UserInfo),
            ("http://@host/", Reason::UserInfo),
            (" http://host/", Reason::Blank),
            ("http://host/a b", Reason::Blank),
            ("http://ho\nst/", Reason::Blank),
            ("http://host/\0", Reason::Blank),
        ];
        for (text, reason) in cases {
            assert_eq!(Target::parse(text), Err(TargetError(reason.clone())), "{text:?}");
        }
        for text in
            ["http://host:99999/", "http://host:port/", "http://[::1/", "http://a%00b/", "http://ho<st/"]
        {
            assert!(matches!(Target::parse(text), Err(TargetError(Reason::Malformed(_)))), "{text:?}");
        }
        assert!(matches!(
            Target::parse(&format!("http://host/{}", "a".repeat(70_000))),
            Err(TargetError(Reason::Unsendable))
        ));
    }

    #[test]
    fn the_reason_never_repeats_a_secret() {
        let error = Target::parse("http://user:hunter2@host/metrics").expect_err("has a password");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn the_origin_leaves_the_default_port_out() {
        let origin = |text| Target::parse(text).map(|t| t.origin());
        assert_eq!(origin("https://host:443/metrics?x=secret").as_deref(), Ok("https://host"));
        assert_eq!(origin("http://[::1]:9100/").as_deref(), Ok("http://[::1]:9100"));
    }
}
