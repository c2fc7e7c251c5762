//! One attempt: the request, its redirects, the response's head and body.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use url::{Position, Url};

use crate::body::{self, Limits};
use crate::connect::{Connection, Connector};
use crate::decode::{self, Encoding};
use crate::error::{Error, ErrorKind, excerpt};
use crate::phase::{Phase, Progress};
use crate::pool::Pool;
use crate::redirect::Chain;
use crate::retry::retry_after;
use crate::scrape::Scrape;
use crate::target::origin_slice;

/// OpenMetrics first, the older text format next, and anything rather than a refusal.
static ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4",
);
static ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static(decode::ACCEPTED);
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

pub(crate) struct Attempt<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) connector: &'a Connector,
    pub(crate) user_agent: &'a HeaderValue,
    pub(crate) limits: Limits,
    pub(crate) timeout: Duration,
    pub(crate) progress: &'a Progress,
}

impl Attempt<'_> {
    /// Follows `chain` to its end and reads what is there, into `buffer` where it comes in pieces.
    pub(crate) async fn run(&self, mut chain: Chain<'_>, buffer: &mut Vec<u8>) -> Result<Scrape, Error> {
        loop {
            let (response, connection) = self.send(&chain).await?;
            let status = response.status().as_u16();
            if status == 200 {
                let scrape = self.receive(response, &chain, connection.is_http2(), buffer).await?;
                self.pool.put(origin_slice(chain.current()), connection);
                return Ok(scrape);
            }
            let (head, rest) = response.into_parts();
            let origin = origin_slice(chain.current()).to_owned();
            let next = if Chain::is_redirect(status, &head.headers) {
                chain.follow(&head.headers).map_err(|e| e.with_status(status))
            } else {
                let message = format!("{} answered HTTP {}", chain.place(), head.status);
                Err(Error::new(ErrorKind::Status, message)
                    .with_status(status)
                    .with_retry_after(retry_after(&head.headers, SystemTime::now())))
            };
            if body::drain(rest).await {
                self.pool.put(&origin, connection);
            }
            next?;
        }
    }

    /// Sends the request for the current hop, over a kept connection if there is one.
    async fn send(&self, chain: &Chain<'_>) -> Result<(Response<Incoming>, Connection), Error> {
        if let Some(connection) = self.pool.take(origin_slice(chain.current())).await {
            match self.exchange(connection, chain).await? {
                Ok(answered) => return Ok(answered),
                Err(error) if error.is_parse() => return Err(no_response(error, chain)),
                // The server had closed the idle connection, which only showed when it was used: nothing has failed
                // yet, and another kept one would be in no better state.
                Err(_) => {}
            }
        }
        let connection = self.connector.connect(chain, self.progress).await?;
        self.exchange(connection, chain).await?.map_err(|e| no_response(e, chain))
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        chain: &Chain<'_>,
    ) -> Result<Result<(Response<Incoming>, Connection), hyper::Error>, Error> {
        let request = self.request(chain, connection.is_http2())?;
        self.progress.sending(connection.route());
        Ok(connection.send(request).await.map(|response| (response, connection)))
    }

    fn request(&self, chain: &Chain<'_>, http2: bool) -> Result<Request<Empty<Bytes>>, Error> {
        let url = chain.current();
        let mut request = Request::new(Empty::new());
        let headers = request.headers_mut();
        if !http2 {
            headers.insert(header::HOST, host(url));
        }
        headers.insert(header::ACCEPT, ACCEPT.clone());
        headers.insert(header::ACCEPT_ENCODING, ACCEPT_ENCODING.clone());
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        headers.insert(SCRAPE_TIMEOUT, timeout_header(self.timeout));
        if let Some(authorization) = chain.authorization() {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let uri = chain.uri()?;
        // HTTP/1.1 names the host in a header of its own, HTTP/2 beside the path.
        *request.uri_mut() = match uri.path_and_query() {
            Some(path) if !http2 => Uri::from(path.clone()),
            _ => uri,
        };
        Ok(request)
    }

    async fn receive(
        &self,
        response: Response<Incoming>,
        chain: &Chain<'_>,
        http2: bool,
        buffer: &mut Vec<u8>,
    ) -> Result<Scrape, Error> {
        self.progress.enter(Phase::Body);
        let (head, incoming) = response.into_parts();
        let encoding = Encoding::of(&head.headers).map_err(|name| {
            let place = chain.place();
            let message =
                format!("{place} answered with the Content-Encoding {name}, which was not asked for");
            Error::new(ErrorKind::Encoding, message)
        })?;
        let chunked = match head.headers.get(header::TRANSFER_ENCODING) {
            None => false,
            Some(coding) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => true,
            Some(coding) => {
                let (place, coding) = (chain.place(), excerpt(coding.as_bytes()));
                let message = format!("{place} answered with the Transfer-Encoding {coding}");
                return Err(Error::new(ErrorKind::Encoding, message));
            }
        };
        let length_framed = chunked || http2 || incoming.size_hint().exact().is_some();
        let content_type =
            head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (body, wire_len) = body::read(incoming, encoding, self.limits, chain, buffer).await?;
        if !length_framed && !body::ends_properly(&body, content_type.as_deref()) {
            let message = format!(
                "the body of {} may have been cut short: it ends with its connection and not with a whole line",
                chain.place()
            );
            return Err(Error::new(ErrorKind::Truncated, message));
        }
        let route = self.progress.route();
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
            peer: route.peer,
            tls: route.tls,
            timings: self.progress.timings(),
        })
    }
}

fn no_response(error: hyper::Error, chain: &Chain<'_>) -> Error {
    let place = chain.place();
    let (kind, message) = if error.is_parse_too_large() {
        (ErrorKind::TooLarge, format!("the head of the response of {place} is too large"))
    } else {
        (ErrorKind::Transport, format!("{place} gave no complete HTTP response"))
    };
    Error::new(kind, message).caused_by(error)
}

/// Host and, unless it is the scheme's own, port.
fn host(url: &Url) -> HeaderValue {
    HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
        .expect("a host of a URL is ASCII without control characters")
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
