//! Who is let in.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connector_core::Secret;
use subtle::ConstantTimeEq;

use crate::page;
use crate::problem::Problem;
use crate::{Access, App, read_token};

/// Lets a request through, or answers why not.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let open = matches!(request.uri().path(), "/healthz" | "/readyz");
    match &app.access {
        _ if open => {}
        Access::Token(token) if !shows(request.headers(), token) => return unauthorized(&request),
        Access::TokenFile(path) => match token_in(path.clone()).await {
            Ok(token) if shows(request.headers(), &token) => {}
            Ok(_) => return unauthorized(&request),
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "nobody is let in: the API token cannot be read");
                let detail = "the file of the API token cannot be read; the server's log says why";
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "token_unreadable", detail)
                    .into_response();
            }
        },
        Access::Local => {
            if let Some(host) = unknown_host(request.headers(), request.uri()) {
                let detail = format!(
                    "without an API token this server answers at an IP address or as localhost, not as {host:?}: \
                     set a token, or let in anyone (connectord: --api-token-file FILE, --allow-anonymous)"
                );
                return Problem::new(StatusCode::FORBIDDEN, "unknown_host", detail).into_response();
            }
        }
        Access::Token(_) | Access::Anyone => {}
    }
    if !request.method().is_safe() && is_cross_origin(request.headers(), request.uri()) {
        let detail = "this request was made by a page of another site";
        return Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail).into_response();
    }
    next.run(request).await
}

/// The token that a file holds now. The file system may take its time.
async fn token_in(path: PathBuf) -> io::Result<Secret> {
    tokio::task::spawn_blocking(move || read_token(&path)).await.map_err(io::Error::other)?
}

fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, shown) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(shown.trim_ascii())
    });
    // In constant time, so that how long it takes says nothing of how much of a guess is right.
    shown.is_some_and(|shown| shown.ct_eq(token.expose().as_bytes()).into())
}

/// Says that a token is needed; to a browser that asks for the page with the page itself, which then asks for the token.
/// The page holds no data of its own.
fn unauthorized(request: &Request) -> Response {
    let wants_page = request.uri().path() == "/"
        && request.method() == Method::GET
        && request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
    let mut response = if wants_page {
        (StatusCode::UNAUTHORIZED, page::answer()).into_response()
    } else {
        let detail = "this needs the header `Authorization: Bearer TOKEN` with the daemon's API token";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response()
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The host that is asked for, where it is a name that may lead anywhere. Programs that are no browsers may name none.
fn unknown_host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let named = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let mut named = named.chain(uri.authority().map(|authority| authority.as_str().as_bytes()));
    named.find(|host| !is_local(host)).map(|host| String::from_utf8_lossy(host).into_owned())
}

/// Whether a host, with or without a port, is an IP address, or a name that browsers take for this machine.
fn is_local(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let host = authority.host().to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    let name = host.strip_suffix('.').unwrap_or(&host);
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// Whether a browser sends this for a page of another site. Browsers say so themselves; older ones only name the page's
/// origin, and other clients say nothing.
fn is_cross_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(Authority::as_str));
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.map(|(_, authority)| authority) != host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_token_itself_is_accepted() {
        let token = Secret::new("s3cret");
        let shown = |value: &str| shows(&headers(&[("authorization", value)]), &token);
        assert!(shown("Bearer s3cret") && shown("bearer s3cret") && shown("BEARER  s3cret"));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3crets",
            "Basic s3cret",
            "s3cret",
            "Bearer S3CRET",
        ] {
            assert!(!shown(bad), "{bad:?}");
        }
        assert!(!shows(&HeaderMap::new(), &token));
    }

    #[test]
    fn what_another_sites_page_sends_is_told_apart() {
        let uri = Uri::from_static("/v1/connectors");
        let cross = |pairs: &[(&'static str, &str)]| is_cross_origin(&headers(pairs), &uri);
        assert!(!cross(&[]), "no browser");
        assert!(!cross(&[("sec-fetch-site", "same-origin"), ("origin", "http://proxy"), ("host", "inside")]));
        assert!(!cross(&[("sec-fetch-site", "none")]));
        assert!(cross(&[("sec-fetch-site", "cross-site")]) && cross(&[("sec-fetch-site", "same-site")]));
        assert!(!cross(&[("origin", "http://localhost:8080"), ("host", "localhost:8080")]));
        assert!(cross(&[("origin", "http://localhost:3000"), ("host", "localhost:8080")]));
        assert!(cross(&[("origin", "null"), ("host", "localhost:8080")]));
    }

    #[test]
    fn names_that_may_lead_anywhere_are_told_apart() {
        for local in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "10.1.2.3:80",
            "[::1]:8080",
            "[fe80::1]",
            "localhost",
            "LocalHost:8080",
            "localhost.:8080",
            "a.localhost",
        ] {
            assert!(is_local(local.as_bytes()), "{local}");
        }
        for unknown in [
            "",
            "example.org",
            "example.org:8080",
            "localhost.example.org",
            "notlocalhost",
            "127.0.0.1.example.org",
            "127.0.0.1@example.org",
            "::1",
            "2130706433",
            "localhost:80 example.org",
        ] {
            assert!(!is_local(unknown.as_bytes()), "{unknown:?}");
        }
        assert!(!is_local(b"\xff"));
    }

    #[test]
    fn every_host_that_is_named_must_be_known() {
        let unknown = |pairs: &[(&'static str, &str)], uri: &'static str| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            unknown_host(&headers, &Uri::from_static(uri))
        };
        assert_eq!(unknown(&[], "/"), None);
        assert_eq!(unknown(&[("host", "localhost:8080")], "/"), None);
        assert_eq!(unknown(&[("host", "a.org:8080")], "/").as_deref(), Some("a.org:8080"));
        assert_eq!(unknown(&[("host", "localhost"), ("host", "a.org")], "/").as_deref(), Some("a.org"));
        assert_eq!(unknown(&[("host", "localhost")], "http://a.org/").as_deref(), Some("a.org"));
    }
}
