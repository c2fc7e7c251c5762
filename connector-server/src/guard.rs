//! Who is let in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connector_core::Secret;
use subtle::ConstantTimeEq;

use crate::App;
use crate::page;
use crate::problem::Problem;

/// Lets a request through, or answers why not.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let open = matches!(request.uri().path(), "/healthz" | "/readyz");
    if let Some(token) = app.token.as_ref().filter(|_| !open)
        && !shows(request.headers(), token)
    {
        return unauthorized(&request);
    }
    if !request.method().is_safe() && is_cross_origin(request.headers(), request.uri()) {
        let detail = "this request was made by a page of another site";
        return Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail).into_response();
    }
    next.run(request).await
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

/// Whether a browser sends this for a page of another site. Browsers say so themselves; older ones only name the page's
/// origin, and other clients say nothing.
fn is_cross_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
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
}
