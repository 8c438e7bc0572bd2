//! Whom a request belongs to.

use crate::sign::{COOKIE, Signer};
use http::header::{COOKIE as COOKIE_HEADER, HeaderMap, HeaderName, HeaderValue};

/// Where a service reads its units from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Header(HeaderName),
    Cookie,
}

/// A request's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Told by a header, such as a tenant.
    Header(String),
    /// Told by our cookie.
    Cookie(String),
    /// New: the client is given this cookie.
    New { id: String, set_cookie: String },
    /// Told by nothing; chance decides, and again for the next request.
    None,
}

/// Longest unit id that is taken from a header; longer ones are no id.
const MAX_UNIT_BYTES: usize = 512;

/// Reads the unit: the first source that has one. `issue` says whether somebody
/// without any is given a cookie.
pub(crate) fn unit_of(
    sources: &[Source],
    signer: &Signer,
    headers: &HeaderMap,
    issue: bool,
) -> Unit {
    let mut cookie_named = false;
    for source in sources {
        match source {
            Source::Header(name) => {
                let id = headers
                    .get(name)
                    .and_then(|v| v.to_str().ok())
                    .map(str::trim);
                if let Some(id) = id.filter(|v| !v.is_empty() && v.len() <= MAX_UNIT_BYTES) {
                    return Unit::Header(id.to_owned());
                }
            }
            Source::Cookie => {
                cookie_named = true;
                if let Some(id) = cookie_values(headers).find_map(|value| signer.unit_of(value)) {
                    return Unit::Cookie(id.to_owned());
                }
            }
        }
    }
    if cookie_named && issue {
        let (set_cookie, id) = signer.new_cookie();
        return Unit::New { id, set_cookie };
    }
    Unit::None
}

/// All values of our cookie; there can be several with different paths or domains.
fn cookie_values(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(COOKIE_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Takes our cookie out of what the version sees, and joins the crumbs that HTTP/2
/// clients send into the one line that HTTP/1 wants.
pub(crate) fn strip_cookie(headers: &mut HeaderMap) {
    let several = headers.get_all(COOKIE_HEADER).iter().nth(1).is_some();
    let ours = headers
        .get_all(COOKIE_HEADER)
        .iter()
        .any(|v| contains_name(v.as_bytes()));
    if !several && !ours {
        return;
    }
    let mut joined: Vec<u8> = Vec::new();
    for line in headers.get_all(COOKIE_HEADER) {
        for pair in line.as_bytes().split(|b| *b == b';') {
            let pair = pair.trim_ascii();
            if pair.is_empty() || is_ours(pair) {
                continue;
            }
            if !joined.is_empty() {
                joined.extend_from_slice(b"; ");
            }
            joined.extend_from_slice(pair);
        }
    }
    headers.remove(COOKIE_HEADER);
    if joined.is_empty() {
        return;
    }
    // Every byte comes from valid values, so this cannot fail; a cookie less is no harm.
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE_HEADER, value);
    }
}

fn contains_name(line: &[u8]) -> bool {
    line.split(|b| *b == b';')
        .any(|pair| is_ours(pair.trim_ascii()))
}

fn is_ours(pair: &[u8]) -> bool {
    pair.strip_prefix(COOKIE.as_bytes())
        .is_some_and(|rest| rest.first() == Some(&b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new(&"07".repeat(32)).expect("key")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().expect("value"));
        }
        map
    }

    #[test]
    fn the_first_source_wins_and_a_forged_cookie_is_none() {
        let signer = signer();
        let sources = [
            Source::Header(HeaderName::from_static("x-tenant")),
            Source::Cookie,
        ];
        let (cookie, id) = signer.new_cookie();
        let cookie = cookie.split(';').next().expect("pair").to_owned();
        let both = headers(&[("x-tenant", "acme"), ("cookie", &cookie)]);
        assert_eq!(
            unit_of(&sources, &signer, &both, true),
            Unit::Header("acme".into())
        );
        let only = headers(&[("cookie", &format!("a=b; esclusa=forged; {cookie}"))]);
        assert_eq!(unit_of(&sources, &signer, &only, true), Unit::Cookie(id));
        let forged = headers(&[("cookie", "esclusa=forged.00")]);
        assert!(matches!(
            unit_of(&sources, &signer, &forged, true),
            Unit::New { .. }
        ));
        assert_eq!(unit_of(&sources, &signer, &forged, false), Unit::None);
        assert_eq!(unit_of(&sources[..1], &signer, &forged, true), Unit::None);
    }

    #[test]
    fn the_version_never_sees_our_cookie() {
        for (given, left) in [
            (vec!["a=1; esclusa=x.y; b=2"], Some("a=1; b=2")),
            (vec!["esclusa=x"], None),
            (vec!["a=1", "b=2"], Some("a=1; b=2")),
            (vec!["esclusap=1"], Some("esclusap=1")),
            (vec!["a=\"q;\"  ;b"], Some("a=\"q;\"  ;b")),
        ] {
            let pairs: Vec<_> = given.iter().map(|v| ("cookie", *v)).collect();
            let mut map = headers(&pairs);
            strip_cookie(&mut map);
            assert_eq!(
                map.get(COOKIE_HEADER).map(|v| v.to_str().expect("text")),
                left,
                "{given:?}"
            );
            assert!(map.get_all(COOKIE_HEADER).iter().count() <= 1);
        }
    }
}
