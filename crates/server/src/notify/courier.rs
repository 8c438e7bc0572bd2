//! Carries what waits for one channel, in order, one at a time.
//!
//! Delivered is marked before the next is begun, so that a process that dies repeats one
//! message at most, under the same id. What is given up holds up nothing behind it.

use super::notice::Notice;
use super::{Notifier, age};
use crate::clock;
use esclusa_drivers::Fault;
use esclusa_drivers::notify::{Again, ChannelConfig, Delivery, SendError};
use esclusa_store::{StoreError, Waiting};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How often the line is looked at when nobody says that something waits.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Pause while the store does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);
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
    mut put: watch::Receiver<u64>,
    mut urgent: mpsc::Receiver<Notice>,
) {
    loop {
        put.mark_unchanged();
        while let Ok(notice) = urgent.try_recv() {
            notifier.carry_unrecorded(&channel, &notice).await;
        }
        let wait = match notifier.store.first_waiting(&channel.name).await {
            Ok(None) => LOOK_EVERY,
            Ok(Some(waiting)) => {
                let now = clock::now();
                if waiting.next_at <= now {
                    notifier.carry_one(&channel, waiting).await;
                    continue;
                }
                age(now, waiting.next_at).min(LOOK_EVERY)
            }
            Err(error) => {
                tracing::debug!(%error, channel = channel.name, "The outbox cannot be read");
                STORE_PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // An error means that the program is ending.
            changed = put.changed() => if changed.is_err() { return },
            notice = urgent.recv() => match notice {
                Some(notice) => notifier.carry_unrecorded(&channel, &notice).await,
                None => return,
            },
        }
    }
}

impl Notifier {
    /// One try of what waits first, and its mark.
    async fn carry_one(&self, channel: &ChannelConfig, waiting: Waiting) {
        let policy = self.loaded().config.retry;
        if let Some(why) = policy.over(waiting.attempts, waiting.at, clock::now()) {
            return self
                .mark(channel, &waiting, Outcome::GivenUp, None, &why)
                .await;
        }
        let notice: Notice = match serde_json::from_value(waiting.notice.clone()) {
            Ok(notice) => notice,
            Err(error) => {
                let why = format!("it cannot be read by this version: {error}");
                return self
                    .mark(channel, &waiting, Outcome::GivenUp, None, &why)
                    .await;
            }
        };
        let Err(error) = self.send(channel, &waiting.id, &notice).await else {
            return self
                .mark(channel, &waiting, Outcome::Delivered, None, "")
                .await;
        };
        let attempts = waiting.attempts.saturating_add(1);
        let over = match error.again {
            Again::Never => Some("no try can help".to_owned()),
            Again::Later(_) => policy.over(attempts, waiting.at, clock::now()),
        };
        match (over, error.again) {
            (None, Again::Later(asked)) => {
                let pause = policy.pause(attempts, clock::entropy(), asked);
                tracing::debug!(channel = channel.name, %error, ?pause, "A message is put off");
                self.mark(
                    channel,
                    &waiting,
                    Outcome::PutOff,
                    Some(pause),
                    &error.message,
                )
                .await;
            }
            (over, _) => {
                let why = over.unwrap_or_default();
                let said = format!("{} ({why})", error.message);
                tracing::warn!(
                    channel = channel.name,
                    id = waiting.id,
                    fault = %error.fault,
                    "A message was given up (ESC-0705): {said}; `esclusa notify retry` sends it again"
                );
                self.mark(channel, &waiting, Outcome::GivenUp, None, &said)
                    .await;
            }
        }
    }

    /// Sends once, within the channel's time, and never beside another.
    pub(super) async fn send(
        &self,
        channel: &ChannelConfig,
        id: &str,
        notice: &Notice,
    ) -> Result<(), SendError> {
        let links = self.links_of(notice).await;
        let source = self.loaded().config.base_url.clone();
        let source = source.unwrap_or_else(|| "esclusa".to_owned());
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

    /// Writes down what became of it, however long the store takes: the next one is not
    /// begun before.
    async fn mark(
        &self,
        channel: &ChannelConfig,
        waiting: &Waiting,
        outcome: Outcome,
        pause: Option<esclusa_model::Millis>,
        why: &str,
    ) {
        self.count(&channel.name, outcome);
        loop {
            let now = clock::now();
            let marked = match outcome {
                Outcome::Delivered => self.store.delivered(&waiting.id, now).await,
                Outcome::GivenUp => self.store.give_up(&waiting.id, now, why).await,
                Outcome::PutOff => {
                    let next = now.plus(pause.unwrap_or_default());
                    self.store.put_off(&waiting.id, now, next, why).await
                }
            };
            match marked {
                Ok(()) => return,
                // This store is not ours any more: whoever took over sends it again.
                Err(error @ StoreError::Superseded { .. }) => {
                    tracing::error!(%error, "Messages are told by somebody else");
                    return std::future::pending().await;
                }
                Err(error) => {
                    tracing::debug!(%error, "What became of a message is not recorded yet");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// What nobody could record is told all the same, a few tries long.
    async fn carry_unrecorded(&self, channel: &ChannelConfig, notice: &Notice) {
        let policy = self.loaded().config.retry;
        let id = format!("msg_now_{:016x}", clock::entropy());
        for attempt in 1..=URGENT_TRIES {
            match self.send(channel, &id, notice).await {
                Ok(()) => return self.count(&channel.name, Outcome::Delivered),
                Err(error) => {
                    tracing::warn!(channel = channel.name, %error, "An alarm is not delivered");
                    let Again::Later(asked) = error.again else {
                        break;
                    };
                    self.count(&channel.name, Outcome::PutOff);
                    let pause = policy.pause(attempt, clock::entropy(), asked);
                    tokio::time::sleep(pause.as_std()).await;
                }
            }
        }
        self.count(&channel.name, Outcome::GivenUp);
    }
}
