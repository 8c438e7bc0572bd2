//! A guard with what verifies its claims.

use crate::tester;
use arc_swap::ArcSwapOption;
use esclusa_flags::{ClaimCheck, GuardDefinition, GuardRequest, Guarded, Problem, Units};
use esclusa_wire::TesterKey;
use http::HeaderMap;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

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
    compiled: esclusa_flags::Guard,
    service: Option<String>,
    check: Option<ClaimCheck>,
    claims: ArcSwapOption<Claims>,
    /// Why there are no claims, if there are none.
    trouble: ArcSwapOption<String>,
    testers: Option<TesterKey>,
}

impl Guard {
    /// Compiles a guard of a checked set and reads what verifies its claims. What cannot be
    /// read verifies nothing: claims then name nobody, and the answer is the safe one.
    ///
    /// # Errors
    /// Everything that is wrong with the definition.
    pub fn compile(name: &str, definition: &GuardDefinition) -> Result<Self, Vec<Problem>> {
        let guard = Self {
            compiled: esclusa_flags::Guard::compile(name, definition)?,
            service: definition.service.clone(),
            check: definition.claims.clone(),
            claims: ArcSwapOption::empty(),
            trouble: ArcSwapOption::empty(),
            testers: None,
        };
        guard.read_keys();
        Ok(guard)
    }

    /// Heeds tokens of testers that this key signed.
    pub(crate) fn heed_testers(&mut self, key: Option<&TesterKey>) {
        self.testers = key.cloned();
    }

    /// Reads what verifies claims as it is now, so that a key can be changed without a new
    /// document. Blocks on files.
    pub fn read_keys(&self) {
        let Some(check) = &self.check else { return };
        let read = Claims::load(check).inspect_err(|error| {
            tracing::error!(guard = self.name(), %error, "claims cannot be verified");
        });
        let why = read.as_ref().err().map(|error| Arc::new(error.to_string()));
        self.trouble.store(why);
        self.claims.store(read.ok().map(Arc::new));
    }

    /// Why claims cannot be verified now, if they are to be and cannot.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Whether it verifies claims.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.check.is_some()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.compiled.name()
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

    /// The first route that a request fits.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Option<Guarded<'_>> {
        self.compiled.find(method, path)
    }

    /// Whose a request is. `headers` gives a header that is there once; the bearer token is
    /// verified once, when a claim is asked for.
    pub fn units(&self, headers: &HeaderMap, host: &str, path: &str) -> Units<'static> {
        let seen = Seen {
            headers,
            host,
            path,
            keys: self.claims.load(),
            claims: OnceCell::new(),
        };
        let units = self.compiled.units(&seen);
        let owned = |unit: Option<Cow<'_, str>>| unit.map(|unit| Cow::Owned(unit.into_owned()));
        Units {
            tenant: owned(units.tenant),
            user: owned(units.user),
            lacks_tenant: units.lacks_tenant,
            grants: tester::of_request(self.testers.as_ref(), headers, self.environment()),
        }
    }
}

/// A request as a guard's sources ask about it.
struct Seen<'r> {
    headers: &'r HeaderMap,
    host: &'r str,
    path: &'r str,
    keys: arc_swap::Guard<Option<Arc<Claims>>>,
    claims: OnceCell<Option<Map<String, Value>>>,
}

impl GuardRequest for Seen<'_> {
    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        single(self.headers, name).map(Cow::Borrowed)
    }

    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        let claims = self.claims.get_or_init(|| {
            let line = single(self.headers, "authorization")?;
            let (scheme, token) = line.trim().split_once(' ')?;
            let bearer = scheme.eq_ignore_ascii_case("bearer");
            let keys = self.keys.as_ref().filter(|_| bearer)?;
            keys.verify(token.trim())
        });
        match claims.as_ref()?.get(name)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) if number.is_i64() || number.is_u64() => {
                Some(Cow::Owned(number.to_string()))
            }
            _ => None,
        }
    }
}

/// A header that is there once: of two that differ nobody knows which one the application
/// reads.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
