//! What the proxy signs and checks: the unit cookie and the mark of esclusa's own requests.
//!
//! Both use a service's cookie key, each with its own prefix, so that one cannot be
//! replayed as the other.

use esclusa_model::Digest;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The cookie's name.
pub(crate) const COOKIE: &str = "esclusa";

/// The request header that marks esclusa's own requests and says which version they are
/// for; its value is made by [`synthetic_token`].
pub const SYNTHETIC_HEADER: &str = "x-esclusa-synthetic";

/// Bytes of a signature that are written out.
const SIGNATURE_BYTES: usize = 16;
/// Hex digits of a unit id.
const UNIT_DIGITS: usize = 32;

/// Why a text is not a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cookie key is 32 bytes, written as 64 hex digits")]
pub struct KeyError;

/// A service's key, ready for use. Its debug form shows nothing of it.
#[derive(Clone)]
pub(crate) struct Signer {
    cookie: Hmac<Sha256>,
    synthetic: Hmac<Sha256>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    pub(crate) fn new(key_hex: &str) -> Result<Self, KeyError> {
        let mut key = [0; 32];
        hex::decode_to_slice(key_hex, &mut key).map_err(|_| KeyError)?;
        let keyed = |purpose: &[u8]| -> Result<Hmac<Sha256>, KeyError> {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| KeyError)?;
            mac.update(purpose);
            Ok(mac)
        };
        Ok(Self {
            cookie: keyed(b"esclusa-unit:")?,
            synthetic: keyed(b"esclusa-synthetic:")?,
        })
    }

    /// A `Set-Cookie` value for a new random unit, and the unit's id.
    pub(crate) fn new_cookie(&self) -> (String, String) {
        let unit = format!("{:032x}", rand::random::<u128>());
        let mut mac = self.cookie.clone();
        mac.update(unit.as_bytes());
        let signature = hex::encode(&mac.finalize().into_bytes()[..SIGNATURE_BYTES]);
        (
            format!("{COOKIE}={unit}.{signature}; Path=/; HttpOnly; SameSite=Lax"),
            unit,
        )
    }

    /// The unit id in a cookie's value, if we signed it.
    pub(crate) fn unit_of<'a>(&self, value: &'a str) -> Option<&'a str> {
        let (unit, signature) = value.split_once('.')?;
        if unit.len() != UNIT_DIGITS {
            return None;
        }
        verify(&self.cookie, unit, signature).then_some(unit)
    }

    /// The version that a synthetic request is for, if its token is genuine.
    pub(crate) fn synthetic_target(&self, token: &str) -> Option<Digest> {
        let (digest, signature) = token.split_once('.')?;
        if !verify(&self.synthetic, digest, signature) {
            return None;
        }
        format!("sha256:{digest}").parse().ok()
    }
}

fn verify(keyed: &Hmac<Sha256>, text: &str, signature_hex: &str) -> bool {
    let mut signature = [0; SIGNATURE_BYTES];
    if hex::decode_to_slice(signature_hex, &mut signature).is_err() {
        return false;
    }
    let mut mac = keyed.clone();
    mac.update(text.as_bytes());
    mac.verify_truncated_left(&signature).is_ok()
}

/// The value of [`SYNTHETIC_HEADER`] for requests that only `version` shall answer:
/// warm-up, verification, probes. They are counted apart from users' requests.
///
/// # Errors
/// [`KeyError`] when `cookie_key` is not the 64 hex digits of a service's key.
pub fn synthetic_token(cookie_key: &str, version: &Digest) -> Result<String, KeyError> {
    let signer = Signer::new(cookie_key)?;
    let digest = version.hex();
    let mut mac = signer.synthetic;
    mac.update(digest.as_bytes());
    let signature = hex::encode(&mac.finalize().into_bytes()[..SIGNATURE_BYTES]);
    Ok(format!("{digest}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        hex::encode([byte; 32])
    }

    #[test]
    fn only_our_own_cookies_name_a_unit() {
        let signer = Signer::new(&key(1)).expect("key");
        let (cookie, unit) = signer.new_cookie();
        let value = cookie
            .strip_prefix("esclusa=")
            .and_then(|c| c.split(';').next())
            .expect("value");
        assert_eq!(signer.unit_of(value), Some(unit.as_str()));
        let other = Signer::new(&key(2)).expect("key");
        assert_eq!(other.unit_of(value), None);
        let changed = if value.starts_with('0') {
            value.replacen('0', "1", 1)
        } else {
            format!("0{}", &value[1..])
        };
        for bad in [
            changed.as_str(),
            "",
            ".",
            unit.as_str(),
            &value[..value.len() - 2],
        ] {
            assert_eq!(signer.unit_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_synthetic_token_names_one_version_and_is_no_cookie() {
        let version = Digest::of(b"v2");
        let token = synthetic_token(&key(1), &version).expect("token");
        let signer = Signer::new(&key(1)).expect("key");
        assert_eq!(signer.synthetic_target(&token), Some(version));
        assert_eq!(signer.unit_of(&token), None);
        assert_eq!(
            Signer::new(&key(2)).expect("key").synthetic_target(&token),
            None
        );
        assert!(synthetic_token("short", &version).is_err());
    }
}
