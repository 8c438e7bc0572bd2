//! Who asks, and what they may do.
//!
//! A token is `esclusa_<name>_<64 hex digits>`; only the hash of the whole text is
//! stored. Whoever can open the Unix socket owns the machine's data folder anyway and
//! needs no token. A sign-off counts only in roles that the token was given by name:
//! not even `admin` agrees in place of `security`.

use crate::clock;
use crate::error::{ApiError, ErrorKind};
use esclusa_model::{Actor, Digest};
use esclusa_store::{Revocation, Store, TokenError, TokenRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failed logins of one address within [`FAILURE_WINDOW_US`] that are answered in full.
const FAILURES_ALLOWED: u32 = 10;
/// How long failed logins of an address are remembered.
const FAILURE_WINDOW_US: i64 = 60_000_000;
/// Addresses remembered at once; the memory a flood can take is bounded by it.
const FAILURE_ADDRESSES: usize = 4_096;
/// How long a login waits for the store before it goes by what is known.
const STORE_PATIENCE: Duration = Duration::from_millis(500);
/// Most roles of one token.
const MAX_ROLES: usize = 32;
/// Longest name of a token or role.
const MAX_NAME: usize = 40;
/// Names that stand for something else where it is recorded who acted.
const RESERVED: [&str; 8] = [
    "local", "dev", "judge", "deadline", "engine", "proxy", "system", "esclusa",
];

/// What a token may do; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// See.
    Viewer,
    /// Move releases.
    Operator,
    /// Give and take tokens.
    Admin,
}

impl Access {
    fn parse(role: &str) -> Option<Self> {
        match role {
            "viewer" => Some(Self::Viewer),
            "operator" => Some(Self::Operator),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// What an endpoint asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nothing.
    Public,
    /// Some level of access.
    Needs(Access),
    /// Any token.
    AnyToken,
    /// Any token; its roles are checked against the one that is signed off.
    SignOff,
}

impl Scope {
    /// The word for it in the API's description.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Needs(Access::Viewer) => "viewer",
            Self::Needs(Access::Operator) => "operator",
            Self::Needs(Access::Admin) => "admin",
            Self::AnyToken => "token",
            Self::SignOff => "sign-off",
        }
    }
}

/// Roles in which a caller may agree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PlanRoles {
    /// The owner of the machine.
    Every,
    /// Those of the token.
    These(BTreeSet<String>),
}

/// Somebody who was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name that is recorded.
    pub actor: Actor,
    access: Option<Access>,
    plan_roles: PlanRoles,
}

impl Caller {
    /// Somebody on the machine itself, under this name.
    pub(crate) fn owner(name: &'static str) -> Result<Self, ApiError> {
        Ok(Self {
            actor: actor(name)?,
            access: Some(Access::Admin),
            plan_roles: PlanRoles::Every,
        })
    }

    fn of(record: &TokenRecord) -> Self {
        // Whoever is asked to agree must be able to see to what.
        let access = record
            .roles
            .iter()
            .map(|role| Access::parse(role).unwrap_or(Access::Viewer))
            .max();
        let roles = record
            .roles
            .iter()
            .filter(|role| Access::parse(role).is_none());
        Self {
            actor: record.name.clone(),
            access,
            plan_roles: PlanRoles::These(roles.cloned().collect()),
        }
    }

    /// Whether this caller may use an endpoint.
    ///
    /// # Errors
    /// 403, with what is missing.
    pub(crate) fn may(&self, scope: Scope) -> Result<(), ApiError> {
        match scope {
            Scope::Public | Scope::AnyToken | Scope::SignOff => Ok(()),
            Scope::Needs(needed) if self.access.is_some_and(|access| access >= needed) => Ok(()),
            Scope::Needs(_) => Err(ApiError::new(
                ErrorKind::Forbidden,
                "ESC-0403",
                format!("token {} lacks the role {}", self.actor, scope.as_str()),
                "ask an admin for a token with that role: `esclusa token create`",
            )),
        }
    }

    /// Whether this caller may agree in a role.
    ///
    /// # Errors
    /// 403 when the role is not among those of the token.
    pub(crate) fn may_sign_off(&self, role: &str) -> Result<(), ApiError> {
        match &self.plan_roles {
            PlanRoles::Every => Ok(()),
            PlanRoles::These(roles) if roles.contains(role) => Ok(()),
            PlanRoles::These(_) => Err(ApiError::new(
                ErrorKind::Forbidden,
                "ESC-0403",
                format!("token {} may not sign off as {role}", self.actor),
                "a token signs off only in roles that it was created with",
            )),
        }
    }

    /// The roles as words, for pages.
    pub(crate) fn roles(&self) -> Vec<String> {
        let access = self
            .access
            .map(|access| Scope::Needs(access).as_str().to_owned());
        let roles = match &self.plan_roles {
            PlanRoles::Every => vec!["*".to_owned()],
            PlanRoles::These(roles) => roles.iter().cloned().collect(),
        };
        access.into_iter().chain(roles).collect()
    }
}

/// A token's text. It is shown once, where it was made, and never printed by accident.
pub(crate) struct TokenText(String);

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

/// Knows tokens.
pub(crate) struct Auth {
    store: Store,
    failures: Failures,
    /// Live tokens as the store showed them last, by the hash of their text: whoever holds
    /// one must be able to abort while the store does not answer.
    known: Mutex<BTreeMap<String, TokenRecord>>,
}

impl Auth {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            failures: Failures::default(),
            known: Mutex::default(),
        }
    }

    /// A live token, from the store where it answers in time.
    async fn find(&self, hash: &Digest) -> Result<Option<TokenRecord>, ApiError> {
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

    /// The caller behind a token.
    ///
    /// # Errors
    /// 401 without a valid token, 429 once an address failed too often. A valid token is
    /// always let in: somebody else's failures must not keep anybody from an abort.
    pub(crate) async fn caller(
        &self,
        token: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Caller, ApiError> {
        let Some(token) = token else {
            return Err(unauthorized("no token was sent"));
        };
        if let Some(name) = token_name(token) {
            let hash = Digest::of(token.as_bytes());
            if let Some(record) = self.find(&hash).await?
                && record.name.as_str() == name
            {
                return Ok(Caller::of(&record));
            }
        }
        if self.failures.record(from, clock::now().0) {
            return Err(unauthorized("the token is not valid"));
        }
        Err(ApiError::new(
            ErrorKind::TooMany,
            "ESC-0412",
            "too many logins with a wrong token from this address",
            "wait a minute; look for a program that uses a revoked token",
        ))
    }

    /// Makes and stores a token.
    ///
    /// # Errors
    /// When a name or role breaks its rule, or a live token has the name.
    pub(crate) async fn create(&self, name: &str, roles: &[String]) -> Result<TokenText, ApiError> {
        check_name("token", name)?;
        if RESERVED.contains(&name) {
            return Err(bad_token(format!("the name {name} is reserved")));
        }
        if roles.is_empty() || roles.len() > MAX_ROLES {
            return Err(bad_token(format!("a token has 1 to {MAX_ROLES} roles")));
        }
        for role in roles {
            check_name("role", role)?;
        }
        let unique: BTreeSet<String> = roles.iter().cloned().collect();
        let roles: Vec<String> = unique.into_iter().collect();
        let text = format!("esclusa_{name}_{}", clock::new_secret());
        let hash = Digest::of(text.as_bytes());
        match self
            .store
            .put_token(&actor(name)?, &roles, &hash, clock::now())
            .await
        {
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
        if !tokens.is_empty() {
            let live = tokens.into_iter().filter(|token| token.revoked.is_none());
            let live = live.map(|token| (token.hash.hex(), token));
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = live.collect();
            return Ok(None);
        }
        self.create("admin", &["admin".to_owned()]).await.map(Some)
    }

    /// All tokens, without their secrets.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn list(&self) -> Result<Vec<TokenRecord>, ApiError> {
        Ok(self.store.tokens().await?)
    }

    /// Makes a token worthless.
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
            Revocation::Revoked | Revocation::AlreadyRevoked => Ok(()),
            Revocation::Unknown => Err(unknown()),
        }
    }
}

/// The name within a token, when it has a token's form.
fn token_name(token: &str) -> Option<&str> {
    let (name, secret) = token.strip_prefix("esclusa_")?.rsplit_once('_')?;
    let well_formed = secret.len() == 64
        && secret
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (well_formed && !name.is_empty()).then_some(name)
}

fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(fits) {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    Err(bad_token(format!("{shown:?} is no name for a {what}")))
}

fn bad_token(message: String) -> ApiError {
    ApiError::new(
        ErrorKind::BadInput,
        "ESC-0416",
        message,
        format!("use 1 to {MAX_NAME} of a-z, 0-9, dot and dash, such as ci-deploy or tech-lead"),
    )
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::new(
        ErrorKind::Unauthorized,
        "ESC-0401",
        message,
        "set ESCLUSA_TOKEN, or use the Unix socket on the machine itself",
    )
}

fn actor(name: &str) -> Result<Actor, ApiError> {
    Actor::new(name).map_err(|error| bad_token(error.to_string()))
}

/// Failed logins by address.
#[derive(Default)]
struct Failures(Mutex<BTreeMap<Option<IpAddr>, (u32, i64)>>);

impl Failures {
    /// Counts a failure; false once the address has failed too often in this window.
    fn record(&self, from: Option<IpAddr>, now_us: i64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= FAILURE_ADDRESSES {
            known.retain(|_, (_, since)| now_us - *since < FAILURE_WINDOW_US);
        }
        if known.len() >= FAILURE_ADDRESSES && !known.contains_key(&from) {
            return false;
        }
        let entry = known.entry(from).or_insert((0, now_us));
        if now_us - entry.1 >= FAILURE_WINDOW_US {
            *entry = (0, now_us);
        }
        entry.0 = entry.0.saturating_add(1);
        entry.0 <= FAILURES_ALLOWED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::Timestamp;

    async fn auth() -> (Auth, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
        (Auth::new(store), dir)
    }

    fn roles(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    // SEC-15
    #[tokio::test]
    async fn a_token_has_its_roles_and_the_levels_below() {
        let (auth, _dir) = auth().await;
        let text = auth
            .create("ci", &roles(&["operator", "security"]))
            .await
            .expect("made");
        let caller = auth.caller(Some(text.reveal()), None).await.expect("known");
        assert_eq!(caller.actor.as_str(), "ci");
        assert!(caller.may(Scope::Needs(Access::Viewer)).is_ok());
        assert!(caller.may(Scope::Needs(Access::Operator)).is_ok());
        let refused = caller
            .may(Scope::Needs(Access::Admin))
            .expect_err("too small");
        assert_eq!(
            (refused.kind, refused.code.as_str()),
            (ErrorKind::Forbidden, "ESC-0403")
        );
        assert!(caller.may_sign_off("security").is_ok());
        assert!(caller.may_sign_off("tech-lead").is_err());
    }

    // SEC-15
    #[tokio::test]
    async fn who_signs_off_sees_what_and_moves_nothing() {
        let (auth, _dir) = auth().await;
        let text = auth
            .create("lead", &roles(&["tech-lead"]))
            .await
            .expect("made");
        let caller = auth.caller(Some(text.reveal()), None).await.expect("known");
        assert!(caller.may(Scope::Needs(Access::Viewer)).is_ok());
        assert!(caller.may(Scope::Needs(Access::Operator)).is_err());
        assert!(caller.may_sign_off("tech-lead").is_ok());
    }

    #[tokio::test]
    async fn an_admin_does_not_agree_in_place_of_others() {
        let (auth, _dir) = auth().await;
        let text = auth.first().await.expect("stored").expect("the first");
        let caller = auth.caller(Some(text.reveal()), None).await.expect("known");
        assert!(caller.may(Scope::Needs(Access::Admin)).is_ok());
        assert!(caller.may_sign_off("security").is_err());
        assert!(auth.first().await.expect("stored").is_none(), "only once");
    }

    #[tokio::test]
    async fn only_the_whole_text_of_a_live_token_is_let_in() {
        let (auth, _dir) = auth().await;
        let text = auth.create("ci", &roles(&["viewer"])).await.expect("made");
        let secret = text.reveal().to_owned();
        let flipped = if secret.ends_with('0') { '1' } else { '0' };
        let changed = format!("{}{flipped}", &secret[..secret.len() - 1]);
        let renamed = secret.replace("_ci_", "_other_");
        for wrong in [
            "",
            "esclusa_ci_",
            &changed,
            &renamed,
            &secret.to_uppercase(),
        ] {
            let refused = auth
                .caller(Some(wrong), None)
                .await
                .expect_err("not let in");
            assert_eq!(refused.kind, ErrorKind::Unauthorized, "{wrong}");
        }
        auth.revoke("ci").await.expect("revoked");
        assert!(auth.caller(Some(&secret), None).await.is_err());
        assert!(auth.revoke("nobody").await.is_err());
    }

    #[tokio::test]
    async fn names_and_roles_follow_their_rule() {
        let (auth, _dir) = auth().await;
        for (name, role) in [
            ("a_b", "viewer"),
            ("local", "viewer"),
            ("a", "x y"),
            ("", "viewer"),
        ] {
            let refused = auth
                .create(name, &roles(&[role]))
                .await
                .expect_err("refused");
            assert_eq!(refused.kind, ErrorKind::BadInput, "{name} {role}");
        }
        assert!(auth.create("a", &[]).await.is_err());
        auth.create("a", &roles(&["viewer"])).await.expect("made");
        let taken = auth
            .create("a", &roles(&["viewer"]))
            .await
            .expect_err("taken");
        assert_eq!(taken.kind, ErrorKind::Conflict);
    }

    #[test]
    fn failures_are_counted_by_address_and_forgotten() {
        let failures = Failures::default();
        let address: IpAddr = [10, 0, 0, 1].into();
        for _ in 0..FAILURES_ALLOWED {
            assert!(failures.record(Some(address), 1));
        }
        assert!(!failures.record(Some(address), 2));
        assert!(
            failures.record(Some([10, 0, 0, 2].into()), 2),
            "another address"
        );
        assert!(
            failures.record(Some(address), 1 + FAILURE_WINDOW_US),
            "later"
        );
        assert!(format!("{:?}", TokenText("esclusa_a_b".into())).contains("hidden"));
    }

    /// A good token is let in whatever others did from the same address.
    #[tokio::test]
    async fn a_good_token_is_never_locked_out() {
        let (auth, _dir) = auth().await;
        let text = auth
            .create("ci", &roles(&["operator"]))
            .await
            .expect("made");
        let from = Some([192, 0, 2, 1].into());
        let mut last = None;
        for _ in 0..=FAILURES_ALLOWED {
            last = auth.caller(Some("wrong"), from).await.err();
        }
        assert_eq!(last.map(|error| error.kind), Some(ErrorKind::TooMany));
        assert!(auth.caller(Some(text.reveal()), from).await.is_ok());
    }
}
