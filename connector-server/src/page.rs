//! The operator's page: one file, with nothing fetched from elsewhere.

use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use uuid::Uuid;

const PAGE: &str = include_str!("page.html");

/// Answers with the page.
pub(crate) async fn show() -> impl IntoResponse {
    answer()
}

/// The page, and headers that let a browser run this page's own script and no other.
pub(crate) fn answer() -> impl IntoResponse {
    let nonce = Uuid::new_v4().simple().to_string();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers: [(HeaderName, String); 5] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, PAGE.replace("{{nonce}}", &nonce))
}
