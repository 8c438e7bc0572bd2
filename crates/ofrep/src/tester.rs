//! What a tester's token shows, wherever a request carries it.

use crate::guards::single;
use crate::shared::unix_second;
use esclusa_flags::Context;
use esclusa_wire::{TESTER_NAME, TesterKey};
use http::header::{COOKIE, HeaderMap};
use serde_json::Value;

/// Variants of flags.
pub(crate) type Grants = Vec<(String, String)>;

/// The grants of a token, in this environment and at this moment.
fn read(key: Option<&TesterKey>, token: &str, environment: &str) -> Grants {
    let grant = key.and_then(|key| key.read(token, unix_second()));
    let grant = grant.filter(|grant| grant.environment == environment);
    grant.map_or_else(Vec::new, |grant| grant.variants.into_iter().collect())
}

/// By a header, or a browser's cookie.
pub(crate) fn of_request(
    key: Option<&TesterKey>,
    headers: &HeaderMap,
    environment: &str,
) -> Grants {
    let token = match single(headers, TESTER_NAME) {
        Some(token) => Some(token),
        None => cookie(headers),
    };
    token.map_or_else(Vec::new, |token| read(key, token.trim(), environment))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == TESTER_NAME).then_some(value)
    })
}

/// By a value of the context, for clients whose headers are always the same.
pub(crate) fn of_body(key: Option<&TesterKey>, body: &[u8], environment: &str) -> Grants {
    let name = TESTER_NAME.as_bytes();
    // Hardly any body has one.
    if !body.windows(name.len()).any(|part| part == name) {
        return Vec::new();
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let token = body["context"][TESTER_NAME].as_str();
    token.map_or_else(Vec::new, |token| read(key, token, environment))
}

/// Shows the variants.
pub(crate) fn show(context: &mut Context<'_>, grants: &Grants) {
    for (flag, variant) in grants {
        context.grant(flag, variant);
    }
}
