//! Links that let whoever holds one decide once: approve, or abort.
//!
//! A link says itself what it is for, in whose name it acts and until when, and is signed
//! by the server. Nothing is stored until it is used. It never acts when it is looked at,
//! because programs that read mail follow links; it acts when its page is sent back.
//! Deliberately absent: a link that does more than one of these two things.

mod act;
mod front;
mod page;

pub(crate) use act::Came;
pub(crate) use front::Front;
pub(crate) use page::{Told, ask_page, items_of, link_words, policy, told_page};

use crate::app::Shared;
use crate::auth::{Caller, Keys, LINK_PREFIX, Purpose, actor, check_label};
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use crate::notify::{Act, LinkMaker};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use esclusa_model::{Actor, Millis, ReleaseId, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use utoipa::ToSchema;

/// How long a link is good unless somebody says.
pub(crate) const USUAL: Millis = Millis(24 * 3_600_000);
/// How long a link may be good.
pub(crate) const LONGEST: Millis = Millis(7 * 24 * 3_600_000);
/// The form of a link's text.
const FORM: u32 = 1;
/// Longest text of a link that is looked at.
const MAX_TEXT: usize = 4_096;

/// What a link lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkAction {
    /// Sign off in the link's role; without a role, let a release that waits go on.
    Approve,
    /// Return everything that the release changed.
    Abort,
}

/// A link that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct LinkAsk {
    /// For which release.
    pub release: ReleaseId,
    /// What it lets do.
    pub action: LinkAction,
    /// In which role it signs off.
    pub role: Option<String>,
    /// Whom it is for; who acts by it is recorded under `link.` and this.
    pub label: String,
    /// Who gives it.
    pub by: String,
    /// Everybody who has a hand in it, by name.
    pub hands: Vec<String>,
    /// How long it is good.
    pub lasts: Millis,
}

/// A link that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    /// The path, which is the secret.
    pub path: String,
    /// From when on it is worthless.
    pub expires: Timestamp,
}

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    v: u32,
    /// For which release.
    pub release: ReleaseId,
    /// What it lets do.
    pub action: LinkAction,
    /// In which role it signs off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whom it is for.
    pub label: String,
    /// Who gave it.
    pub by: String,
    /// Everybody who has a hand in it, by name.
    pub hands: Vec<String>,
    /// From when on it is worthless.
    pub expires: Timestamp,
    nonce: String,
}

impl Link {
    /// Who is recorded when it is used.
    ///
    /// # Errors
    /// Never for a link that was given.
    pub(crate) fn actor(&self) -> Result<Actor, ApiError> {
        actor(&format!("{LINK_PREFIX}{}", self.label))
    }

    fn id(&self) -> String {
        format!("link/{}", self.nonce)
    }
}

/// Why a link is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is none of ours, or a part of it is missing.
    Forged,
    /// Its time is over.
    Expired,
    /// Somebody used it.
    Used,
}

/// Gives and reads links.
pub(crate) struct Links {
    keys: Keys,
    /// What stands in front of a link's path, once it is known.
    front: OnceLock<Front>,
}

impl Links {
    pub(crate) fn new(keys: Keys) -> Self {
        Self {
            keys,
            front: OnceLock::new(),
        }
    }

    /// Says where browsers reach this server; only the first word counts.
    pub(crate) fn stand_behind(&self, front: Front) {
        self.front.get_or_init(|| front);
    }

    /// Where browsers reach this server, as far as that is known.
    pub(crate) fn front(&self) -> Option<&Front> {
        self.front.get()
    }

    /// A link. Whether its action makes sense now is looked at when it is used.
    ///
    /// # Errors
    /// ESC-0436 when its time or its label breaks its rule, or when a role is named for an
    /// abort.
    pub(crate) fn issue(&self, ask: &LinkAsk, now: Timestamp) -> Result<Issued, ApiError> {
        check_label(&ask.label).map_err(bad_link)?;
        if !(Millis(1_000)..=LONGEST).contains(&ask.lasts) {
            return Err(bad_link(
                "a link is good for at least a second and at most seven days".into(),
            ));
        }
        if ask.action == LinkAction::Abort && ask.role.is_some() {
            return Err(bad_link("a link that aborts has no role".into()));
        }
        let link = Link {
            v: FORM,
            release: ask.release.clone(),
            action: ask.action,
            role: ask.role.clone(),
            label: ask.label.clone(),
            by: ask.by.clone(),
            hands: ask.hands.clone(),
            expires: now.plus(ask.lasts),
            nonce: clock::new_secret().chars().take(32).collect(),
        };
        let said = serde_json::to_vec(&link).map_err(|error| bad_link(error.to_string()))?;
        let said = URL_SAFE_NO_PAD.encode(said);
        let mark = self.keys.sign(Purpose::Link, &said);
        Ok(Issued {
            path: format!("/l/{said}.{mark}"),
            expires: link.expires,
        })
    }

    /// What a link's text says.
    ///
    /// # Errors
    /// [`Fault`] for one that is not ours or whose time is over.
    pub(crate) fn read(&self, text: &str, now: Timestamp) -> Result<Link, Fault> {
        let (said, mark) = text
            .split_once('.')
            .filter(|_| text.len() <= MAX_TEXT)
            .ok_or(Fault::Forged)?;
        if !self.keys.is_signed(Purpose::Link, said, mark) {
            return Err(Fault::Forged);
        }
        let said = URL_SAFE_NO_PAD.decode(said).map_err(|_| Fault::Forged)?;
        let link: Link = serde_json::from_slice(&said).map_err(|_| Fault::Forged)?;
        if link.v != FORM {
            return Err(Fault::Forged);
        }
        if link.expires <= now {
            return Err(Fault::Expired);
        }
        Ok(link)
    }

    /// A path with what stands in front of it; none while nobody said where browsers reach
    /// this server and it is not this machine alone.
    pub(crate) fn url(&self, path: &str) -> Option<String> {
        self.front()?.url(path)
    }
}

impl LinkMaker for Shared {
    fn front(&self) -> Option<String> {
        self.links.front()?.said_url("")
    }

    fn path(&self, release: &str, act: &Act, channel: &str) -> Option<String> {
        let (action, role) = match act {
            Act::Look => return None,
            // The pause without a role is called by no name.
            Act::Approve(role) => (LinkAction::Approve, Some(role.clone())),
            Act::Abort => (LinkAction::Abort, None),
        };
        let ask = LinkAsk {
            release: ReleaseId::new(release).ok()?,
            action,
            role,
            label: channel.to_owned(),
            by: "esclusa".to_owned(),
            hands: vec![channel.to_owned()],
            lasts: USUAL,
        };
        let issued = self.links.issue(&ask, clock::now());
        let issued = issued.inspect_err(|error| tracing::warn!(channel, %error, "No link"));
        Some(issued.ok()?.path)
    }
}

impl LinkAsk {
    /// A link that somebody asks for. `person` is who stands behind the label, where that
    /// is known.
    pub(crate) fn of(
        caller: &Caller,
        release: &ReleaseId,
        action: LinkAction,
        label: &str,
        person: Option<String>,
    ) -> Self {
        let mut hands = caller.hands();
        hands.push(label.to_owned());
        hands.extend(person);
        Self {
            release: release.clone(),
            action,
            role: None,
            label: label.to_owned(),
            by: caller.actor.to_string(),
            hands,
            lasts: USUAL,
        }
    }
}

/// A link cannot be given like this.
pub(crate) fn bad_link(message: String) -> ApiError {
    ApiError::new(
        ErrorKind::BadInput,
        "ESC-0436",
        message,
        "see `esclusa release link --help`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_store::Store;

    async fn links() -> (Links, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
        let keys = Keys::of(&store).await.expect("made");
        (Links::new(keys), dir)
    }

    fn ask() -> LinkAsk {
        LinkAsk {
            release: "0191-1".parse().expect("an id"),
            action: LinkAction::Approve,
            role: Some("dba".into()),
            label: "ben@shop.example".into(),
            by: "ana".into(),
            hands: vec!["ana".into(), "ben@shop.example".into()],
            lasts: USUAL,
        }
    }

    // PIP-06
    #[tokio::test]
    async fn a_link_is_what_was_signed_until_it_expires() {
        let (links, _dir) = links().await;
        let now = Timestamp(1_000);
        let issued = links.issue(&ask(), now).expect("given");
        let text = issued.path.strip_prefix("/l/").expect("a path").to_owned();
        let link = links.read(&text, now).expect("good");
        assert_eq!(
            (link.action, link.role.as_deref(), link.by.as_str()),
            (LinkAction::Approve, Some("dba"), "ana")
        );
        assert_eq!(
            link.actor().expect("a name").as_str(),
            "link.ben@shop.example"
        );
        assert_eq!(links.read(&text, issued.expires), Err(Fault::Expired));
        // The same once more is another one.
        assert_ne!(links.issue(&ask(), now).expect("given").path, issued.path);
        let (said, mark) = text.split_once('.').expect("two parts");
        let mut abort = link;
        abort.action = LinkAction::Abort;
        let forged = serde_json::to_vec(&abort).expect("JSON");
        let forged = format!("{}.{mark}", URL_SAFE_NO_PAD.encode(forged));
        let session = links.keys.sign(Purpose::Session, said);
        let moved = format!("{said}.{session}");
        for bad in ["", ".", said, &forged, &moved, &text[..text.len() - 1]] {
            assert_eq!(links.read(bad, now), Err(Fault::Forged), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_link_that_breaks_a_rule_is_not_given() {
        let (links, _dir) = links().await;
        let refused = |ask: LinkAsk| links.issue(&ask, Timestamp(1)).expect_err("refused").code;
        let long = Millis(LONGEST.0 + 1);
        for wrong in [
            LinkAsk {
                lasts: long,
                ..ask()
            },
            LinkAsk {
                lasts: Millis(0),
                ..ask()
            },
            LinkAsk {
                label: "a b".into(),
                ..ask()
            },
            LinkAsk {
                action: LinkAction::Abort,
                ..ask()
            },
        ] {
            assert_eq!(refused(wrong), "ESC-0436");
        }
    }
}
