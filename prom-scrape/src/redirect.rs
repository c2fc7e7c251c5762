//! Which redirects are followed, and what goes with them.

use http::{HeaderMap, HeaderValue, Uri, header};
use url::Url;

use crate::error::{Error, ErrorKind, excerpt};
use crate::target::{Target, origin, to_uri};

/// The hops of one attempt, beginning with the target itself.
pub(crate) struct Chain<'a> {
    target: &'a Target,
    authorization: Option<&'a HeaderValue>,
    /// Whether every hop so far kept to the target's scheme, host and port.
    at_home: bool,
    hops: Vec<Url>,
    most: usize,
}

impl<'a> Chain<'a> {
    pub(crate) fn new(target: &'a Target, authorization: Option<&'a HeaderValue>, most: usize) -> Self {
        Self { target, authorization, at_home: true, hops: Vec::new(), most }
    }

    pub(crate) fn current(&self) -> &Url {
        self.hops.last().unwrap_or(self.target.url())
    }

    /// The current hop's scheme, host and port, and where it was redirected from, for messages.
    pub(crate) fn place(&self) -> String {
        let (here, home) = (origin(self.current()), self.target.origin());
        if here == home { here } else { format!("{here} (redirected from {home})") }
    }

    pub(crate) fn uri(&self) -> Result<Uri, Error> {
        to_uri(self.current()).ok_or_else(|| self.refused("to a URL that cannot be sent"))
    }

    /// The credentials, for as long as the chain has not left the place that they are meant for.
    pub(crate) fn authorization(&self) -> Option<&'a HeaderValue> {
        self.authorization.filter(|_| self.at_home)
    }

    /// Whether a response of this status and with these headers leads somewhere else.
    pub(crate) fn is_redirect(status: u16, headers: &HeaderMap) -> bool {
        matches!(status, 301 | 302 | 303 | 307 | 308) && headers.contains_key(header::LOCATION)
    }

    /// Moves on to where the `Location` header points.
    pub(crate) fn follow(&mut self, headers: &HeaderMap) -> Result<(), Error> {
        let location = headers.get(header::LOCATION).map(HeaderValue::as_bytes).unwrap_or_default();
        if self.hops.len() == self.most {
            return Err(self.too_many());
        }
        let mut next = std::str::from_utf8(location)
            .ok()
            .and_then(|text| self.current().join(text).ok())
            .ok_or_else(|| self.refused(&format!("to a malformed location, {}", excerpt(location))))?;
        next.set_fragment(None);
        if !matches!(next.scheme(), "http" | "https") {
            return Err(self.refused(&format!("to the scheme {}", excerpt(next.scheme().as_bytes()))));
        }
        if !next.username().is_empty() || next.password().is_some() {
            return Err(
                self.refused(&format!("to {} with a user name or password in the URL", origin(&next)))
            );
        }
        if self.authorization.is_some() && self.current().scheme() == "https" && next.scheme() == "http" {
            return Err(
                self.refused(&format!("from https to {} although the scrape has credentials", origin(&next)))
            );
        }
        self.at_home &= next.origin() == self.target.url().origin();
        self.hops.push(next);
        Ok(())
    }

    fn refused(&self, why: &str) -> Error {
        Error::new(ErrorKind::Redirect, format!("{} redirects {why}", self.place()))
    }

    fn too_many(&self) -> Error {
        let home = self.target.origin();
        let current = self.current();
        let mut earlier =
            std::iter::once(self.target.url()).chain(&self.hops[..self.hops.len().saturating_sub(1)]);
        let message = if !self.hops.is_empty() && earlier.any(|url| url == current) {
            let path = excerpt(current.path().as_bytes());
            format!("{home} redirects in a loop that comes back to {}{path}", origin(current))
        } else {
            format!("{home} redirects more than {} times", self.most)
        };
        Error::new(ErrorKind::Redirect, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SECRET: HeaderValue = HeaderValue::from_static("Bearer s3cret");

    /// Follows `locations` from `start`; for each hop, whether the credentials go with it.
    fn follow(
        start: &str,
        with: Option<&HeaderValue>,
        locations: &[&str],
    ) -> Result<Vec<(String, bool)>, String> {
        let target = Target::parse(start).expect("a target");
        let mut chain = Chain::new(&target, with, 10);
        let mut hops = Vec::new();
        for location in locations {
            let headers =
                HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_str(location).expect("valid"))]);
            chain.follow(&headers).map_err(|e| e.to_string())?;
            hops.push((chain.current().to_string(), chain.authorization().is_some()));
        }
        Ok(hops)
    }

    fn kept(start: &str, locations: &[&str]) -> Vec<bool> {
        follow(start, Some(&SECRET), locations).expect("followed").into_iter().map(|(_, kept)| kept).collect()
    }

    #[test]
    fn locations_are_relative_to_the_current_hop() {
        let hops = follow("http://a/x/y?q", None, &["z", "/w#frag", "?r", "//b:81/k", "https://c/"])
            .expect("followed");
        let urls: Vec<&str> = hops.iter().map(|(url, _)| url.as_str()).collect();
        assert_eq!(urls, ["http://a/x/z", "http://a/w", "http://a/w?r", "http://b:81/k", "https://c/"]);
    }

    #[test]
    fn credentials_stay_with_scheme_host_and_port() {
        assert_eq!(kept("http://a:80/", &["/x", "http://A/y"]), [true, true]);
        for elsewhere in ["http://b/", "http://sub.a/", "http://a:81/", "https://a/", "//b/"] {
            assert_eq!(kept("http://a/", &[elsewhere]), [false], "{elsewhere}");
        }
    }

    #[test]
    fn credentials_never_come_back() {
        assert_eq!(kept("http://a/", &["http://b/", "http://a/", "/again"]), [false, false, false]);
    }

    #[test]
    fn what_must_not_be_followed_is_named() {
        let refused = |start, with, location| follow(start, with, &[location]).expect_err("refused");
        assert_eq!(
            refused("https://a/", Some(&SECRET), "http://a/"),
            "https://a redirects from https to http://a although the scrape has credentials"
        );
        assert_eq!(refused("http://a/", None, "ftp://b/"), "http://a redirects to the scheme ftp");
        assert_eq!(
            refused("http://a/", None, "http://me:hunter2@b/"),
            "http://a redirects to http://b with a user name or password in the URL"
        );
        assert_eq!(
            refused("http://a/", None, "http://[/"),
            "http://a redirects to a malformed location, http://[/"
        );
        assert!(follow("https://a/", None, &["http://a/"]).is_ok());
    }

    #[test]
    fn credentials_gone_from_the_chain_still_forbid_a_downgrade() {
        let error = follow("https://a/", Some(&SECRET), &["https://b/", "http://b/"]).expect_err("refused");
        assert_eq!(
            error,
            "https://b (redirected from https://a) redirects from https to http://b although the scrape has credentials"
        );
    }

    #[test]
    fn ten_are_followed_and_an_eleventh_is_not() {
        let paths: Vec<String> = (0..11).map(|n| format!("/{n}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(follow("http://a/", None, &paths[..10]).expect("followed").len(), 10);
        assert_eq!(
            follow("http://a/", None, &paths),
            Err("http://a redirects more than 10 times".to_owned())
        );
        let error = follow("http://a/x", None, &["/y", "/x"].repeat(6)).expect_err("a loop");
        assert_eq!(error, "http://a redirects in a loop that comes back to http://a/x");
    }
}
