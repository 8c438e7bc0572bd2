//! Who a browser is, told by a cookie that the server signed.
//!
//! A session holds no right of its own: it names a token by its hash, and is worth what
//! that token is worth at the moment it is shown. It needs no place in the store, so a
//! server that begins again knows it. One that somebody ended is spent.

use super::keys::{Keys, Purpose};
use crate::clock;
use esclusa_model::{Digest, Timestamp};

/// The cookie's name.
pub(crate) const COOKIE: &str = "esclusa_session";
/// How long a session lasts: a working day.
pub(crate) const LASTS_S: i64 = 12 * 3_600;
/// The form of a session's text.
const FORM: &str = "1";

/// Somebody's session.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The hash of the token that it stands for.
    pub token: Digest,
    /// From when on it is over.
    pub until: Timestamp,
    /// What tells it from all others.
    nonce: String,
    /// The cookie's value, signed.
    text: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A new one for a token.
    pub(crate) fn begin(keys: &Keys, token: &Digest, now: Timestamp) -> Self {
        let until = Timestamp(now.0.saturating_add(LASTS_S * 1_000_000));
        let nonce: String = clock::new_secret().chars().take(32).collect();
        let said = format!("{FORM}.{}.{}.{}.{nonce}", token.hex(), now.0, until.0);
        let mark = keys.sign(Purpose::Session, &said);
        Self {
            token: *token,
            until,
            nonce,
            text: format!("{said}.{mark}"),
        }
    }

    /// The session that a cookie's value is; none for one that we did not sign or that is
    /// over.
    pub(crate) fn read(keys: &Keys, text: &str, now: Timestamp) -> Option<Self> {
        let (said, mark) = text.rsplit_once('.')?;
        if !keys.is_signed(Purpose::Session, said, mark) {
            return None;
        }
        let mut parts = said.split('.');
        let (form, token) = (parts.next()?, parts.next()?);
        let (_begun, until): (i64, i64) =
            (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let nonce = parts.next()?.to_owned();
        if form != FORM || parts.next().is_some() || until <= now.0 {
            return None;
        }
        Some(Self {
            token: format!("sha256:{token}").parse().ok()?,
            until: Timestamp(until),
            nonce,
            text: text.to_owned(),
        })
    }

    /// What the page sends along with everything that is more than looking. Another page
    /// cannot read it.
    pub(crate) fn csrf(&self, keys: &Keys) -> String {
        keys.sign(Purpose::Csrf, &self.text)
    }

    /// Whether this was sent along.
    pub(crate) fn has_sent(&self, keys: &Keys, csrf: &str) -> bool {
        keys.is_signed(Purpose::Csrf, &self.text, csrf)
    }

    /// Under which name it is spent once somebody ended it.
    pub(super) fn id(&self) -> String {
        format!("session/{}", self.nonce)
    }

    /// The header that gives it to a browser.
    pub(crate) fn cookie(&self, https: bool) -> String {
        cookie(&self.text, LASTS_S, https)
    }
}

/// The header that takes a session from a browser.
pub(crate) fn no_cookie(https: bool) -> String {
    cookie("", 0, https)
}

fn cookie(value: &str, max_age_s: i64, https: bool) -> String {
    let secure = if https { "; Secure" } else { "" };
    format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age_s}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_store::Store;

    // SEC-15
    #[tokio::test]
    async fn a_session_is_what_was_signed_until_it_is_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
        let keys = Keys::of(&store).await.expect("made");
        let (token, now) = (Digest::of(b"a token"), Timestamp(1_000));
        let session = Session::begin(&keys, &token, now);
        let read = |text: &str, at| Session::read(&keys, text, at);
        assert_eq!(read(&session.text, now), Some(session.clone()));
        let other = Session::begin(&keys, &token, now);
        assert_ne!(session.text, other.text);
        let last = Timestamp(session.until.0 - 1);
        assert!(read(&session.text, last).is_some());
        assert!(read(&session.text, session.until).is_none(), "over");
        let later = session.text.replacen(".1000.", ".1001.", 1);
        let longer = session
            .text
            .replace(&session.until.0.to_string(), "99999999999999");
        for forged in ["", ".", "1.2.3.4.5.6", &later, &longer, &session.text[1..]] {
            assert!(read(forged, now).is_none(), "{forged}");
        }
        let csrf = session.csrf(&keys);
        assert!(session.has_sent(&keys, &csrf));
        assert!(!other.has_sent(&keys, &csrf), "bound to its session");
        assert!(!session.has_sent(&keys, ""));
        let cookie = session.cookie(true);
        assert!(cookie.starts_with("esclusa_session=1."));
        assert!(
            cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200; Secure"),
            "{cookie}"
        );
        assert!(!session.cookie(false).contains("Secure"));
        assert!(!format!("{session:?}").contains(&session.nonce));
    }
}
