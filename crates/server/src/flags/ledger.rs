//! What is recorded of flags, and the state that it adds up to. Pure.
//!
//! A change is recorded as what it did: each field with what it really was before. So the
//! record can be replayed without asking again whether each step was valid, and a change
//! can be taken back. One that is larger than an event may be is several events of one
//! append; it counts once the last of them is there.

use esclusa_flags::{Change, FlagSet, KillMark, Kills, Problem, replay};
use esclusa_model::{Actor, Envelope, StreamId};
use esclusa_store::NewEvent;
use esclusa_wire::{FlagKill, TesterGrant};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest part of a change as JSON text, half of what an event may have.
const PART_BYTES: usize = 512 << 10;

/// The stream of all flags.
pub(crate) fn stream() -> StreamId {
    #[expect(clippy::expect_used, reason = "five letters are a valid name")]
    StreamId::new("flags").expect("a valid name")
}

/// A change of the set, or a part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changed {
    /// The revision that it led to.
    pub revision: u64,
    /// Which part this is, from 1.
    pub part: u32,
    /// How many there are.
    pub parts: u32,
    /// Why, possibly empty.
    pub reason: String,
    /// The fields, with what they were and what they are.
    pub changes: Vec<Change>,
}

/// An event of the stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FlagEvent {
    /// The set changed.
    Changed(Changed),
    /// Features were killed, or that was lifted.
    Killed(FlagKill),
    /// Somebody was given a token that shows variants. The token itself is nowhere.
    Granted(Granted),
}

/// What a tester was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Granted {
    /// What the token says.
    pub grant: TesterGrant,
    /// Why, possibly empty.
    pub reason: String,
}

const CHANGED: &str = "changed";
const KILLED: &str = "killed";
const LIFTED: &str = "lifted";
const GRANTED: &str = "tester-granted";

impl FlagEvent {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, String> {
        let payload = envelope.payload.clone();
        match envelope.kind.as_str() {
            CHANGED => serde_json::from_value(payload).map(Self::Changed),
            KILLED | LIFTED => serde_json::from_value(payload).map(Self::Killed),
            GRANTED => serde_json::from_value(payload).map(Self::Granted),
            other => return Err(format!("no event of flags is a {other:?}")),
        }
        .map_err(|error| error.to_string())
    }

    pub(crate) fn write(&self, actor: &Actor) -> Result<NewEvent, serde_json::Error> {
        let (kind, payload) = match self {
            Self::Changed(changed) => (CHANGED, serde_json::to_value(changed)?),
            Self::Killed(kill) if kill.killed => (KILLED, serde_json::to_value(kill)?),
            Self::Killed(kill) => (LIFTED, serde_json::to_value(kill)?),
            Self::Granted(granted) => (GRANTED, serde_json::to_value(granted)?),
        };
        Ok(NewEvent {
            actor: actor.clone(),
            kind: kind.into(),
            payload,
        })
    }
}

/// What a kill or its lifting says, as marks that can be merged.
pub(crate) fn marks(kill: &FlagKill) -> Kills {
    let mark = KillMark {
        epoch: kill.epoch,
        killed: kill.killed,
    };
    match &kill.flags {
        None => Kills {
            all: mark,
            ..Kills::default()
        },
        Some(flags) => Kills {
            flags: flags.iter().map(|key| (key.clone(), mark)).collect(),
            ..Kills::default()
        },
    }
}

/// The state of all flags, as recorded.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The set as JSON, which changes are made to.
    json: Value,
    /// The same.
    pub set: Arc<FlagSet>,
    /// What is killed.
    pub kills: Kills,
    /// Where the stream stands.
    pub position: u64,
    /// Parts of a change whose last is still to come.
    open: Vec<Changed>,
}

impl Default for Ledger {
    fn default() -> Self {
        let set = FlagSet::default();
        Self {
            json: set.to_json(),
            set: Arc::new(set),
            kills: Kills::default(),
            position: 0,
            open: Vec::new(),
        }
    }
}

impl Ledger {
    /// Takes up events that are recorded. The set is read once, at the end.
    ///
    /// # Errors
    /// The position of the first that does not fit, and why.
    pub(crate) fn take(&mut self, events: &[Envelope]) -> Result<(), (u64, String)> {
        for envelope in events {
            self.apply(envelope)
                .map_err(|why| (envelope.position, why))?;
            self.position = envelope.position;
        }
        self.set = FlagSet::from_json(self.json.clone())
            .map(Arc::new)
            .map_err(|problem| (self.position, problem.to_string()))?;
        Ok(())
    }

    fn apply(&mut self, envelope: &Envelope) -> Result<(), String> {
        match FlagEvent::read(envelope)? {
            FlagEvent::Killed(kill) => self.kills.merge(&marks(&kill)),
            // It stands in the token; here it is only remembered who has one.
            FlagEvent::Granted(_) => {}
            FlagEvent::Changed(changed) => {
                let follows = self.open.len() + 1 == changed.part as usize
                    && self
                        .open
                        .iter()
                        .all(|part| part.revision == changed.revision);
                if !follows {
                    return Err(format!(
                        "part {} of {} does not follow the part before it",
                        changed.part, changed.parts
                    ));
                }
                let (revision, last) = (changed.revision, changed.part == changed.parts);
                self.open.push(changed);
                if last {
                    for part in std::mem::take(&mut self.open) {
                        replay(&mut self.json, &part.changes).map_err(|all| all_of(&all))?;
                    }
                    self.json["revision"] = json!(revision);
                }
            }
        }
        Ok(())
    }

    /// The same to be looked at: nothing can be taken up behind it.
    pub(crate) fn shown(&self) -> Self {
        Self {
            json: Value::Null,
            set: Arc::clone(&self.set),
            kills: self.kills.clone(),
            position: self.position,
            open: Vec::new(),
        }
    }

    /// The events of a change from this set to `next`, which is one revision on.
    ///
    /// # Errors
    /// The field whose value is too large for an event.
    pub(crate) fn events_to(&self, next: &FlagSet, reason: &str) -> Result<Vec<FlagEvent>, String> {
        let parts = parts(esclusa_flags::diff(&self.set, next))?;
        let count = parts.len() as u32; // at most a few: each has half a megabyte
        let events = parts.into_iter().zip(1..).map(|(changes, part)| {
            FlagEvent::Changed(Changed {
                revision: next.revision,
                part,
                parts: count,
                reason: reason.to_owned(),
                changes,
            })
        });
        Ok(events.collect())
    }
}

fn all_of(problems: &[Problem]) -> String {
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// Changes in groups that each fit an event, in an order in which they can be made.
fn parts(changes: Vec<Change>) -> Result<Vec<Vec<Change>>, String> {
    let mut small = Vec::new();
    for change in changes {
        divide(change, &mut small)?;
    }
    let mut parts: Vec<Vec<Change>> = Vec::new();
    let mut room = 0;
    for (change, bytes) in small {
        match parts.last_mut() {
            Some(part) if bytes <= room => {
                room -= bytes;
                part.push(change);
            }
            _ => {
                room = PART_BYTES.saturating_sub(bytes);
                parts.push(vec![change]);
            }
        }
    }
    Ok(parts)
}

/// A change as it is, or when it is too large as that of an object's members.
fn divide(change: Change, into: &mut Vec<(Change, usize)>) -> Result<(), String> {
    let bytes = serde_json::to_vec(&change).map_or(usize::MAX, |text| text.len());
    if bytes <= PART_BYTES {
        into.push((change, bytes));
        return Ok(());
    }
    let Change {
        path,
        before,
        after,
    } = change;
    let member = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    let shell = |before: Option<Value>, after: Option<Value>| {
        let change = Change {
            path: path.clone(),
            before,
            after,
        };
        (change, path.len() + 64)
    };
    match (before, after) {
        (None, Some(Value::Object(members))) => {
            into.push(shell(None, Some(json!({}))));
            for (key, value) in members {
                let change = Change {
                    path: member(&key),
                    before: None,
                    after: Some(value),
                };
                divide(change, into)?;
            }
            Ok(())
        }
        (Some(Value::Object(members)), None) => {
            for (key, value) in members {
                let change = Change {
                    path: member(&key),
                    before: Some(value),
                    after: None,
                };
                divide(change, into)?;
            }
            into.push(shell(Some(json!({})), None));
            Ok(())
        }
        _ => Err(path),
    }
}

#[cfg(test)]
mod tests;
