//! Kills: at the data planes first, in the record afterwards.

use super::live::Live;
use super::naming::unknown;
use super::propagation::{Kind, State};
use super::{Flags, Order};
use crate::clock;
use crate::dataplane::limited;
use crate::error::ApiError;
use esclusa_flags::Kills;
use esclusa_model::Actor;
use esclusa_wire::{FlagKill, FlagStatus, LeftKill};
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
/// How long a proxy that gives no answer has to come back, while whoever asked waits.
const COMES_BACK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 8 });
/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(100);
/// How long the disk may take to keep a kill for the proxy.
const LEAVE: Duration = Duration::from_secs(1);

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
            let done = self.kill_in_time(&kill).await;
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

    /// Asks a proxy again that gives no answer: it may be started anew right now. The kill
    /// waits in its folder meanwhile, so that it serves nobody without it then.
    async fn kill_in_time(&self, kill: &FlagKill) -> Result<(), String> {
        let until = tokio::time::Instant::now() + COMES_BACK;
        let Err(mut why) = self.kill_at_proxy(kill).await else {
            return Ok(());
        };
        let left = self.leave(kill).await;
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(AGAIN).await;
            match tokio::time::timeout_at(until, self.kill_at_proxy(kill)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(new)) => why = new,
                Err(_) => break,
            }
        }
        Err(match left {
            Ok(()) => format!(
                "{why}; it comes by itself: the kill is in the proxy's folder, and one that \
                 starts has it before it serves anybody"
            ),
            Err(error) => format!(
                "{why}; it is sent again until the proxy has it, and could not be left in its \
                 folder: {error}"
            ),
        })
    }

    /// Leaves a kill in the folder of the proxy.
    async fn leave(&self, kill: &FlagKill) -> Result<(), String> {
        let client = self.dataplane.client().map_err(|error| error.0)?;
        let folder = client.socket().parent().map(std::path::Path::to_owned);
        let folder = folder.ok_or_else(|| "it has none".to_owned())?;
        let left = LeftKill {
            flags: Some(kill.clone()),
            take_back: None,
        };
        let leave = tokio::task::spawn_blocking(move || esclusa_proxy::leave_kill(&folder, &left));
        match tokio::time::timeout(LEAVE, leave).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the disk does not answer".to_owned()),
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

    /// Lifts kills: recorded first, in force then. What is not killed is not lifted.
    ///
    /// # Errors
    /// When it cannot be recorded; nothing is lifted then.
    pub(crate) async fn lift(
        &self,
        flags: Option<Vec<String>>,
        reason: &str,
        by: &Actor,
    ) -> Result<Lifted, ApiError> {
        self.lift_known(flags, reason, by, None).await
    }

    /// The same for one who knows kills up to the epoch `known`: what was killed later, by
    /// whomever, stands.
    ///
    /// # Errors
    /// When one was killed later, or it cannot be recorded; nothing is lifted then.
    pub(super) async fn lift_known(
        &self,
        flags: Option<Vec<String>>,
        reason: &str,
        by: &Actor,
        known: Option<u64>,
    ) -> Result<Lifted, ApiError> {
        // What was killed at the proxy while nobody was in charge has to be known, or the
        // lifting would not stand above it. A proxy that does not answer keeps what it has:
        // what it knows of is lifted too.
        let all_is_known = self.publish().await.is_ok();
        let (flags, not_killed) = match all_is_known {
            true => killed_of(&self.live().kills, flags),
            false => (flags, Vec::new()),
        };
        if !not_killed.is_empty() && flags.as_ref().is_none_or(Vec::is_empty) {
            return Ok(Lifted {
                flags: Some(Vec::new()),
                epoch: self.kills().epoch(),
                in_force: Ok(()),
                not_killed,
                still: self.killed_flags(),
            });
        }
        let (reason, by) = (reason.to_owned(), by.clone());
        let lifted = self
            .order(|reply| Order::Lift {
                flags,
                reason,
                by,
                known,
                reply,
            })
            .await?;
        let published = self.publish().await.map_err(|error| error.0);
        let in_force = published.and_then(|()| match still_killed(&self.live(), &lifted) {
            false => Ok(()),
            true => Err("a kill that came between stands: see `esclusa flag history`".to_owned()),
        });
        Ok(Lifted {
            flags: lifted.flags,
            epoch: lifted.epoch,
            in_force,
            not_killed,
            still: self.killed_flags(),
        })
    }

    /// What is killed right now.
    fn killed_flags(&self) -> StillKilled {
        let kills = self.kills();
        let own = kills.flags.iter().filter(|(_, mark)| mark.killed);
        StillKilled {
            all: kills.all.killed,
            flags: own.map(|(key, _)| key.clone()).collect(),
        }
    }
}

/// What became of lifting kills.
#[derive(Debug)]
pub(crate) struct Lifted {
    /// The flags; all without.
    pub flags: Option<Vec<String>>,
    /// Its epoch; the one before where nothing was lifted.
    pub epoch: u64,
    /// Whether the proxy has it in force, or why not.
    pub in_force: Result<(), String>,
    /// What was asked for and was not killed; `all` for the kill of all.
    pub not_killed: Vec<String>,
    /// What is killed all the same.
    pub still: StillKilled,
}

/// What is killed, each by a kill of its own.
#[derive(Debug)]
pub(crate) struct StillKilled {
    /// Whether all flags are.
    pub all: bool,
    /// Single flags.
    pub flags: Vec<String>,
}

/// What of this is killed by a kill of its own, and what is not.
fn killed_of(kills: &Kills, flags: Option<Vec<String>>) -> (Option<Vec<String>>, Vec<String>) {
    let is_killed = |key: &String| kills.flags.get(key).is_some_and(|mark| mark.killed);
    match flags {
        None if kills.all.killed => (None, Vec::new()),
        None => (None, vec!["all".to_owned()]),
        Some(flags) => {
            let (killed, not): (Vec<String>, Vec<String>) = flags.into_iter().partition(is_killed);
            (Some(killed), not)
        }
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
