//! Which header lines go through, and which end here.

use crate::net::Cidr;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use std::fmt::Write as _;
use std::net::IpAddr;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Lines for one hop only, whether `Connection` names them or not.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Lines that a client must not be able to make vanish by naming them in `Connection`.
fn is_protected(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "host",
        "cookie",
        "authorization",
        "content-length",
        "content-type",
        "content-encoding",
        "forwarded",
        "date",
        "cache-control",
    ];
    let has_prefix = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|p| p.eq_ignore_ascii_case(prefix))
    };
    has_prefix("x-forwarded-")
        || has_prefix("x-real-ip")
        || has_prefix("x-esclusa-")
        || NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// Takes out everything that is for one hop only.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty() && !is_protected(name))
            .filter_map(|name| name.parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Takes out lines whose name begins so.
fn remove_prefixed(headers: &mut HeaderMap, prefix: &str) {
    while let Some(name) = headers
        .keys()
        .find(|name| name.as_str().starts_with(prefix))
        .cloned()
    {
        headers.remove(name);
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) peer: IpAddr,
    pub(crate) trusted: &'a [Cidr],
    /// The host that the client asked for, as it wrote it.
    pub(crate) host: Option<&'a HeaderValue>,
}

/// Makes a client's lines fit to be sent to a version. `Host` and the prefix of the
/// path belong to the instance and are set later.
pub(crate) fn to_version(
    headers: &mut HeaderMap,
    origin: Origin<'_>,
    upgrade: Option<HeaderValue>,
) {
    let wants_trailers = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"));
    strip_hop_by_hop(headers);
    // The proxy has answered it: the body is read, and sent on, as it comes.
    headers.remove(EXPECT);
    remove_prefixed(headers, "x-esclusa-");
    forwarding(headers, origin);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    } else if wants_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

fn forwarding(headers: &mut HeaderMap, origin: Origin<'_>) {
    let trusted = origin
        .trusted
        .iter()
        .any(|range| range.contains(origin.peer));
    let mut chain = String::new();
    if trusted {
        for value in headers.get_all(&X_FORWARDED_FOR) {
            if let Ok(value) = value.to_str() {
                chain.push_str(value);
                chain.push_str(", ");
            }
        }
    } else {
        headers.remove(FORWARDED);
        headers.remove("x-real-ip");
        remove_prefixed(headers, "x-forwarded-");
    }
    // Writing to a string cannot fail.
    let _ = write!(chain, "{}", origin.peer.to_canonical());
    if let Ok(value) = HeaderValue::from_str(&chain) {
        headers.insert(X_FORWARDED_FOR, value);
    }
    if !headers.contains_key(&X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = origin.host
        && !headers.contains_key(&X_FORWARDED_HOST)
    {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
}

/// Sets what belongs to the instance.
pub(crate) fn for_instance(headers: &mut HeaderMap, target: &crate::table::Target) {
    if let Some(host) = &target.host_header {
        headers.insert(HOST, host.clone());
    } else if !headers.contains_key(HOST) {
        headers.insert(HOST, target.own_host.clone());
    }
}

/// Makes a version's lines fit to be sent to a client.
pub(crate) fn to_client(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // A length beside a coding is a lie; the body's coding is the truth.
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
}

/// How long a version says that it keeps an idle connection.
pub(crate) fn keep_alive_seconds(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(&KEEP_ALIVE)?
        .to_str()
        .ok()?
        .split([',', ';'])
        .find_map(|part| part.trim().strip_prefix("timeout=")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn sent(pairs: &[(&'static str, &'static str)], trusted: &[Cidr]) -> Vec<String> {
        let mut map = headers(pairs);
        let host = HeaderValue::from_static("shop.example");
        let origin = Origin {
            peer: "192.0.2.7".parse().expect("address"),
            trusted,
            host: Some(&host),
        };
        to_version(&mut map, origin, None);
        let mut lines: Vec<_> = map
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().expect("text")))
            .collect();
        lines.sort();
        lines
    }

    const ADDED: [&str; 3] = [
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: shop.example",
        "x-forwarded-proto: http",
    ];

    #[test]
    fn one_hop_lines_end_here() {
        let lines = sent(
            &[
                ("connection", "close, X-Own , upgrade"),
                ("x-own", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "gzip"),
                ("upgrade", "h2c"),
                ("proxy-connection", "keep-alive"),
                ("expect", "100-continue"),
            ],
            &[],
        );
        assert_eq!(lines, ADDED);
    }

    #[test]
    fn a_client_cannot_strip_or_forge_what_versions_rely_on() {
        let lines = sent(
            &[
                ("connection", "x-forwarded-for, authorization, cookie, Host"),
                ("authorization", "Bearer t"),
                ("cookie", "a=b"),
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-proto", "https"),
                ("x-real-ip", "6.6.6.6"),
                ("forwarded", "for=6.6.6.6"),
                ("x-esclusa-synthetic", "x"),
                ("x-esclusa-other", "x"),
            ],
            &[],
        );
        let mut expected = vec!["authorization: Bearer t", "cookie: a=b"];
        expected.extend(ADDED);
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_trusted_proxys_chain_is_appended_to() {
        let trusted = [Cidr::parse("192.0.2.0/24").expect("range")];
        let lines = sent(
            &[
                ("connection", "x-forwarded-for"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "2.2.2.2"),
                ("x-forwarded-proto", "https"),
                ("te", "deflate, Trailers"),
            ],
            &trusted,
        );
        assert_eq!(
            lines,
            [
                "connection: te",
                "te: trailers",
                "x-forwarded-for: 1.1.1.1, 2.2.2.2, 192.0.2.7",
                "x-forwarded-host: shop.example",
                "x-forwarded-proto: https",
            ]
        );
    }

    #[test]
    fn a_length_beside_a_coding_is_dropped() {
        let mut map = headers(&[
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("server", "s"),
            ("keep-alive", "timeout=5, max=100"),
        ]);
        assert_eq!(keep_alive_seconds(&map), Some(5));
        to_client(&mut map);
        assert_eq!(map, headers(&[("server", "s")]));
    }
}
