//! A guard with what verifies its claims.

use esclusa_flags::{
    ClaimCheck, CompiledGuard, FlagSet, GuardDecision, GuardDefinition, Problem, RequestContext,
    Snapshot,
};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use std::cell::OnceCell;

/// Largest file with keys or a secret.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Why claims cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no keys that are of use.
    #[error("{0} holds no public keys in JWKS form")]
    NoKeys(String),
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    Variable(String),
    /// The reference is neither.
    #[error("a secret is written as `env:NAME` or `file:PATH`")]
    Reference,
}

/// Verifies bearer tokens and reads their claims.
#[derive(Clone)]
pub struct Claims {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claims({} keys)", self.keys.len())
    }
}

impl Claims {
    /// Reads the keys, or the secret.
    ///
    /// # Errors
    /// [`ClaimError`] when there is nothing to verify with.
    pub fn load(check: &ClaimCheck) -> Result<Self, ClaimError> {
        let validation = |algorithms: Vec<Algorithm>| {
            let mut validation = Validation::new(Algorithm::HS256);
            validation.algorithms = algorithms;
            validation.validate_nbf = true;
            validation.validate_aud = check.audience.is_some();
            if let Some(audience) = &check.audience {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            if let Some(issuer) = &check.issuer {
                validation.set_issuer(&[issuer]);
                validation.required_spec_claims.insert("iss".to_owned());
            }
            validation
        };
        if let Some(path) = &check.jwks_file {
            let text = file(path)?;
            let set: JwkSet =
                serde_json::from_slice(&text).map_err(|_| ClaimError::NoKeys(path.clone()))?;
            let keys = set.keys.iter().filter_map(|jwk| {
                Some(Key {
                    id: jwk.common.key_id.clone(),
                    key: DecodingKey::from_jwk(jwk).ok()?,
                    validation: validation(algorithms(jwk)?),
                })
            });
            let keys: Vec<Key> = keys.collect();
            return match keys.is_empty() {
                true => Err(ClaimError::NoKeys(path.clone())),
                false => Ok(Self { keys }),
            };
        }
        let secret = match check.secret.as_deref().and_then(|s| s.split_once(':')) {
            Some(("env", name)) => std::env::var(name)
                .map_err(|_| ClaimError::Variable(name.to_owned()))?
                .into_bytes(),
            Some(("file", path)) => file(path)?.trim_ascii_end().to_vec(),
            _ => return Err(ClaimError::Reference),
        };
        Ok(Self {
            keys: vec![Key {
                id: None,
                key: DecodingKey::from_secret(&secret),
                validation: validation(vec![Algorithm::HS256]),
            }],
        })
    }

    /// The claims of a token that one of the keys signed and that counts now. A token without
    /// an end never counts.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let id = jsonwebtoken::decode_header(token).ok()?.kid;
        let may = |key: &&Key| key.id.is_none() || id.is_none() || key.id == id;
        let decoded = self.keys.iter().filter(may).find_map(|key| {
            jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &key.validation).ok()
        })?;
        let claims = decoded.claims;
        // The library passes over times that are no numbers.
        let timely = |name: &str| claims.get(name).is_none_or(Value::is_number);
        (timely("nbf") && timely("exp")).then_some(claims)
    }
}

/// What a key may have signed with; never anything with a shared secret.
fn algorithms(jwk: &Jwk) -> Option<Vec<Algorithm>> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    use jsonwebtoken::jwk::EllipticCurve;
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Some(vec![RS256, RS384, RS512, PS256, PS384, PS512]),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => Some(vec![ES256]),
            EllipticCurve::P384 => Some(vec![ES384]),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(_) => Some(vec![EdDSA]),
        AlgorithmParameters::OctetKey(_) => None,
    }
}

fn file(path: &str) -> Result<Vec<u8>, ClaimError> {
    use std::io::Read as _;
    let read = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| ClaimError::File {
        path: path.to_owned(),
        source,
    })
}

/// A guard, ready to decide.
#[derive(Debug)]
pub struct Guard {
    compiled: CompiledGuard,
    service: Option<String>,
    claims: Option<Claims>,
}

impl Guard {
    /// Checks a guard and reads what verifies its claims. What cannot be read verifies
    /// nothing: claims then name nobody, and the answer is the safe one.
    ///
    /// # Errors
    /// Everything that is wrong with the definition.
    pub fn compile(
        name: &str,
        definition: &GuardDefinition,
        set: &FlagSet,
    ) -> Result<Self, Vec<Problem>> {
        let compiled = CompiledGuard::compile(name, definition, set)?;
        let claims = definition.claims.as_ref().and_then(|check| {
            Claims::load(check)
                .inspect_err(|error| {
                    tracing::error!(guard = name, %error, "claims cannot be verified");
                })
                .ok()
        });
        Ok(Self {
            compiled,
            service: definition.service.clone(),
            claims,
        })
    }

    /// The service whose requests through the proxy it stands before.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The environment in which its flags are evaluated.
    #[must_use]
    pub fn environment(&self) -> &str {
        self.compiled.environment()
    }

    /// Decides about a request. The bearer token is read from its `Authorization` header and
    /// verified once, when a claim is asked for.
    #[must_use]
    pub fn decide<'s>(
        &'s self,
        snapshot: &Snapshot,
        request: &dyn RequestContext,
    ) -> GuardDecision<'s> {
        let verified: OnceCell<Option<Map<String, Value>>> = OnceCell::new();
        self.compiled.decide(snapshot, request, &|name| {
            let claims = verified.get_or_init(|| {
                let header = request.header("authorization")?;
                let (scheme, token) = header.trim().split_once(' ')?;
                let bearer = scheme.eq_ignore_ascii_case("bearer");
                self.claims
                    .as_ref()
                    .filter(|_| bearer)?
                    .verify(token.trim())
            });
            match claims.as_ref()?.get(name)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) if number.is_i64() || number.is_u64() => {
                    Some(number.to_string())
                }
                _ => None,
            }
        })
    }
}
