//! Tokens that show testers a variant before anybody else has it: signed by the control plane,
//! read by data planes without asking anybody.
//!
//! `esct1.PAYLOAD.SIGNATURE`: the grant as JSON and its HMAC-SHA256, both in URL-safe base64
//! without padding. Kills, disabled flags and unmet prerequisites come before any token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;

/// The header, the cookie and the value of a context that carry one.
pub const TESTER_NAME: &str = "x-esclusa-tester";
/// What a token begins with.
const PREFIX: &str = "esct1.";
/// Longest token that is read.
const MAX_TOKEN_BYTES: usize = 4_096;
/// What the key is for; the same key signs other things under other names.
const PURPOSE: &[u8] = b"esclusa-flag-tester:";

/// What a tester is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TesterGrant {
    /// Who it was given to, for people.
    pub who: String,
    /// The environment in which it counts.
    pub environment: String,
    /// The variant of each flag.
    pub variants: BTreeMap<String, String>,
    /// From which second since 1970 on it is worthless.
    pub until: u64,
}

/// Signs and reads grants. Its debug form shows nothing of the key.
#[derive(Clone)]
pub struct TesterKey(Hmac<Sha256>);

impl std::fmt::Debug for TesterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TesterKey(..)")
    }
}

impl TesterKey {
    /// From the key of a flag document; `None` when that is not 32 bytes as hex.
    #[must_use]
    pub fn new(key_hex: &str) -> Option<Self> {
        let mut key = [0; 32];
        hex::decode_to_slice(key_hex, &mut key).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(PURPOSE);
        Some(Self(mac))
    }

    /// A token for a grant.
    #[must_use]
    pub fn sign(&self, grant: &TesterGrant) -> String {
        // Cannot fail: text and numbers, and all keys are text.
        let json = serde_json::to_vec(grant).unwrap_or_default();
        let payload = URL_SAFE_NO_PAD.encode(json);
        let mut mac = self.0.clone();
        mac.update(payload.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("{PREFIX}{payload}.{signature}")
    }

    /// What a token grants, when it is genuine and has not run out.
    #[must_use]
    pub fn read(&self, token: &str, unix_second: u64) -> Option<TesterGrant> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (payload, signature) = token.strip_prefix(PREFIX)?.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let mut mac = self.0.clone();
        mac.update(payload.as_bytes());
        mac.verify_slice(&signature).ok()?;
        let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let grant: TesterGrant = serde_json::from_slice(&json).ok()?;
        (unix_second < grant.until).then_some(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: &str) -> TesterKey {
        TesterKey::new(&byte.repeat(32)).expect("a key")
    }

    fn grant() -> TesterGrant {
        TesterGrant {
            who: "ana".into(),
            environment: "production".into(),
            variants: BTreeMap::from([("exec".to_owned(), "on".to_owned())]),
            until: 1_000,
        }
    }

    // ROL-08, trap 26: nobody gives a variant to themselves.
    #[test]
    fn only_genuine_tokens_grant_anything_and_only_in_time() {
        let token = key("ab").sign(&grant());
        assert_eq!(key("ab").read(&token, 999), Some(grant()));
        assert_eq!(key("ab").read(&token, 1_000), None, "it has run out");
        assert_eq!(key("cd").read(&token, 0), None, "another key");
        assert!(TesterKey::new("ab").is_none());
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(key("ab").read(&changed, 0), None, "byte {at}");
            assert_eq!(key("ab").read(&token[..at], 0), None, "cut at {at}");
        }
        let other = serde_json::json!({ "who": "a", "environment": "e", "variants": {},
            "until": 9, "admin": true });
        let payload = URL_SAFE_NO_PAD.encode(other.to_string());
        let mut mac = key("ab").0;
        mac.update(payload.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        let token = format!("{PREFIX}{payload}.{signature}");
        assert_eq!(key("ab").read(&token, 0), None, "an unknown field");
    }
}
