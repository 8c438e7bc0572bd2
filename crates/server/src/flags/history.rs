//! The record read back: what became of a flag, and how everything was.

use super::ledger::{Changed, FlagEvent, Ledger, marks, stream};
use super::writer::PAGE;
use super::{Flags, refused};
use crate::error::{ApiError, ErrorKind};
use esclusa_flags::{Change, FlagSet, Kills, Patch, Snapshot};
use esclusa_model::{Actor, Envelope, Timestamp};
use esclusa_wire::FlagKill;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// A decision as it is recorded, the parts of a large one together.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The place of its last event.
    pub position: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Who decided it.
    pub actor: Actor,
    /// What.
    pub event: FlagEvent,
    /// What a kill or a lifting turned; nothing of other decisions.
    pub kills: Vec<Change>,
}

impl Flags {
    /// One environment as it is evaluated right now: running releases and kills included.
    ///
    /// # Errors
    /// When it does not compile.
    pub(crate) fn snapshot(&self, set: &FlagSet, environment: &str) -> Result<Snapshot, ApiError> {
        let (set, kills): (FlagSet, Kills) = {
            let live = self.live();
            let set = live.without_withdrawn(set);
            (set.while_running(&live.rollouts()), live.kills.clone())
        };
        let running = Snapshot::compile_with(&set, environment, &kills);
        running.map_err(|problems| refused(&problems))
    }

    /// Kills that are in force and not recorded.
    pub(crate) fn unrecorded(&self) -> usize {
        self.live().unrecorded.len()
    }

    /// What became of one flag, or of all, newest first.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub(crate) async fn history(
        &self,
        flag: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, ApiError> {
        let mut found = VecDeque::new();
        let mut kills = Kills::default();
        self.each(|mut entry| {
            if let FlagEvent::Killed(kill) = &entry.event {
                let before = kills.clone();
                kills.merge(&marks(kill));
                entry.kills = turned(kill, &before, &kills, flag);
            }
            if let Some(entry) = about(entry, flag) {
                found.push_front(entry);
                found.truncate(limit);
            }
            true
        })
        .await?;
        Ok(found.into())
    }

    /// The patch that takes back the change that led to a revision. Fields that somebody
    /// has changed since are a conflict.
    ///
    /// # Errors
    /// When there was no such revision.
    pub(crate) async fn undo(&self, revision: u64) -> Result<Patch, ApiError> {
        let mut found = None;
        self.each(|entry| match entry.event {
            FlagEvent::Changed(changed) if changed.revision == revision => {
                found = Some(changed.changes);
                false
            }
            _ => true,
        })
        .await?;
        let changes = found.ok_or_else(|| no_revision(revision))?;
        let made = Patch { revision, changes };
        Ok(made.inverse(self.set()?.revision))
    }

    /// The set as it was at a revision.
    ///
    /// # Errors
    /// When there was no such revision.
    pub(crate) async fn set_at(&self, revision: u64) -> Result<FlagSet, ApiError> {
        let mut ledger = Ledger::default();
        let stream = stream();
        while ledger.set.revision < revision {
            let page = self.store.read(&stream, ledger.position, PAGE).await?;
            if page.is_empty() {
                return Err(no_revision(revision));
            }
            // Up to the last event of the revision.
            let end = page.iter().position(|event| is_behind(event, revision));
            let page = &page[..end.unwrap_or(page.len())];
            ledger
                .take(page)
                .map_err(|(position, why)| ApiError::damaged(&stream, position, &why))?;
            if end.is_some() && ledger.set.revision < revision {
                return Err(no_revision(revision));
            }
        }
        Ok(FlagSet::clone(&ledger.set))
    }

    /// Who changed each of these fields last, after a revision, for people.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub(crate) async fn last_changed(
        &self,
        after: u64,
        paths: &[&str],
    ) -> Result<Vec<Option<String>>, ApiError> {
        let mut last = vec![None; paths.len()];
        self.each(|entry| {
            if let FlagEvent::Changed(changed) = &entry.event
                && changed.revision > after
            {
                let reason = match changed.reason.as_str() {
                    "" => String::new(),
                    reason => format!(" ({reason})"),
                };
                for (path, last) in paths.iter().zip(&mut last) {
                    if changed.changes.iter().any(|c| is_about(&c.path, path)) {
                        let revision = changed.revision;
                        *last = Some(format!("{} at revision {revision}{reason}", entry.actor));
                    }
                }
            }
            true
        })
        .await?;
        Ok(last)
    }

    /// Every decision, oldest first, until the reader has enough.
    async fn each(&self, mut take: impl FnMut(Entry) -> bool) -> Result<(), ApiError> {
        let stream = stream();
        let mut after = 0;
        let mut open: Option<Changed> = None;
        loop {
            let page = self.store.read(&stream, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.position;
            for envelope in page {
                let event = FlagEvent::read(&envelope)
                    .map_err(|why| ApiError::damaged(&stream, envelope.position, &why))?;
                let event = match event {
                    FlagEvent::Changed(part) => {
                        let whole = match open.take() {
                            Some(mut whole) => {
                                whole.changes.extend(part.changes);
                                whole.part = part.part;
                                whole
                            }
                            None => part,
                        };
                        if whole.part < whole.parts {
                            open = Some(whole);
                            continue;
                        }
                        FlagEvent::Changed(whole)
                    }
                    whole @ (FlagEvent::Killed(_) | FlagEvent::Granted(_)) => whole,
                };
                let entry = Entry {
                    position: envelope.position,
                    at: envelope.at,
                    actor: envelope.actor,
                    event,
                    kills: Vec::new(),
                };
                if !take(entry) {
                    return Ok(());
                }
            }
        }
    }
}

fn is_behind(event: &Envelope, revision: u64) -> bool {
    match FlagEvent::read(event) {
        Ok(FlagEvent::Changed(changed)) => changed.revision > revision,
        Ok(FlagEvent::Killed(_) | FlagEvent::Granted(_)) | Err(_) => false,
    }
}

/// Whether one of two fields is the other, or stands in it.
fn is_about(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(one, other) || within(other, one)
}

fn no_revision(revision: u64) -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        "ESC-0745",
        format!("no change led to revision {revision}"),
        "see `esclusa flag history` for the revisions there were",
    )
}

/// What a kill or its lifting changed: the state `killed` of its flags, of one of them, or of
/// all flags at once. It stands in no set, so that nothing else can undo it.
fn turned(kill: &FlagKill, before: &Kills, after: &Kills, flag: Option<&str>) -> Vec<Change> {
    let of = |key: &str| Change {
        path: format!("{}/killed", path_of(key)),
        before: Some(json!(before.of(key).is_some())),
        after: Some(json!(after.of(key).is_some())),
    };
    match (&kill.flags, flag) {
        (_, Some(key)) => vec![of(key)],
        (Some(flags), None) => flags.iter().map(|key| of(key)).collect(),
        (None, None) => vec![Change {
            path: "/killed".to_owned(),
            before: Some(json!(before.all.killed)),
            after: Some(json!(after.all.killed)),
        }],
    }
}

fn path_of(key: &str) -> String {
    format!("/flags/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// What of an entry is about a flag.
fn about(mut entry: Entry, flag: Option<&str>) -> Option<Entry> {
    let Some(key) = flag else {
        return Some(entry);
    };
    match &mut entry.event {
        FlagEvent::Killed(kill) => {
            let named = |flags: &Vec<String>| flags.iter().any(|flag| flag == key);
            kill.flags.as_ref().is_none_or(named).then_some(entry)
        }
        FlagEvent::Granted(granted) => {
            let named = granted.grant.variants.contains_key(key);
            named.then_some(entry)
        }
        FlagEvent::Changed(changed) => {
            let changes = std::mem::take(&mut changed.changes);
            let ours = changes
                .into_iter()
                .filter_map(|change| narrowed(change, key));
            changed.changes = ours.collect();
            (!changed.changes.is_empty()).then_some(entry)
        }
    }
}

/// What of a change is about a flag: also one of all flags at once, as the first is.
fn narrowed(change: Change, key: &str) -> Option<Change> {
    let mine = path_of(key);
    if change.path == "/flags" {
        let of = |all: Option<&Value>| all.and_then(|all| all.get(key)).cloned();
        let narrow = Change {
            path: mine,
            before: of(change.before.as_ref()),
            after: of(change.after.as_ref()),
        };
        return (narrow.before != narrow.after).then_some(narrow);
    }
    let below = change.path.strip_prefix(&mine)?;
    (below.is_empty() || below.starts_with('/')).then_some(change)
}
