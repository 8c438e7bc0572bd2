//! Carries what waits for one channel, in order, one at a time.
//!
//! Delivered is marked before the next is begun, so that a process that dies repeats one
//! message at most, under the same id. What is given up holds up nothing behind it.

use super::notice::Notice;
use super::{Notifier, age};
use crate::clock;
use esclusa_drivers::Fault;
use esclusa_drivers::notify::{Again, ChannelConfig, Delivery, SendError};
use esclusa_model::Millis;
use esclusa_store::{StoreError, Waiting};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How often the line is looked at when nobody says that something waits.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Pause while the store does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for the store: what is urgent must not stand behind it.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// Tries of what could not be recorded.
const URGENT_TRIES: u32 = 5;

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Delivered,
    PutOff,
    GivenUp,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::PutOff => "failed",
            Self::GivenUp => "dead",
        }
    }
}

/// Carries until it is ended.
pub(super) async fn carry(
    notifier: Arc<Notifier>,
    channel: ChannelConfig,
    put: watch::Receiver<u64>,
    urgent: mpsc::Receiver<Notice>,
) {
    let courier = Courier {
        notifier,
        channel,
        put,
        urgent,
    };
    courier.run().await;
}

struct Courier {
    notifier: Arc<Notifier>,
    channel: ChannelConfig,
    put: watch::Receiver<u64>,
    urgent: mpsc::Receiver<Notice>,
}

impl Courier {
    async fn run(mut self) {
        loop {
            self.put.mark_unchanged();
            self.carry_urgent().await;
            let wait = match self.first().await {
                Ok(None) => LOOK_EVERY,
                Ok(Some(waiting)) => {
                    let now = clock::now();
                    if waiting.next_at <= now {
                        self.carry_one(waiting).await;
                        continue;
                    }
                    age(now, waiting.next_at).min(LOOK_EVERY)
                }
                Err(why) => {
                    tracing::debug!(why, channel = self.channel.name, "No look at the outbox");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // An error means that the program is ending.
                changed = self.put.changed() => if changed.is_err() { return },
                notice = self.urgent.recv() => match notice {
                    Some(notice) => self.carry_unrecorded(&notice).await,
                    None => return,
                },
            }
        }
    }

    /// What waits first, unless the store does not say soon.
    async fn first(&self) -> Result<Option<Waiting>, String> {
        let read = self.notifier.store.first_waiting(&self.channel.name);
        match tokio::time::timeout(STORE_PATIENCE, read).await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err("the store does not answer".to_owned()),
        }
    }

    /// One try of what waits first, and its mark.
    async fn carry_one(&mut self, waiting: Waiting) {
        let policy = self.notifier.loaded().config.retry;
        if let Some(why) = policy.over(waiting.attempts, waiting.at, clock::now()) {
            return self.mark(&waiting, Outcome::GivenUp, None, &why).await;
        }
        let notice: Notice = match serde_json::from_value(waiting.notice.clone()) {
            Ok(notice) => notice,
            Err(error) => {
                let why = format!("it cannot be read by this version: {error}");
                return self.mark(&waiting, Outcome::GivenUp, None, &why).await;
            }
        };
        let sent = self
            .notifier
            .send(&self.channel, &waiting.id, &notice)
            .await;
        let Err(error) = sent else {
            return self.mark(&waiting, Outcome::Delivered, None, "").await;
        };
        let attempts = waiting.attempts.saturating_add(1);
        let over = match error.again {
            Again::Never => Some("no try can help".to_owned()),
            Again::Later(_) => policy.over(attempts, waiting.at, clock::now()),
        };
        match (over, error.again) {
            (None, Again::Later(asked)) => {
                let pause = policy.pause(attempts, clock::entropy(), asked);
                tracing::debug!(channel = self.channel.name, %error, ?pause, "Put off");
                let why = &error.message;
                self.mark(&waiting, Outcome::PutOff, Some(pause), why).await;
            }
            (over, _) => {
                let why = over.unwrap_or_default();
                let said = format!("{} ({why})", error.message);
                tracing::warn!(
                    channel = self.channel.name,
                    id = waiting.id,
                    fault = %error.fault,
                    "A message was given up (ESC-0705): {said}; `esclusa notify retry` sends it again"
                );
                self.mark(&waiting, Outcome::GivenUp, None, &said).await;
            }
        }
    }

    /// Writes down what became of it, however long the store takes: the next one is not
    /// begun before. What is urgent is.
    async fn mark(
        &mut self,
        waiting: &Waiting,
        outcome: Outcome,
        pause: Option<Millis>,
        why: &str,
    ) {
        self.notifier.count(&self.channel.name, outcome);
        let store = self.notifier.store.clone();
        loop {
            let now = clock::now();
            let id = &waiting.id;
            let marking = async {
                match outcome {
                    Outcome::Delivered => store.delivered(id, now).await,
                    Outcome::GivenUp => store.give_up(id, now, why).await,
                    Outcome::PutOff => {
                        let next = now.plus(pause.unwrap_or_default());
                        store.put_off(id, now, next, why).await
                    }
                }
            };
            match tokio::time::timeout(STORE_PATIENCE, marking).await {
                Ok(Ok(())) => return,
                // This store is not ours any more: whoever took over sends it again.
                Ok(Err(error @ StoreError::Superseded { .. })) => {
                    tracing::error!(%error, "Messages are told by somebody else");
                    return std::future::pending().await;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "What became of a message is not recorded yet");
                }
                Err(_) => tracing::debug!("The store does not say whether a mark is kept"),
            }
            self.carry_urgent().await;
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }

    async fn carry_urgent(&mut self) {
        while let Ok(notice) = self.urgent.try_recv() {
            self.carry_unrecorded(&notice).await;
        }
    }

    /// What nobody could record is told all the same, a few tries long.
    async fn carry_unrecorded(&self, notice: &Notice) {
        let name = &self.channel.name;
        let policy = self.notifier.loaded().config.retry;
        let id = format!("msg_now_{:016x}", clock::entropy());
        for attempt in 1..=URGENT_TRIES {
            match self.notifier.send(&self.channel, &id, notice).await {
                Ok(()) => return self.notifier.count(name, Outcome::Delivered),
                Err(error) => {
                    tracing::warn!(channel = name, %error, "An alarm is not delivered");
                    let Again::Later(asked) = error.again else {
                        break;
                    };
                    self.notifier.count(name, Outcome::PutOff);
                    let pause = policy.pause(attempt, clock::entropy(), asked);
                    tokio::time::sleep(pause.as_std()).await;
                }
            }
        }
        self.notifier.count(name, Outcome::GivenUp);
    }
}

impl Notifier {
    /// Sends once, within the channel's time, and never beside another.
    pub(super) async fn send(
        &self,
        channel: &ChannelConfig,
        id: &str,
        notice: &Notice,
    ) -> Result<(), SendError> {
        let links = self.links_of(notice, channel);
        let source = self.base_url().unwrap_or_else(|| "esclusa".to_owned());
        let message = notice.message(channel.language, channel.audience, &source, &links);
        let turn = self.turn_of(&channel.name);
        let _alone = turn.lock().await;
        let delivery = Delivery {
            id: id.to_owned(),
            message,
            sent_at: clock::now(),
        };
        let sent = channel.channel.send(&delivery);
        match tokio::time::timeout(channel.timeout.as_std(), sent).await {
            Ok(sent) => sent,
            Err(_) => Err(SendError::later(
                Fault::Target,
                format!("no answer within {}", channel.timeout),
            )),
        }
    }
}
