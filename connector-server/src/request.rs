//! What handlers take out of a request, with every way to get it wrong answered as a [`Problem`].

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use chrono::DateTime;
use connector_runtime::model::Millis;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::Problem;

/// The most bytes that a body may have.
pub(crate) const BODY_LIMIT: usize = 1 << 20;

/// How long a client may take to send a body.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// A body that is one JSON object, whatever its `Content-Type` says.
pub(crate) struct JsonObject<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonObject<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = timeout(BODY_WITHIN, Bytes::from_request(request, state)).await.map_err(|_| too_slow())?;
        let body = body.map_err(|rejection| unread(&rejection))?;
        // serde reads a struct from an array of its fields, too; people who write one by hand mean something else.
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => {}
            Some(_) if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() => {
                return Err(Problem::invalid_request("the body: expected a JSON object"));
            }
            _ => {}
        }
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| Problem::invalid_request(format!("the body: {error}")))
    }
}

fn too_slow() -> Problem {
    let detail = format!("the body has not arrived within {BODY_WITHIN:?}");
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}

fn unread(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body has more than {BODY_LIMIT} bytes"),
        ),
        _ => Problem::invalid_request(format!("the body: {}", rejection.body_text())),
    }
}

/// The variable parts of the path. Parts that cannot name anything are answered like ones that name nothing.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(_) => Err(Problem::not_found(format!("there is nothing at {}", parts.uri.path()))),
        }
    }
}

/// The query's parameters. Handlers take out those that they know; one that is left empty counts as not given.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(pairs)| Self(pairs))
            .map_err(|rejection| Problem::invalid_request(format!("the query: {}", rejection.body_text())))
    }
}

impl Params {
    /// Takes out the parameter of that name.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut found = None;
        for i in (0..self.0.len()).rev() {
            if self.0[i].0 == name && found.replace(self.0.remove(i).1).is_some() {
                return Err(Problem::invalid_request(format!("{name}: is given twice")));
            }
        }
        Ok(found.filter(|value| !value.is_empty()))
    }

    /// Takes out `limit`: from 1 to `most`, 100 unless given.
    pub(crate) fn take_limit(&mut self, most: usize) -> Result<usize, Problem> {
        match self.take("limit")? {
            None => Ok(100),
            Some(text) => text.parse().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
                Problem::invalid_request(format!("limit: must be a number between 1 and {most}"))
            }),
        }
    }

    /// Takes out a time, rounded up to a millisecond.
    pub(crate) fn take_time(&mut self, name: &str) -> Result<Option<Millis>, Problem> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        match DateTime::parse_from_rfc3339(&text) {
            Ok(time) => {
                let beyond = time.timestamp_subsec_nanos() % 1_000_000 > 0;
                Ok(Some(time.timestamp_millis() + i64::from(beyond)))
            }
            Err(error) => Err(Problem::invalid_request(format!(
                "{name}: must be a time in RFC 3339, as in 2026-05-02T10:00:00Z: {error}"
            ))),
        }
    }

    /// All that is left.
    pub(crate) fn rest(self) -> Vec<(String, String)> {
        self.0
    }

    /// Refuses what is left.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::invalid_request(format!("{name}: is no parameter of this call"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let uri = format!("/?{query}").parse().unwrap();
        Params(Query::try_from_uri(&uri).unwrap().0)
    }

    #[test]
    fn parameters_are_taken_out_one_by_one_and_the_rest_is_refused() {
        let mut some = params("limit=7&name=a%20b&after=");
        assert_eq!(some.take_limit(10).unwrap(), 7);
        assert_eq!(some.take("after").unwrap(), None);
        let refused = some.finish().unwrap_err();
        assert!(format!("{refused:?}").contains("name: is no parameter"), "{refused:?}");
        assert_eq!(params("").take_limit(1000).unwrap(), 100);
        for bad in ["limit=0", "limit=11", "limit=x", "limit=-1", "limit=1&limit=1"] {
            assert!(params(bad).take_limit(10).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_between_two_milliseconds_counts_as_the_later_one() {
        let time = |text: &str| params(&format!("since={text}")).take_time("since").unwrap();
        assert_eq!(time("2026-05-02T10:00:00Z"), Some(1_777_716_000_000));
        assert_eq!(time("2026-05-02T12:00:00%2B02:00"), Some(1_777_716_000_000));
        assert_eq!(time("2026-05-02T10:00:00.0000001Z"), Some(1_777_716_000_001));
        assert_eq!(time("1969-12-31T23:59:59.9999Z"), Some(0));
    }
}
