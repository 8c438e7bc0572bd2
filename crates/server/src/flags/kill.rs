//! Kills: at the data planes first, in the record afterwards.

use super::live::Live;
use super::naming::unknown;
use super::propagation::{Kind, State};
use super::{Flags, Order};
use crate::clock;
use crate::dataplane::limited;
use crate::error::ApiError;
use esclusa_model::Actor;
use esclusa_wire::{FlagKill, FlagStatus};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

/// How often a kill is given a higher epoch when the proxy knows a later lifting.
const TRIES: u32 = 3;
/// How long the answer waits for the record. It is recorded later then.
const RECORD: Duration = Duration::from_secs(2);
/// How long the answer waits for those who follow the flags.
const CONFIRM: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// What became of a kill.
#[derive(Debug, Clone)]
pub(crate) struct KillDone {
    /// The flags; all without.
    pub flags: Option<Vec<String>>,
    /// Its epoch.
    pub epoch: u64,
    /// Whether the proxy has it in force, or why not.
    pub in_force: Result<(), String>,
    /// Whether the record has it.
    pub recorded: bool,
    /// How many event streams confirmed it by asking again.
    pub confirmed: usize,
    /// The others.
    pub unconfirmed: Vec<String>,
    /// Tables that do not have it yet, and why.
    pub sinks_behind: Vec<String>,
}

impl Flags {
    /// The flags that these names mean, by key or alias.
    ///
    /// # Errors
    /// 404 with the names that there are.
    pub(crate) fn meant(&self, names: &[String]) -> Result<Vec<String>, ApiError> {
        // A record that cannot be read keeps nobody from killing by key.
        let Ok(set) = self.set() else {
            return Ok(names.to_vec());
        };
        let mut found = BTreeSet::new();
        for name in names {
            let meant = set.meant_by(name);
            if meant.is_empty() {
                return Err(unknown(&set, name));
            }
            found.extend(meant.into_iter().map(str::to_owned));
        }
        Ok(found.into_iter().collect())
    }

    /// Turns features off for everybody. Waits for neither store nor notifier.
    pub(crate) async fn kill(
        &self,
        flags: Option<Vec<String>>,
        reason: &str,
        by: &Actor,
    ) -> KillDone {
        let (mut tries, ordered) = (0, std::time::Instant::now());
        let (kill, in_force) = loop {
            tries += 1;
            let kill = {
                let mut live = self.live();
                live.decide(flags.clone(), true, (by, reason, clock::now()))
            };
            let reaches = State {
                revision: 0,
                kills: kill.epoch,
            };
            self.propagation.began(Kind::Kill, reaches, ordered);
            let done = self.kill_at_proxy(&kill).await;
            // A later lifting that only the proxy knew: decided anew above it.
            if done.is_ok() && !holds(&self.live(), &kill) && tries < TRIES {
                continue;
            }
            break (kill, done);
        };
        if in_force.is_err() {
            self.wake.notify_one();
        }
        let mark = self.mark();
        let streams = async {
            match in_force.is_ok() {
                true => self.confirmed(kill.epoch).await,
                false => (0, Vec::new()),
            }
        };
        let sinks = self.sinks.behind(mark, CONFIRM);
        let (recorded, (confirmed, unconfirmed), sinks_behind) =
            tokio::join!(self.record(), streams, sinks);
        KillDone {
            flags: kill.flags,
            epoch: kill.epoch,
            in_force,
            recorded,
            confirmed,
            unconfirmed,
            sinks_behind,
        }
    }

    async fn kill_at_proxy(&self, kill: &FlagKill) -> Result<(), String> {
        let client = self.dataplane.client().map_err(|error| error.0)?;
        let killed = limited(client.kill_flags(kill)).await;
        let killed = killed.map_err(|error| error.0)?;
        let news = self.live().adopt(&[], &killed.kills, clock::now());
        if news {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Has what is in force recorded; whether that was done in time.
    async fn record(&self) -> bool {
        if self.damaged.is_some() {
            return false;
        }
        let (reply, recorded) = oneshot::channel();
        if self.orders.try_send(Order::Record { reply }).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(RECORD, recorded).await, Ok(Ok(())))
    }

    /// Who has asked again since; waits a moment for those who have not.
    async fn confirmed(&self, epoch: u64) -> (usize, Vec<String>) {
        let until = tokio::time::Instant::now() + CONFIRM;
        loop {
            let Ok(status) = self.status().await else {
                return (0, vec!["the proxy does not say who follows it".into()]);
            };
            let unconfirmed = unconfirmed(&status, epoch);
            if unconfirmed.is_empty() || tokio::time::Instant::now() > until {
                return (status.streams.len() - unconfirmed.len(), unconfirmed);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lifts kills: recorded first, in force then.
    ///
    /// # Errors
    /// When it cannot be recorded; nothing is lifted then.
    pub(crate) async fn lift(
        &self,
        flags: Option<Vec<String>>,
        reason: &str,
        by: &Actor,
    ) -> Result<(FlagKill, Result<(), String>), ApiError> {
        // What was killed at the proxy while nobody was in charge has to be known, or the
        // lifting would not stand above it. A proxy that does not answer keeps what it has.
        let _ = self.publish().await;
        let (reason, by) = (reason.to_owned(), by.clone());
        let lifted = self
            .order(|reply| Order::Lift {
                flags,
                reason,
                by,
                reply,
            })
            .await?;
        let published = self.publish().await.map_err(|error| error.0);
        let published = published.and_then(|()| match still_killed(&self.live(), &lifted) {
            false => Ok(()),
            true => Err("a kill that came between stands: see `esclusa flag history`".to_owned()),
        });
        Ok((lifted, published))
    }
}

/// Whether what was lifted is killed all the same, by its own mark.
pub(super) fn still_killed(live: &Live, lifted: &FlagKill) -> bool {
    let mark = |key: &String| live.kills.flags.get(key).is_some_and(|mark| mark.killed);
    match &lifted.flags {
        None => live.kills.all.killed,
        Some(flags) => flags.iter().any(mark),
    }
}

/// Whether what was killed is.
fn holds(live: &Live, kill: &FlagKill) -> bool {
    match &kill.flags {
        None => live.kills.all.killed,
        Some(flags) => flags.iter().all(|key| live.kills.of(key).is_some()),
    }
}

/// Streams whose client has not asked since this epoch.
fn unconfirmed(status: &FlagStatus, epoch: u64) -> Vec<String> {
    let streams = status.streams.iter();
    let open = streams.filter(|stream| stream.fetched.is_none_or(|(_, seen)| seen < epoch));
    open.map(|stream| stream.who.clone()).collect()
}
