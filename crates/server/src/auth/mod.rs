//! Who asks, and what they may do.
//!
//! A token is `esclusa_<name>_<64 hex digits>`; only the hash of the whole text is
//! stored. Whoever can open the Unix socket owns the machine's data folder anyway and
//! needs no token. A browser shows a token once and then a session that stands for it. A
//! sign-off counts only in roles that the token was given by name: not even `admin` agrees
//! in place of `security`.

mod failures;
mod keys;
mod rate;
mod roles;
mod sessions;
mod spent;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use keys::{Keys, Purpose};
pub(crate) use rate::{Rate, Who};
pub(crate) use roles::{Access, Caller, Scope};
pub(crate) use sessions::{COOKIE, Session, no_cookie};
pub(crate) use spent::Spent;
pub(crate) use tokens::{LINK_PREFIX, TokenAsk, actor, check_label};

use crate::clock;
use crate::error::{ApiError, ErrorKind};
use esclusa_model::{Digest, Timestamp};
use esclusa_store::{Store, TokenRecord};
use failures::Failures;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a login waits for the store before it goes by what is known.
const STORE_PATIENCE: Duration = Duration::from_millis(500);

/// When tokens were used last.
#[derive(Default)]
struct Uses {
    last: BTreeMap<String, Timestamp>,
    /// When that was written down last.
    written: Timestamp,
}

/// Knows tokens and sessions.
pub(crate) struct Auth {
    store: Store,
    keys: Keys,
    spent: Arc<Spent>,
    failures: Failures,
    /// How often everybody asks.
    pub rate: Rate,
    /// Live tokens as the store showed them last, by the hash of their text: whoever holds
    /// one must be able to abort while the store does not answer.
    known: Mutex<BTreeMap<String, TokenRecord>>,
    uses: Mutex<Uses>,
}

impl Auth {
    pub(crate) fn new(store: Store, keys: Keys, spent: Arc<Spent>) -> Self {
        Self {
            store,
            keys,
            spent,
            failures: Failures::default(),
            rate: Rate::default(),
            known: Mutex::default(),
            uses: Mutex::default(),
        }
    }

    /// The caller behind a token.
    ///
    /// # Errors
    /// 401 without a valid token, 429 once an address failed too often. A valid token is
    /// always let in: somebody else's failures must not keep anybody from an abort.
    pub(crate) async fn caller(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<Caller, ApiError> {
        self.known_token(token, from)
            .await
            .map(|(_, caller)| caller)
    }

    async fn known_token(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<(Digest, Caller), ApiError> {
        if let Some(name) = tokens::token_name(token) {
            let hash = Digest::of(token.as_bytes());
            if let Some((record, caller)) = self.holder(&hash).await?
                && record.name.as_str() == name
            {
                return Ok((hash, caller));
            }
        }
        self.failed(from)?;
        let hash = Digest::of(token.as_bytes());
        match self.find(&hash).await {
            Ok(Some(record)) if record.flags.is_some() => Err(of_flags(record.name.as_str())),
            Ok(_) | Err(_) => Err(unauthorized("the token is not valid")),
        }
    }

    /// Counts that somebody showed what they should not have.
    ///
    /// # Errors
    /// 429 once the address did so too often.
    pub(crate) fn failed(&self, from: Option<IpAddr>) -> Result<(), ApiError> {
        if self.failures.record(from, clock::now().0) {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorKind::TooMany,
            "ESC-0412",
            "too many logins with a wrong token from this address",
            "wait a minute; look for a program that uses a revoked token",
        ))
    }

    /// A session for whoever shows a token.
    ///
    /// # Errors
    /// As [`Self::caller`].
    pub(crate) async fn login(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<(Caller, Session), ApiError> {
        let (hash, caller) = self.known_token(token, from).await?;
        let session = Session::begin(&self.keys, &hash, clock::now());
        tracing::info!(actor = %caller.actor, from = ?from, "Somebody logged in");
        Ok((caller, session))
    }

    /// The caller behind a session's text.
    ///
    /// # Errors
    /// 401 when it is none of ours, is over or was ended, or when its token is not good any
    /// more.
    pub(crate) async fn by_session(&self, text: &str) -> Result<(Caller, Session), ApiError> {
        let over = || unauthorized("the session is over");
        let session = Session::read(&self.keys, text, clock::now()).ok_or_else(over)?;
        if self.spent.is(&session.id()) {
            return Err(over());
        }
        let (_, caller) = self.holder(&session.token).await?.ok_or_else(over)?;
        Ok((caller, session))
    }

    /// Ends a session for good.
    pub(crate) fn logout(&self, caller: &Caller, session: &Session) {
        self.spent.at_once(&session.id(), session.until);
        tracing::info!(actor = %caller.actor, "Somebody logged out");
    }

    /// What a session's page sends along.
    pub(crate) fn csrf(&self, session: &Session) -> String {
        session.csrf(&self.keys)
    }

    /// Whether a session's page sent this along.
    pub(crate) fn has_sent(&self, session: &Session, csrf: &str) -> bool {
        session.has_sent(&self.keys, csrf)
    }
}

/// Nobody is known who asked.
/// A token of flags opens nothing here, and says so: whoever shows it has it.
fn of_flags(name: &str) -> ApiError {
    ApiError::new(
        ErrorKind::Unauthorized,
        "ESC-0401",
        format!("the token {name} asks a proxy for flags and opens nothing here"),
        "set ESCLUSA_TOKEN to a token with a role: `esclusa token create NAME --role viewer`",
    )
}

pub(crate) fn unauthorized(message: &str) -> ApiError {
    ApiError::new(
        ErrorKind::Unauthorized,
        "ESC-0401",
        message,
        "log in on the page, set ESCLUSA_TOKEN, or use the Unix socket on the machine itself",
    )
}
