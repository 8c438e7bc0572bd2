//! What a link does once it is sent back.

use super::{Fault, Link, LinkAction};
use crate::app::{App, Ask};
use crate::error::{ApiError, ErrorKind};
use crate::view::ReleaseView;
use esclusa_release::ItemDone;

/// What came of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// It was done.
    Done,
    /// The link is not good any more.
    Not(Fault),
    /// There is nothing left to decide, in words.
    TooLate(String),
    /// It could not be done.
    Refused(ApiError),
}

impl App {
    /// Whether a link was used already.
    pub(crate) fn is_used(&self, link: &Link) -> bool {
        self.shared.spent.is(&link.id())
    }

    /// Does what a link is for, once. What raises exposure uses it up in the store first;
    /// an abort waits for no store, and is remembered as used until that takes it.
    pub(crate) async fn act(&self, link: &Link, words: &str, items: Vec<ItemDone>) -> Came {
        let by = match link.actor() {
            Ok(by) => by,
            Err(error) => return Came::Refused(error),
        };
        let words = because(link, words);
        let ask = match (link.action, &link.role) {
            (LinkAction::Abort, _) => {
                if !self.shared.spent.at_once(&link.id(), link.expires) {
                    return Came::Not(Fault::Used);
                }
                let ask = Ask::Abort { reason: words };
                return match self.ask(&link.release, ask, &by).await {
                    Ok(()) => Came::Done,
                    Err(error) if error.kind == ErrorKind::Conflict => Came::TooLate(error.message),
                    Err(error) => Came::Refused(error),
                };
            }
            (LinkAction::Approve, Some(role)) => Ask::SignOff {
                role: role.clone(),
                comment: words,
                items,
                hands: link.hands.clone(),
            },
            (LinkAction::Approve, None) => Ask::Resume { reason: words },
        };
        match self.release_view(&link.release).await {
            Ok(view) => {
                if let Some(why) = too_late(link, &view) {
                    return Came::TooLate(why);
                }
            }
            Err(error) => return Came::Refused(error),
        }
        let id = link.id();
        match self.shared.spent.first(&id, link.expires).await {
            Ok(true) => {}
            Ok(false) => return Came::Not(Fault::Used),
            Err(error) => return Came::Refused(error),
        }
        match self.ask(&link.release, ask, &by).await {
            Ok(()) => Came::Done,
            Err(error) => {
                let refused = matches!(
                    error.kind,
                    ErrorKind::BadInput | ErrorKind::Forbidden | ErrorKind::Conflict
                );
                if refused {
                    self.shared.spent.give_back(&id).await;
                }
                Came::Refused(error)
            }
        }
    }
}

/// Why there is nothing left for a link to decide, if so.
pub(crate) fn too_late(link: &Link, view: &ReleaseView) -> Option<String> {
    if let Some(outcome) = &view.outcome {
        return Some(format!("the release is over: {outcome}"));
    }
    match (link.action, &link.role) {
        (LinkAction::Abort, _) => view
            .returning_because
            .as_ref()
            .map(|why| format!("the release goes back already: {why}")),
        (LinkAction::Approve, Some(role)) => {
            let found = view.sign_offs.iter().find(|one| one.role == *role);
            match found.map(|one| &one.by) {
                None => Some(format!("the plan asks for no sign-off by {role}")),
                Some(Some(by)) => Some(format!("{by} has signed off as {role}")),
                Some(None) => None,
            }
        }
        (LinkAction::Approve, None) if !view.can_resume => {
            Some("the release goes on already".to_owned())
        }
        (LinkAction::Approve, None) => None,
    }
}

/// What is recorded as the reason: whose link it was, and their words.
fn because(link: &Link, words: &str) -> String {
    let Link { by, label, .. } = link;
    let words = words.trim();
    let colon = if words.is_empty() { "" } else { ": " };
    format!("by a link that {by} gave to {label}{colon}{words}")
}
