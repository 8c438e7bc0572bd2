//! Claims of bearer tokens, as far as their signature and their time are good.
//!
//! Keys are read beside requests and again from time to time, so that one can be changed
//! without a restart. Without a key that can be read, no token says anything.

use arc_swap::ArcSwap;
use esclusa_flags::ClaimCheck;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation, decode, decode_header,
};
use ring::signature as sig;
use serde_json::{Map, Value};
use std::path::Path;

/// Longest token in bytes; a head of a request is hardly longer.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Largest file of keys or of a secret.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Who vouches for the claims of one guard.
pub(crate) struct ClaimKeys {
    check: ClaimCheck,
    keys: ArcSwap<Result<Vec<Key>, String>>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl std::fmt::Debug for ClaimKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimKeys(..)")
    }
}

impl ClaimKeys {
    /// Reads the keys; why that cannot be is logged.
    pub(crate) fn new(check: ClaimCheck) -> Self {
        // Another one in this process would be as good.
        let _ = RING.install_default();
        let keys = Self {
            check,
            keys: ArcSwap::from_pointee(Err(String::new())),
        };
        keys.read_again();
        keys
    }

    /// Reads the keys as they are now. Blocks on files.
    pub(crate) fn read_again(&self) {
        let read = read(&self.check);
        if let Err(why) = &read
            && self.keys.load().as_ref().as_ref().err() != Some(why)
        {
            tracing::error!(why, "no token can be verified: its claims count as missing");
        }
        self.keys.store(std::sync::Arc::new(read));
    }

    /// The claims of a token that is genuine and in time.
    pub(crate) fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let header = decode_header(token).ok()?;
        let keys = self.keys.load();
        let fits = |key: &&Key| {
            let named = header.kid.is_none() || key.id.is_none() || key.id == header.kid;
            key.algorithm == header.alg && named
        };
        let keys = keys.as_ref().as_ref().ok()?;
        keys.iter().filter(fits).find_map(|key| {
            let validation = self.validation(key.algorithm);
            let token = decode::<Map<String, Value>>(token, &key.key, &validation).ok()?;
            // A date that is no number is no date that has come.
            let dated = token.claims.get("nbf").is_none_or(Value::is_number);
            dated.then_some(token.claims)
        })
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.check.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match &self.check.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn read(check: &ClaimCheck) -> Result<Vec<Key>, String> {
    if let Some(reference) = &check.secret {
        let secret = secret(reference)?;
        return Ok(vec![Key {
            id: None,
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret.as_bytes()),
        }]);
    }
    let Some(path) = &check.jwks_file else {
        return Err("neither a secret nor keys are named".into());
    };
    let text = text(Path::new(path))?;
    let set: JwkSet = serde_json::from_str(&text).map_err(|e| format!("{path}: {e}"))?;
    let keys: Vec<Key> = set.keys.iter().filter_map(public_key).collect();
    match keys.is_empty() {
        true => Err(format!("{path} has no key for RS256 or ES256")),
        false => Ok(keys),
    }
}

fn public_key(jwk: &Jwk) -> Option<Key> {
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    let other_use = matches!(&jwk.common.public_key_use, Some(u) if *u != PublicKeyUse::Signature);
    let other = jwk.common.key_algorithm.is_some_and(|named| named != name);
    if other_use || other {
        return None;
    }
    Some(Key {
        id: jwk.common.key_id.clone(),
        algorithm,
        key: DecodingKey::from_jwk(jwk).ok()?,
    })
}

fn secret(reference: &str) -> Result<String, String> {
    let secret = match reference.split_once(':') {
        Some(("env", name)) => {
            std::env::var(name).map_err(|_| format!("{reference} is not set"))?
        }
        Some(("file", path)) => text(Path::new(path))?,
        _ => return Err(format!("{reference:?} names no place of a secret")),
    };
    let secret = secret.trim_end_matches(['\n', '\r']);
    match secret.is_empty() {
        true => Err(format!("{reference} is empty")),
        false => Ok(secret.to_owned()),
    }
}

fn text(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(fail)?;
    Ok(text)
}

/// The library's checks on the signatures of `ring`, which is in the tree for TLS. It only
/// verifies.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(unsupported()),
    verifier_factory: |algorithm, key| {
        let family = match algorithm {
            Algorithm::HS256 => AlgorithmFamily::Hmac,
            Algorithm::RS256 => AlgorithmFamily::Rsa,
            Algorithm::ES256 => AlgorithmFamily::Ec,
            _ => return Err(unsupported()),
        };
        if key.family() != family {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        Ok(Box::new(Ring(*algorithm, key.clone())))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn unsupported() -> Error {
    ErrorKind::UnsupportedAlgorithm.into()
}

struct Ring(Algorithm, DecodingKey);

impl Verifier<Vec<u8>> for Ring {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (self.0, self.1.kind()) {
            (Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
                ring::hmac::verify(&key, message, signed)
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = sig::RsaPublicKeyComponents { n, e };
                key.verify(&sig::RSA_PKCS1_2048_8192_SHA256, message, signed)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                sig::UnparsedPublicKey::new(&sig::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signed)
            }
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Ring {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}

#[cfg(test)]
mod tests;
