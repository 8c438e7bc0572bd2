//! Who asks: a token, or somebody on this machine where no tokens are set up.

use crate::conn::Connection;
use crate::reply::{self, Reply};
use crate::table::{Access, FlagTable};
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Names the environment where no token does.
pub(crate) const ENVIRONMENT_HEADER: &str = "x-esclusa-environment";
const API_KEY: &str = "x-api-key";
/// What a proxy in front adds: its clients are not on this machine.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Who showed a token on this connection last. Clients show the same one with each request.
#[derive(Debug)]
pub(crate) struct Recognised {
    /// Weak: a connection that nobody uses keeps no old table in memory.
    table: Weak<FlagTable>,
    secret: Box<[u8]>,
    access: Arc<Access>,
}

/// Why somebody gets no answer. Strangers learn nothing from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No token, or none that exists or still counts.
    Unauthorized,
    /// The token's environment is not there, or this address is for its machine alone.
    Forbidden,
    /// Too often.
    TooMany(Duration),
    /// There are several environments, and none was named.
    WhichEnvironment(String),
}

impl Refusal {
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Unauthorized => reply::unauthorized(),
            Self::Forbidden => reply::empty(http::StatusCode::FORBIDDEN),
            Self::TooMany(wait) => reply::too_many(*wait),
            Self::WhichEnvironment(known) => reply::bad_request(&format!(
                "name an environment in the header {ENVIRONMENT_HEADER}: {known}"
            )),
        }
    }
}

/// The secret that a request shows.
fn secret(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get(API_KEY) {
        return Some(key.as_bytes());
    }
    let shown = headers.get(AUTHORIZATION)?.as_bytes().trim_ascii();
    match shown.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => Some(rest.trim_ascii()),
        _ => Some(shown),
    }
}

/// Who asks, and may.
pub(crate) fn recognise(
    connection: &Connection,
    table: &Arc<FlagTable>,
    headers: &HeaderMap,
    second: u64,
) -> Result<Arc<Access>, Refusal> {
    let access = match table.is_open() {
        true => match secret(headers).and_then(|secret| table.by_secret(secret)) {
            Some(watcher) => Arc::clone(watcher),
            None => neighbour(connection, table, headers)?,
        },
        false => bearer(connection, table, headers)?,
    };
    if access.has_expired(second) {
        return Err(Refusal::Unauthorized);
    }
    if table.environment(&access.scope.environment).is_none() {
        return Err(Refusal::Forbidden);
    }
    let server = &connection.server;
    server
        .may_ask(access.server, connection.peer)
        .map_err(Refusal::TooMany)?;
    Ok(access)
}

fn bearer(
    connection: &Connection,
    table: &Arc<FlagTable>,
    headers: &HeaderMap,
) -> Result<Arc<Access>, Refusal> {
    let secret = secret(headers).ok_or(Refusal::Unauthorized)?;
    let mut recognised = connection
        .recognised
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(last) = &*recognised
        && last.table.as_ptr() == Arc::as_ptr(table)
        && *last.secret == *secret
    {
        return Ok(Arc::clone(&last.access));
    }
    let Some(access) = table.by_secret(secret) else {
        let limiter = &connection.server.wrong_tokens;
        return Err(match limiter.take(connection.peer, Instant::now()) {
            Ok(()) => Refusal::Unauthorized,
            Err(wait) => Refusal::TooMany(wait),
        });
    };
    *recognised = Some(Recognised {
        table: Arc::downgrade(table),
        secret: secret.into(),
        access: Arc::clone(access),
    });
    Ok(Arc::clone(access))
}

/// Without tokens, only who is really on this machine: not a page of somebody else's in a
/// browser here, and not the clients of a proxy here.
fn neighbour(
    connection: &Connection,
    table: &FlagTable,
    headers: &HeaderMap,
) -> Result<Arc<Access>, Refusal> {
    if !is_neighbour(connection.peer, headers) {
        return Err(Refusal::Forbidden);
    }
    let named = headers.get(ENVIRONMENT_HEADER).map(HeaderValue::to_str);
    let environment = match named {
        Some(Ok(name)) => name,
        Some(Err(_)) => return Err(Refusal::Forbidden),
        None => {
            let mut names = table.environment_names();
            match (names.next(), names.next()) {
                (Some(only), None) => only,
                _ => {
                    let known: Vec<&str> = table.environment_names().collect();
                    return Err(Refusal::WhichEnvironment(known.join(", ")));
                }
            }
        }
    };
    let access = table.neighbour(environment).ok_or(Refusal::Forbidden)?;
    Ok(Arc::clone(access))
}

/// Whether a request comes from this machine itself.
pub(crate) fn is_neighbour(peer: std::net::IpAddr, headers: &HeaderMap) -> bool {
    let forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
    let host = headers.get(HOST).map(|host| is_loopback(host.as_bytes()));
    peer.to_canonical().is_loopback()
        && !forwarded
        && host != Some(false)
        && headers.get(ORIGIN).is_none_or(is_local_origin)
}

/// Whether a page of this origin comes from this machine.
pub(crate) fn is_local_origin(origin: &HeaderValue) -> bool {
    let origin = origin.as_bytes();
    let rest = [&b"http://"[..], b"https://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(*scheme));
    rest.is_some_and(is_loopback)
}

/// Whether a host with or without port names this machine.
fn is_loopback(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else {
        return false;
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn a_secret_comes_in_three_ways() {
        for (line, wanted) in [
            (("authorization", "Bearer s3cret"), &b"s3cret"[..]),
            (("authorization", "bearer  s3cret "), b"s3cret"),
            (("authorization", "s3cret"), b"s3cret"),
            (("x-api-key", "s3cret"), b"s3cret"),
        ] {
            assert_eq!(secret(&headers(&[line])), Some(wanted), "{line:?}");
        }
        assert_eq!(secret(&headers(&[])), None);
    }

    #[test]
    fn only_this_machine_itself_is_a_neighbour() {
        let here = std::net::IpAddr::from([127, 0, 0, 1]);
        let there = std::net::IpAddr::from([192, 0, 2, 1]);
        let good = [
            headers(&[]),
            headers(&[("host", "localhost:8016")]),
            headers(&[("host", "127.0.0.1")]),
            headers(&[("host", "[::1]:8016")]),
            headers(&[("origin", "http://localhost:3000")]),
        ];
        for headers in good {
            assert!(is_neighbour(here, &headers), "{headers:?}");
            assert!(!is_neighbour(there, &headers), "{headers:?}");
        }
        let bad = [
            headers(&[("host", "flags.example")]),
            headers(&[("host", "localhost.evil.example")]),
            headers(&[("origin", "https://evil.example")]),
            headers(&[("origin", "null")]),
            headers(&[("x-forwarded-for", "127.0.0.1")]),
            headers(&[("forwarded", "for=1")]),
        ];
        for headers in bad {
            assert!(!is_neighbour(here, &headers), "{headers:?}");
        }
    }
}
