//! The one task that changes the record of flags.

use super::ledger::{FlagEvent, Granted, Ledger, stream};
use super::propagation::{Kind, State};
use super::{Flags, refused};
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use esclusa_flags::{Change, FlagSet, Patch};
use esclusa_model::{Actor, Envelope};
use esclusa_store::{AppendError, NewEvent, Store};
use esclusa_wire::FlagKill;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many events are read at a time; each may have a megabyte.
pub(super) const PAGE: usize = 100;
/// How often what could not be recorded is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is asked of the task.
pub(super) enum Order {
    /// Change fields.
    Change {
        patch: Patch,
        reason: String,
        by: Actor,
        reply: oneshot::Sender<Result<Made, ApiError>>,
    },
    /// Lift kills; that waits for the record.
    Lift {
        flags: Option<Vec<String>>,
        reason: String,
        by: Actor,
        /// Up to which epoch kills are known to whoever lifts: a later one stands.
        known: Option<u64>,
        reply: oneshot::Sender<Result<FlagKill, ApiError>>,
    },
    /// Record that somebody is given a token.
    Grant {
        granted: Granted,
        by: Actor,
        reply: oneshot::Sender<Result<(), ApiError>>,
    },
    /// Record kills that are in force already.
    Record { reply: oneshot::Sender<()> },
}

/// A change that is recorded.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The revision now.
    pub revision: u64,
    /// What became different.
    pub changes: Vec<Change>,
}

pub(super) struct Writer {
    store: Store,
    ledger: Ledger,
    flags: Arc<Flags>,
    /// Whether the store failed in the middle of something, so that it has to be read.
    unsure: bool,
}

/// Reads everything that is recorded.
pub(super) async fn read(store: &Store) -> Result<Ledger, ApiError> {
    let mut ledger = Ledger::default();
    catch_up(store, &mut ledger).await?;
    Ok(ledger)
}

/// Takes up what was recorded behind a ledger.
async fn catch_up(store: &Store, ledger: &mut Ledger) -> Result<(), ApiError> {
    let stream = stream();
    loop {
        let page = store.read(&stream, ledger.position, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        ledger
            .take(&page)
            .map_err(|(position, why)| ApiError::damaged(&stream, position, &why))?;
    }
}

impl Writer {
    pub(super) fn new(store: Store, ledger: Ledger, flags: Arc<Flags>) -> Self {
        Self {
            store,
            ledger,
            flags,
            unsure: false,
        }
    }

    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<Order>) {
        if self.flags.damaged.is_some() {
            return; // nothing can be put behind it
        }
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let order = tokio::select! {
                order = asked.recv() => order,
                _ = again.tick() => {
                    let (reply, _nobody) = oneshot::channel();
                    Some(Order::Record { reply })
                }
            };
            match order {
                None => return,
                // Nobody waits for it any more: whoever asked was told that it failed.
                Some(Order::Change { reply, .. }) if reply.is_closed() => {}
                Some(Order::Lift { reply, .. }) if reply.is_closed() => {}
                Some(Order::Change {
                    patch,
                    reason,
                    by,
                    reply,
                }) => {
                    let made = self.change(&patch, &reason, &by).await;
                    let _ = reply.send(made); // nobody waits: it is done all the same
                }
                Some(Order::Lift {
                    flags,
                    reason,
                    by,
                    known,
                    reply,
                }) => {
                    let lifted = self.lift(flags, &reason, &by, known).await;
                    let _ = reply.send(lifted);
                }
                Some(Order::Grant { granted, by, reply }) => {
                    let recorded = self
                        .append(&[(FlagEvent::Granted(granted), by)], None)
                        .await;
                    let _ = reply.send(recorded);
                }
                Some(Order::Record { reply }) => match self.record_kills().await {
                    Ok(()) => {
                        let _ = reply.send(());
                    }
                    Err(error) => {
                        tracing::warn!(%error, "Kills in force cannot be recorded yet");
                    }
                },
            }
        }
    }

    async fn change(&mut self, patch: &Patch, reason: &str, by: &Actor) -> Result<Made, ApiError> {
        self.sure().await?;
        let next = self
            .ledger
            .set
            .patched(patch)
            .map_err(|problems| refused(&problems))?;
        let changes = esclusa_flags::diff(&self.ledger.set, &next);
        if changes.is_empty() {
            return Ok(Made {
                revision: self.ledger.set.revision,
                changes,
            });
        }
        self.append_change(&next, reason, by).await?;
        Ok(Made {
            revision: next.revision,
            changes,
        })
    }

    async fn append_change(
        &mut self,
        next: &FlagSet,
        reason: &str,
        by: &Actor,
    ) -> Result<(), ApiError> {
        let events = self.ledger.events_to(next, reason).map_err(|path| {
            ApiError::new(
                ErrorKind::BadInput,
                "ESC-0744",
                format!("the value of {path} is too large to be recorded"),
                "keep each field of the flags under half a megabyte",
            )
        })?;
        let events: Vec<(FlagEvent, Actor)> = events
            .into_iter()
            .map(|event| (event, by.clone()))
            .collect();
        let reaches = State {
            revision: next.revision,
            kills: 0,
        };
        self.append(&events, Some(reaches)).await
    }

    async fn lift(
        &mut self,
        flags: Option<Vec<String>>,
        reason: &str,
        by: &Actor,
        known: Option<u64>,
    ) -> Result<FlagKill, ApiError> {
        // What was decided before stands before it in the record.
        self.record_kills().await?;
        if let Some(known) = known
            && self
                .flags
                .live()
                .kills
                .killed_after(flags.as_deref(), known)
        {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                "ESC-0741",
                "it was killed again meanwhile",
                "see `esclusa flag history`",
            ));
        }
        let lift = FlagKill {
            flags,
            killed: false,
            epoch: self.flags.live().kills.epoch() + 1,
            by: by.clone(),
            reason: reason.to_owned(),
            at: clock::now(),
        };
        let reaches = State {
            revision: 0,
            kills: lift.epoch,
        };
        let event = (FlagEvent::Killed(lift.clone()), by.clone());
        self.append(&[event], Some(reaches)).await?;
        let mut live = self.flags.live();
        live.kills.merge(&super::ledger::marks(&lift));
        live.version += 1;
        drop(live);
        Ok(lift)
    }

    async fn record_kills(&mut self) -> Result<(), ApiError> {
        self.sure().await?;
        let mut kills = self.flags.live().unrecorded.clone();
        if kills.is_empty() {
            return Ok(());
        }
        kills.sort_by_key(|kill| kill.epoch);
        let events: Vec<(FlagEvent, Actor)> = kills
            .iter()
            .map(|kill| (FlagEvent::Killed(kill.clone()), kill.by.clone()))
            .collect();
        // They arrived before they were recorded.
        self.append(&events, None).await?;
        self.flags.live().recorded(&kills);
        self.flags.wake.notify_one();
        Ok(())
    }

    /// Records events. What is to reach subscribers is under way as soon as it is recorded.
    async fn append(
        &mut self,
        events: &[(FlagEvent, Actor)],
        reaches: Option<State>,
    ) -> Result<(), ApiError> {
        self.sure().await?;
        let new: Result<Vec<NewEvent>, _> =
            events.iter().map(|(event, by)| event.write(by)).collect();
        let new = new.map_err(|error| {
            ApiError::new(
                ErrorKind::Internal,
                "ESC-0900",
                format!("an event of flags cannot be written: {error}"),
                "report this with the command used",
            )
        })?;
        self.unsure = true;
        let position = self.ledger.position;
        let appended = self
            .store
            .append(&stream(), position, clock::now(), &new)
            .await;
        let sealed = match appended {
            Ok(sealed) => sealed,
            Err(error) => {
                return Err(match error {
                    AppendError::Store(error) => error.into(),
                    conflict @ AppendError::Conflict { .. } => ApiError::new(
                        ErrorKind::Conflict,
                        "ESC-0741",
                        conflict.to_string(),
                        "ask again: the record is read anew",
                    ),
                });
            }
        };
        if let Some(state) = reaches {
            let now = std::time::Instant::now();
            self.flags.propagation.began(Kind::Change, state, now);
        }
        self.advance(&sealed)
    }

    fn advance(&mut self, sealed: &[Envelope]) -> Result<(), ApiError> {
        if let Err((position, why)) = self.ledger.take(sealed) {
            // A fault of ours: what is recorded says, from its beginning.
            self.ledger = Ledger::default();
            return Err(ApiError::damaged(&stream(), position, &why));
        }
        self.unsure = false;
        self.told();
        Ok(())
    }

    fn told(&self) {
        self.flags
            .ledger
            .send_replace(Arc::new(self.ledger.shown()));
    }

    /// Makes sure that the ledger is what the store has: an append that failed may have
    /// been stored.
    async fn sure(&mut self) -> Result<(), ApiError> {
        if self.unsure {
            catch_up(&self.store, &mut self.ledger).await?;
            self.unsure = false;
            self.told();
        }
        Ok(())
    }
}
