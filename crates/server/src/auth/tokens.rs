//! Tokens: their text, their rules, and the live ones.

use super::roles::Caller;
use super::{Auth, STORE_PATIENCE};
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use esclusa_model::{Actor, Digest, Millis, Timestamp};
use esclusa_store::{FlagGrant, NewToken, Revocation, TokenError, TokenRecord};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::PoisonError;

/// Most roles of one token.
const MAX_ROLES: usize = 32;
/// Longest name of a token, role or person.
const MAX_NAME: usize = 40;
/// Longest name of whom a link is for.
const MAX_LABEL: usize = 64;
/// Longest life of a token that has an end: ten years.
const MAX_LIFE_MS: u64 = 10 * 366 * 86_400_000;
/// Names that stand for something else where it is recorded who acted.
const RESERVED: [&str; 9] = [
    "local",
    "dev",
    "judge",
    "deadline",
    "engine",
    "proxy",
    "system",
    "esclusa",
    "environment",
];
/// How the names of those begin who act by a link.
pub(crate) const LINK_PREFIX: &str = "link.";
/// How long a use is remembered before it is written down.
const NOTE_EVERY_US: i64 = 60_000_000;

/// A token's text. It is shown once, where it was made, and never printed by accident.
pub(crate) struct TokenText(pub(super) String);

impl TokenText {
    /// The text itself, for the one answer that shows it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(hidden)")
    }
}

/// A token that is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenAsk {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub roles: Vec<String>,
    /// Whose it is.
    pub person: Option<String>,
    /// How long it is good.
    pub lasts: Option<Millis>,
    /// What it may ask for, when it is a token of flags.
    pub flags: Option<FlagGrant>,
}

impl Auth {
    /// A live token, from the store where it answers in time.
    pub(super) async fn find(&self, hash: &Digest) -> Result<Option<TokenRecord>, ApiError> {
        let found = tokio::time::timeout(STORE_PATIENCE, self.store.find_token(hash)).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(Ok(found)) => {
                match &found {
                    Some(record) => known.insert(hash.hex(), record.clone()),
                    None => known.remove(&hash.hex()),
                };
                Ok(found)
            }
            unanswered => match (known.get(&hash.hex()).cloned(), unanswered) {
                (Some(record), _) => Ok(Some(record)),
                (None, Ok(Err(error))) => Err(error.into()),
                (None, _) => Err(ApiError::new(
                    ErrorKind::Unavailable,
                    "ESC-0902",
                    "the store does not answer, so the token cannot be looked up",
                    "look at the disk of the data folder; on this machine, the socket in it \
                     needs no token",
                )),
            },
        }
    }

    /// The caller behind a token's hash, if that is good now.
    pub(super) async fn holder(
        &self,
        hash: &Digest,
    ) -> Result<Option<(TokenRecord, Caller)>, ApiError> {
        let now = clock::now();
        let record = self.find(hash).await?;
        // A token of flags opens nothing here.
        let good = record.filter(|record| {
            record.flags.is_none() && record.expires.is_none_or(|expires| now < expires)
        });
        Ok(good.map(|record| {
            self.note_use(hash, now);
            let caller = Caller::of(&record);
            (record, caller)
        }))
    }

    /// Remembers a use, and once in a while has the store write down what is remembered.
    /// Nobody waits for that.
    fn note_use(&self, hash: &Digest, now: Timestamp) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.last.insert(hash.hex(), now);
        if now.0 - uses.written.0 < NOTE_EVERY_US {
            return;
        }
        uses.written = now;
        let all: Vec<(Digest, Timestamp)> = uses
            .last
            .iter()
            .filter_map(|(hash, at)| Some((format!("sha256:{hash}").parse().ok()?, *at)))
            .collect();
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.note_token_uses(&all).await {
                tracing::debug!(%error, "When tokens were used last is not written down");
            }
        });
    }

    /// Makes and stores a token.
    ///
    /// # Errors
    /// When a name or role breaks its rule, or a live token has the name.
    pub(crate) async fn create(&self, ask: &TokenAsk) -> Result<TokenText, ApiError> {
        let (name, roles) = (ask.name.as_str(), &ask.roles);
        check_name("token", name)?;
        if RESERVED.contains(&name) || name.starts_with(LINK_PREFIX) {
            return Err(bad_token(format!("the name {name} is reserved")));
        }
        if ask.flags.is_some() {
            if !roles.is_empty() || ask.person.is_some() {
                let message = "a token of flags asks for flags alone: it has no role or person";
                return Err(bad_token(message.into()));
            }
        } else if roles.is_empty() || roles.len() > MAX_ROLES {
            return Err(bad_token(format!("a token has 1 to {MAX_ROLES} roles")));
        }
        for role in roles {
            check_name("role", role)?;
        }
        if let Some(person) = &ask.person {
            check_name("person", person)?;
        }
        let now = clock::now();
        let expires = match ask.lasts {
            Some(Millis(lasts)) if !(1..=MAX_LIFE_MS).contains(&lasts) => {
                return Err(bad_token(
                    "a token that expires lasts at most ten years".into(),
                ));
            }
            lasts => lasts.map(|lasts| now.plus(lasts)),
        };
        let unique: BTreeSet<String> = roles.iter().cloned().collect();
        let roles: Vec<String> = unique.into_iter().collect();
        let text = format!("esclusa_{name}_{}", clock::new_secret());
        let new = NewToken {
            name: &actor(name)?,
            roles: &roles,
            hash: &Digest::of(text.as_bytes()),
            person: ask.person.as_deref(),
            expires,
            flags: ask.flags.as_ref(),
        };
        match self.store.put_token(&new, now).await {
            Ok(()) => Ok(TokenText(text)),
            Err(TokenError::NameTaken(name)) => Err(ApiError::new(
                ErrorKind::Conflict,
                "ESC-0410",
                format!("a token named {name} exists"),
                "choose another name, or revoke that one first",
            )),
            Err(TokenError::Store(error)) => Err(error.into()),
        }
    }

    /// The first token of a new data folder; none when there are tokens already.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn first(&self) -> Result<Option<TokenText>, ApiError> {
        let tokens = self.store.tokens().await?;
        if tokens.iter().any(|token| token.flags.is_none()) {
            let live = tokens.into_iter().filter(|token| token.revoked.is_none());
            let live = live.map(|token| (token.hash.hex(), token));
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = live.collect();
            return Ok(None);
        }
        let ask = TokenAsk {
            name: "admin".into(),
            roles: vec!["admin".into()],
            ..TokenAsk::default()
        };
        self.create(&ask).await.map(Some)
    }

    /// All tokens, without their secrets.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn list(&self) -> Result<Vec<TokenRecord>, ApiError> {
        let mut tokens = self.store.tokens().await?;
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for token in &mut tokens {
            token.used = token.used.max(uses.last.get(&token.hash.hex()).copied());
        }
        Ok(tokens)
    }

    /// Makes a token worthless, and every session that stands for it.
    ///
    /// # Errors
    /// When nobody has the name.
    pub(crate) async fn revoke(&self, name: &str) -> Result<(), ApiError> {
        let unknown = || {
            ApiError::new(
                ErrorKind::NotFound,
                "ESC-0411",
                format!("no token is named {name}"),
                "see `esclusa token list`",
            )
        };
        let actor = Actor::new(name).map_err(|_| unknown())?;
        match self.store.revoke_token(&actor, clock::now()).await? {
            Revocation::Revoked | Revocation::AlreadyRevoked => {
                // Also while the store does not answer.
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.retain(|_, record| record.name != actor);
                Ok(())
            }
            Revocation::Unknown => Err(unknown()),
        }
    }

    /// The person behind a live token's name, as far as that is known.
    pub(crate) fn person_of(&self, name: &str) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = known.values().filter(|record| record.name.as_str() == name);
        found.next().and_then(|record| record.person.clone())
    }
}

/// The name within a token, when it has a token's form.
pub(super) fn token_name(token: &str) -> Option<&str> {
    let (name, secret) = token.strip_prefix("esclusa_")?.rsplit_once('_')?;
    let well_formed = secret.len() == 64
        && secret
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (well_formed && !name.is_empty()).then_some(name)
}

/// Whether this can be the name of a token, role or person.
///
/// # Errors
/// 400 with the rule.
fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(fits) {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    Err(bad_token(format!("{shown:?} is no name for a {what}")))
}

/// Whether this can say whom a link is for.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn check_label(label: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._+@-".contains(c);
    if (1..=MAX_LABEL).contains(&label.len()) && label.chars().all(fits) {
        return Ok(());
    }
    Err(format!(
        "whom a link is for is said in 1 to {MAX_LABEL} of A-Z, a-z, 0-9 and . _ + @ -"
    ))
}

fn bad_token(message: String) -> ApiError {
    ApiError::new(
        ErrorKind::BadInput,
        "ESC-0416",
        message,
        format!("use 1 to {MAX_NAME} of a-z, 0-9, dot and dash, such as ci-deploy or tech-lead"),
    )
}

/// A name as it is recorded.
pub(crate) fn actor(name: &str) -> Result<Actor, ApiError> {
    Actor::new(name).map_err(|error| bad_token(error.to_string()))
}
