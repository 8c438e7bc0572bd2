//! The dashboard at `/`, and the files that it loads.

use super::answer::no_such_address;
use crate::page::{File, POLICY, index_tag};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Looked at anew each time: another program may have another page.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// The name holds a hash of the content, so what is under it never changes.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The page itself; what it shows, it asks for with the reader's session.
pub(super) async fn index(headers: HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|tags| tags.contains(index_tag())) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file(File::index(), &headers)
    };
    let into = response.headers_mut();
    into.insert(header::CACHE_CONTROL, ASK_AGAIN);
    if let Ok(tag) = HeaderValue::from_str(index_tag()) {
        into.insert(header::ETAG, tag);
    }
    let policy = HeaderValue::from_static(POLICY);
    into.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// A file of the page.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(found) = File::asset(&name) else {
        return no_such_address().await.into_response();
    };
    let mut response = file(found, &headers);
    let into = response.headers_mut();
    into.insert(header::CACHE_CONTROL, FOR_GOOD);
    response
}

fn file(file: &'static File, headers: &HeaderMap) -> Response {
    let (bytes, packed) = file.bytes(takes_gzip(headers));
    let mut response = bytes.into_response();
    let into = response.headers_mut();
    let media_type = HeaderValue::from_static(file.media_type());
    into.insert(header::CONTENT_TYPE, media_type);
    into.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if packed {
        into.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether the reader unpacks gzip, and does not say that it would rather not (`q=0`).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| {
            let mut parts = one.split(';').map(str::trim);
            let gzip = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            gzip && weight.and_then(|q| q.parse::<f32>().ok()) != Some(0.0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        let takes = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&headers)
        };
        for good in ["gzip", "deflate, gzip;q=0.5", "br, GZIP", "gzip;q=1.0"] {
            assert!(takes(good), "{good}");
        }
        for bad in ["", "br", "gzip;q=0", "identity, gzip; q=0.0", "gzipped"] {
            assert!(!takes(bad), "{bad}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
