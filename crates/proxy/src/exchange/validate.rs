//! Refuses requests that two servers could read differently.

use crate::inbound::framing::Verdict;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode, Version};

/// Why a request is refused. Always the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

const fn bad(why: &'static str) -> Refused {
    Refused {
        status: StatusCode::BAD_REQUEST,
        why,
    }
}

/// What a valid request asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The host as the client wrote it, with port; nothing for HTTP/1.0 without one.
    pub(crate) authority: Option<HeaderValue>,
    /// The host in lower case without port, for matching.
    pub(crate) host: String,
    /// The protocol to upgrade to.
    pub(crate) upgrade: Option<HeaderValue>,
}

/// Checks a request's head; `verdict` is the scanner's for HTTP/1.
pub(crate) fn validate(
    parts: &Parts,
    verdict: Option<Verdict>,
    max_headers: usize,
) -> Result<Asked, Refused> {
    if parts.headers.len() > max_headers {
        return Err(Refused {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            why: "the request has too many header lines",
        });
    }
    if verdict == Some(Verdict::Ambiguous) {
        return Err(bad("the length of the request's body is ambiguous"));
    }
    if parts.method == Method::CONNECT {
        return Err(Refused {
            status: StatusCode::METHOD_NOT_ALLOWED,
            why: "this is no forward proxy",
        });
    }
    lengths(&parts.headers)?;
    let whole_server = parts.uri.path() == "*" && parts.method == Method::OPTIONS;
    if !parts.uri.path().starts_with('/') && !whole_server {
        return Err(bad("the request's target is not a path"));
    }
    let authority = authority(parts)?;
    let host = match &authority {
        None => String::new(),
        Some(authority) => authority.host().trim_end_matches('.').to_ascii_lowercase(),
    };
    let authority = match authority {
        None => None,
        Some(authority) => Some(
            HeaderValue::from_str(authority.as_str())
                .map_err(|_| bad("the Host header is not valid"))?,
        ),
    };
    let upgrade = (verdict == Some(Verdict::Upgrade))
        .then(|| upgrade(&parts.headers))
        .flatten();
    Ok(Asked {
        authority,
        host,
        upgrade,
    })
}

/// HTTP/2 can carry length lines that HTTP/1 would read as a second request.
fn lengths(headers: &HeaderMap) -> Result<(), Refused> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let digits = length.as_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || lengths.next().is_some() {
            return Err(bad("the request's Content-Length is not one number"));
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            return Err(bad("the length of the request's body is ambiguous"));
        }
    }
    Ok(())
}

/// Exactly one valid host; where the target names one too, the same.
fn authority(parts: &Parts) -> Result<Option<Authority>, Refused> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let header = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(bad("the request has more than one Host header")),
        (Some(host), None) => Some(read_authority(host.as_bytes())?),
        (None, _) => None,
    };
    let target = match parts.uri.authority() {
        Some(authority) => Some(read_authority(authority.as_str().as_bytes())?),
        None => None,
    };
    match (header, target) {
        (Some(header), Some(target)) if header != target => {
            Err(bad("the Host header is not that of the target"))
        }
        (Some(host), _) => Ok(Some(host)),
        (None, Some(host)) if parts.version != Version::HTTP_11 => Ok(Some(host)),
        (None, None) if parts.version == Version::HTTP_10 => Ok(None),
        _ => Err(bad("the request has no Host header")),
    }
}

fn read_authority(text: &[u8]) -> Result<Authority, Refused> {
    const ERROR: Refused = bad("the Host header is not valid");
    let authority = Authority::try_from(text).map_err(|_| ERROR)?;
    let text = authority.as_str();
    let port_ok = match text.rsplit_once(':') {
        Some((_, port)) if !text.ends_with(']') => {
            port.is_empty() || authority.port_u16().is_some()
        }
        _ => true,
    };
    if authority.host().is_empty() || text.contains('@') || !port_ok {
        return Err(ERROR);
    }
    Ok(authority)
}

/// The protocol asked for. HTTP/2 by upgrade would hide the requests behind it from the
/// proxy, so it is never passed on.
fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    let mut protocols = headers.get_all(UPGRADE).iter();
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else {
        return None;
    };
    let text = protocol.to_str().ok()?;
    let http = text.split(',').any(|p| {
        let p = p.trim();
        p.get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("h2"))
            || p.get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case("http/"))
    });
    (asked && !http).then(|| protocol.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        uri: &str,
        version: Version,
        headers: &[(&'static str, &'static str)],
    ) -> Result<(String, bool), u16> {
        let mut request = http::Request::builder().uri(uri).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("request").into_parts();
        validate(&parts, Some(Verdict::Upgrade), 100)
            .map(|asked| (asked.host, asked.upgrade.is_some()))
            .map_err(|refused| refused.status.as_u16())
    }

    #[test]
    fn a_request_has_exactly_one_host() {
        let v11 = Version::HTTP_11;
        for (uri, headers, expected) in [
            (
                "/",
                &[("host", "Shop.Example:8080")][..],
                Ok("shop.example"),
            ),
            ("/", &[("host", "[::1]:80")], Ok("[::1]")),
            ("/", &[("host", "shop.example.")], Ok("shop.example")),
            (
                "http://a.example/x",
                &[("host", "a.example")],
                Ok("a.example"),
            ),
            ("http://a.example/x", &[("host", "b.example")], Err(400)),
            ("/", &[], Err(400)),
            ("/", &[("host", "")], Err(400)),
            ("/", &[("host", "a"), ("host", "a")], Err(400)),
            ("/", &[("host", "u@a")], Err(400)),
            ("/", &[("host", "a/b")], Err(400)),
            ("/", &[("host", "a b")], Err(400)),
            ("/", &[("host", "a:99999")], Err(400)),
        ] {
            let found = check(uri, v11, headers).map(|(host, _)| host);
            assert_eq!(found, expected.map(str::to_owned), "{uri} {headers:?}");
        }
        assert_eq!(
            check("/", Version::HTTP_10, &[]),
            Ok((String::new(), false))
        );
        assert_eq!(
            check("https://a.example/", Version::HTTP_2, &[]),
            Ok(("a.example".into(), false))
        );
    }

    #[test]
    fn http_2_cannot_smuggle_a_length() {
        let two = [("content-length", "1"), ("content-length", "1")];
        assert_eq!(check("http://a/", Version::HTTP_2, &two), Err(400));
        assert_eq!(
            check("http://a/", Version::HTTP_2, &[("content-length", "+1")]),
            Err(400)
        );
    }

    #[test]
    fn upgrades_to_http_are_not_passed_on() {
        for (protocol, passed) in [
            ("websocket", true),
            ("h2c", false),
            ("HTTP/2.0", false),
            ("foo", true),
        ] {
            let headers = [
                ("host", "a"),
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", protocol),
            ];
            assert_eq!(
                check("/", Version::HTTP_11, &headers),
                Ok(("a".into(), passed)),
                "{protocol}"
            );
        }
        assert_eq!(
            check(
                "/",
                Version::HTTP_11,
                &[("host", "a"), ("upgrade", "websocket")]
            ),
            Ok(("a".into(), false))
        );
    }
}
