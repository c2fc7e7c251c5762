//! One attempt: the request, its redirects, the response's head and body.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpInfo;

use crate::body::{self, Limits};
use crate::connect::Connector;
use crate::decode::Encoding;
use crate::error::{Beneath, Error, ErrorKind, excerpt, find_cause};
use crate::phase::{Phase, Progress};
use crate::redirect::Chain;
use crate::retry::retry_after;
use crate::scrape::Scrape;

pub(crate) type Pool = legacy::Client<Connector, Empty<Bytes>>;

/// OpenMetrics first, the older text format next, and anything rather than a refusal.
static ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4",
);
static ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("gzip");
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// How many dead connections out of the pool one request may meet before that counts as its failure.
const MOST_STALE: u32 = 8;

pub(crate) struct Attempt<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) user_agent: &'a HeaderValue,
    pub(crate) limits: Limits,
    pub(crate) timeout: Duration,
    pub(crate) progress: &'a Progress,
}

impl Attempt<'_> {
    /// Follows `chain` to its end and reads what is there.
    pub(crate) async fn run(&self, mut chain: Chain<'_>) -> Result<Scrape, Error> {
        loop {
            let response = self.send(&chain).await?;
            let status = response.status().as_u16();
            if Chain::is_redirect(status, response.headers()) {
                chain.follow(response.headers()).map_err(|e| e.with_status(status))?;
                body::drain(response.into_body()).await;
            } else if status == 200 {
                return self.receive(response, &chain).await;
            } else {
                let message = format!("{} answered HTTP {}", chain.place(), response.status());
                let wait = retry_after(response.headers(), SystemTime::now());
                body::drain(response.into_body()).await;
                return Err(Error::new(ErrorKind::Status, message)
                    .with_status(status)
                    .with_retry_after(wait));
            }
        }
    }

    async fn send(&self, chain: &Chain<'_>) -> Result<Response<Incoming>, Error> {
        let uri = chain.uri()?;
        for _ in 0..MOST_STALE {
            self.progress.begin_request();
            match self.pool.request(self.request(uri.clone(), chain.authorization())).await {
                Ok(response) => return Ok(response),
                Err(error) if self.progress.is_fresh() || !is_stale(&error) => {
                    return Err(self.unsent(error, chain));
                }
                // The server had closed an idle connection, which only showed when it was used: nothing has failed yet.
                Err(_) => {}
            }
        }
        let message = format!("{} closes every connection that it kept open", chain.place());
        Err(Error::new(ErrorKind::Transport, message))
    }

    fn request(&self, uri: Uri, authorization: Option<&HeaderValue>) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, ACCEPT.clone());
        headers.insert(header::ACCEPT_ENCODING, ACCEPT_ENCODING.clone());
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        headers.insert(SCRAPE_TIMEOUT, timeout_header(self.timeout));
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }

    async fn receive(&self, response: Response<Incoming>, chain: &Chain<'_>) -> Result<Scrape, Error> {
        self.progress.enter(Phase::Body);
        let place = chain.place();
        let (head, incoming) = response.into_parts();
        let encoding = Encoding::of(&head.headers).map_err(|name| {
            let message =
                format!("{place} answered with the Content-Encoding {name}, which was not asked for");
            Error::new(ErrorKind::Encoding, message)
        })?;
        let chunked = match head.headers.get(header::TRANSFER_ENCODING) {
            None => false,
            Some(coding) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => true,
            Some(coding) => {
                let message =
                    format!("{place} answered with the Transfer-Encoding {}", excerpt(coding.as_bytes()));
                return Err(Error::new(ErrorKind::Encoding, message));
            }
        };
        let length_framed =
            chunked || head.version == Version::HTTP_2 || incoming.size_hint().exact().is_some();
        let content_type =
            head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (body, wire_len) = body::read(incoming, encoding, self.limits, &place).await?;
        if !length_framed && !body::ends_properly(&body, content_type.as_deref()) {
            let message = format!(
                "the body of {place} may have been cut short: it ends with its connection and not with a whole line"
            );
            return Err(Error::new(ErrorKind::Truncated, message));
        }
        Ok(Scrape {
            body,
            content_type,
            attempts: 0,
            length_framed,
            encoding: encoding.as_str(),
            wire_len,
            version: match head.version {
                Version::HTTP_2 => "HTTP/2",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            url: chain.current().to_string(),
            peer: head.extensions.get::<HttpInfo>().map(HttpInfo::remote_addr),
            tls: self.progress.tls(),
            timings: self.progress.timings(),
        })
    }

    /// The error for a request that got no response.
    fn unsent(&self, error: legacy::Error, chain: &Chain<'_>) -> Error {
        let place = chain.place();
        let (kind, message) =
            if find_cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse_too_large) {
                (ErrorKind::TooLarge, format!("the head of the response of {place} is too large"))
            } else if !error.is_connect() {
                (ErrorKind::Transport, format!("{place} gave no complete HTTP response"))
            } else {
                let message = match self.progress.phase() {
                    Phase::Resolve => format!("the host name of {place} does not resolve"),
                    Phase::Tls => format!("the TLS handshake with {place} failed{}", tls_reason(&error)),
                    _ => format!("no connection to {place}"),
                };
                (ErrorKind::Connect, message)
            };
        Error::new(kind, message).caused_by(Beneath(error))
    }
}

/// Whether this is how a connection ends that the other side had closed while it was idle.
fn is_stale(error: &legacy::Error) -> bool {
    let closed = |e: &hyper::Error| e.is_incomplete_message() || e.is_canceled() || e.is_closed();
    find_cause::<hyper::Error>(error).is_some_and(closed)
        || find_cause::<std::io::Error>(error).is_some_and(|e| {
            matches!(e.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)
        })
}

/// What an operator should know about a certificate that was not accepted.
fn tls_reason(error: &legacy::Error) -> &'static str {
    use rustls::CertificateError as C;
    let Some(rustls::Error::InvalidCertificate(reason)) = find_cause::<rustls::Error>(error) else {
        return "";
    };
    match reason {
        C::Expired | C::ExpiredContext { .. } => ": its certificate has expired",
        C::NotValidYet | C::NotValidYetContext { .. } => ": its certificate is not valid yet",
        C::NotValidForName | C::NotValidForNameContext { .. } => ": its certificate is for another host name",
        C::Revoked => ": its certificate was revoked",
        C::UnknownIssuer => {
            ": its certificate is self-signed or from an authority that is not trusted here (SSL_CERT_FILE names others)"
        }
        _ => ": its certificate is not acceptable",
    }
}

/// The timeout in seconds, as the shortest decimal.
fn timeout_header(timeout: Duration) -> HeaderValue {
    HeaderValue::from_str(&timeout.as_secs_f64().to_string())
        .expect("a decimal number is a valid header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_is_the_shortest_decimal() {
        for (ms, expected) in
            [(5000, "5"), (500, "0.5"), (100, "0.1"), (60_000, "60"), (1234, "1.234"), (1, "0.001")]
        {
            assert_eq!(timeout_header(Duration::from_millis(ms)), expected);
        }
    }
}
