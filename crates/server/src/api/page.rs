//! The page at `/`.

use crate::page;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// The page itself; what it shows, it asks for with the caller's token.
pub(super) async fn index() -> Response {
    let mut response = page::html().into_response();
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    if let Ok(policy) = HeaderValue::from_str(page::policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
