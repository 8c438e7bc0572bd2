//! Reads what was recorded and puts what there is to tell into the outbox.
//!
//! Each stream has its own cursor, moved in the transaction that keeps the notices: a
//! process that dies anywhere loses none and repeats none.

use super::features::of_flags;
use super::notice::{Act, Notice, Standing};
use super::tell::of_release;
use super::{Notifier, Told};
use crate::app::App;
use crate::clock;
use esclusa_model::{Envelope, Millis, StreamId, Timestamp};
use esclusa_release::{Event, Release};
use esclusa_store::{
    Behind, Incident, IncidentKey, IncidentStep, Looked, NewNotice, NoticeRetention, StoreError,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// The streams that are followed.
const PREFIX: &str = "release/";
const FLAGS: &str = "flags";
/// How often they are looked at when nobody says that something changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How soon after something changed: many events often come together.
const GATHER: Duration = Duration::from_millis(50);
/// How often incidents are looked at, and what is kept.
const INCIDENTS_EVERY: Duration = Duration::from_secs(2);
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Events that are read at once.
const PAGE: usize = 500;
const FLAGS_PAGE: usize = 50;
/// Releases whose state is kept from one look to the next.
const CARRIED: usize = 200;
/// The line of what tells of no event.
pub(super) const OWN: &str = "notify/own";

const KEEP: NoticeRetention = NoticeRetention {
    waiting: 10_000,
    delivered: Millis(7 * 86_400_000),
    dead: Millis(30 * 86_400_000),
    inbox: 1_000,
    inbox_age: Millis(90 * 86_400_000),
};

/// A release as far as it was followed.
struct Followed {
    position: u64,
    release: Option<Release>,
}

/// Follows until the program ends.
pub(super) async fn follow(notifier: Arc<Notifier>, app: Arc<App>) {
    let mut changes = app.changes();
    drop(app);
    let mut follower = Follower {
        notifier,
        carried: BTreeMap::new(),
        told: Told::default(),
    };
    let mut incidents_at = Instant::now();
    let mut tidy_at = Instant::now();
    loop {
        match follower.look().await {
            Ok(()) => {
                if follower.told.well() {
                    tracing::info!("What is recorded is told again");
                }
            }
            Err(error) => {
                if follower.told.news(&error.to_string()) {
                    tracing::warn!(%error, "What is recorded cannot be told yet");
                }
            }
        }
        let now = Instant::now();
        if now >= incidents_at {
            incidents_at = now + INCIDENTS_EVERY;
            follower.notifier.look_after_incidents().await;
        }
        if now >= tidy_at {
            tidy_at = now + TIDY_EVERY;
            follower.notifier.tidy().await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            change = changes.recv() => match change {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    tokio::time::sleep(GATHER).await;
                    // What came meanwhile is seen by the same look.
                    while !matches!(
                        changes.try_recv(),
                        Err(broadcast::error::TryRecvError::Empty
                            | broadcast::error::TryRecvError::Closed)
                    ) {}
                }
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}

struct Follower {
    notifier: Arc<Notifier>,
    carried: BTreeMap<StreamId, Followed>,
    told: Told,
}

impl Follower {
    async fn look(&mut self) -> Result<(), StoreError> {
        let store = self.notifier.store.clone();
        if store.begin_notices(PREFIX, clock::now()).await? {
            tracing::debug!("What was recorded until now is told to nobody");
        }
        for behind in store.streams_behind(PREFIX).await? {
            self.catch_up(&behind).await?;
        }
        for behind in store.streams_behind(FLAGS).await? {
            self.tell_of_flags(&behind).await?;
        }
        Ok(())
    }

    /// Tells what was decided about flags behind the stream's cursor.
    async fn tell_of_flags(&mut self, behind: &Behind) -> Result<(), StoreError> {
        let (stream, store) = (&behind.stream, self.notifier.store.clone());
        let mut after = behind.looked;
        while after < behind.last {
            // Each may have a megabyte.
            let events = store.read(stream, after, FLAGS_PAGE).await?;
            let Some(last) = events.last() else {
                break;
            };
            after = last.position;
            let mut looked = Vec::new();
            for envelope in &events {
                let notice = match of_flags(envelope) {
                    Ok(notice) => notice.map(|told| self.notifier.addressed((told, None))),
                    Err(why) => return self.pass_over(stream, behind.last, &why).await,
                };
                looked.push(Looked {
                    position: envelope.position,
                    notice,
                });
            }
            store.note(stream, &looked, clock::now()).await?;
            if looked.iter().any(|one| one.notice.is_some()) {
                self.notifier.poke();
            }
        }
        Ok(())
    }

    /// Tells what a stream has behind its cursor.
    async fn catch_up(&mut self, behind: &Behind) -> Result<(), StoreError> {
        let stream = &behind.stream;
        let mut followed = self.carried.remove(stream).unwrap_or(Followed {
            position: 0,
            release: None,
        });
        // Somebody put another record in place of the one that was followed.
        if followed.position > behind.last {
            followed = Followed {
                position: 0,
                release: None,
            };
        }
        loop {
            let store = &self.notifier.store;
            let events = match store.read(stream, followed.position, PAGE).await {
                Ok(events) => events,
                Err(error @ StoreError::Corrupt { .. }) => {
                    return self
                        .pass_over(stream, behind.last, &error.to_string())
                        .await;
                }
                Err(error) => return Err(error),
            };
            let Some(last) = events.last() else {
                break;
            };
            let last = last.position;
            let mut looked = Vec::new();
            for envelope in &events {
                let notice = match step(&mut followed, envelope) {
                    Ok(told) => told,
                    Err(error) => return self.pass_over(stream, behind.last, &error).await,
                };
                if envelope.position > behind.looked {
                    let notice = notice.map(|told| self.notifier.addressed(told));
                    looked.push(Looked {
                        position: envelope.position,
                        notice,
                    });
                }
            }
            let news = looked.iter().any(|one| one.notice.is_some());
            store.note(stream, &looked, clock::now()).await?;
            followed.position = last;
            if news {
                self.notifier.poke();
            }
            if events.len() < PAGE {
                break;
            }
        }
        let over = followed.release.as_ref().is_none_or(|r| r.ended.is_some());
        if !over && self.carried.len() < CARRIED {
            self.carried.insert(stream.clone(), followed);
        }
        Ok(())
    }

    /// A stream that cannot be read is said to be damaged elsewhere; nothing of it can be
    /// told, and it keeps nobody else waiting.
    async fn pass_over(
        &mut self,
        stream: &StreamId,
        last: u64,
        why: &str,
    ) -> Result<(), StoreError> {
        tracing::error!(%stream, %why, "A stream cannot be followed: nothing of it is told");
        let passed = Looked {
            position: last,
            notice: None,
        };
        let store = &self.notifier.store;
        store.note(stream, &[passed], clock::now()).await
    }
}

/// What there is to tell, and the alarm that it raises.
type News = (Notice, Option<IncidentKey>);

/// The release after one more event, and what there is to tell of it.
fn step(followed: &mut Followed, envelope: &Envelope) -> Result<Option<News>, String> {
    let event = Event::from_stored(&envelope.kind, &envelope.payload)
        .map_err(|error| format!("event {}: {error}", envelope.position))?;
    let release = match (&mut followed.release, &event) {
        (none @ None, Event::Requested(requested)) => none.insert(Release::begin(
            (**requested).clone(),
            envelope.actor.clone(),
            envelope.at,
        )),
        (None, _) => return Err("the first event does not ask for a release".to_owned()),
        (Some(release), event) => {
            release
                .apply(event, &envelope.actor, envelope.at)
                .map_err(|error| error.to_string())?;
            release
        }
    };
    followed.position = envelope.position;
    Ok(of_release(&event, &envelope.actor, envelope.at, release))
}

impl Notifier {
    /// Whether all that is recorded has been put into the channels' lines.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn caught_up(&self) -> Result<bool, StoreError> {
        for prefix in [PREFIX, FLAGS] {
            if !self.store.streams_behind(prefix).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A notice with the channels that it goes to.
    pub(super) fn addressed(&self, (notice, alarm): News) -> NewNotice {
        let (kind, severity) = (notice.kind.as_str(), notice.kind.severity());
        let channels = self.loaded().config.route(kind, severity, &notice.service);
        NewNotice {
            channels,
            at: notice.at,
            // Plain text and numbers: this cannot fail.
            body: serde_json::to_value(notice).unwrap_or_default(),
            alarm,
        }
    }

    /// Tells of alarms that go on for long, and of those that are over by themselves.
    async fn look_after_incidents(&self) {
        let times = self.loaded().config.incidents;
        let incidents = match self.store.incidents().await {
            Ok(incidents) => incidents,
            Err(error) => {
                tracing::debug!(%error, "Open alarms cannot be read");
                return;
            }
        };
        let now = clock::now();
        for incident in incidents {
            let lasting = incident.key.event.starts_with("health.");
            if !lasting && now.since(incident.last) >= times.over_after {
                self.end_incident(&incident).await;
            } else if now.since(incident.told) >= times.remind
                && (lasting || incident.seen > incident.said)
            {
                let standing = Standing::Again {
                    count: incident.seen,
                    since: incident.opened,
                };
                let step = IncidentStep::Remind(incident.key.clone());
                self.tell_of(&incident, standing, &step, now).await;
            }
        }
    }

    /// It is over. Where it was seen once and nothing went on, nobody needs to know.
    pub(super) async fn end_incident(&self, incident: &Incident) {
        let lasting = incident.key.event.starts_with("health.");
        if incident.seen < 2 && !lasting {
            if let Err(error) = self.store.forget_incident(&incident.key).await {
                tracing::debug!(%error, "An alarm that is over is still open");
            }
            return;
        }
        let standing = Standing::Over {
            count: incident.seen,
            since: incident.opened,
            until: incident.last,
        };
        let step = IncidentStep::End(incident.key.clone());
        self.tell_of(incident, standing, &step, clock::now()).await;
    }

    async fn tell_of(
        &self,
        incident: &Incident,
        standing: Standing,
        step: &IncidentStep,
        now: Timestamp,
    ) {
        let read = serde_json::from_value::<Notice>(incident.notice.clone());
        let told = match read {
            Ok(mut notice) => {
                if matches!(standing, Standing::Over { .. }) {
                    notice.acts.retain(|act| *act == Act::Look);
                }
                notice.standing = standing;
                notice.at = now;
                // It goes where the alarm went.
                let addressed = self.addressed((notice, None));
                self.store.note_own(OWN, &addressed, step, now).await
            }
            // One that an earlier version wrote and this one cannot read.
            Err(_) => self.store.forget_incident(&incident.key).await,
        };
        match told {
            Ok(()) => self.poke(),
            Err(error) => tracing::debug!(%error, "An alarm is not told again yet"),
        }
    }

    async fn tidy(&self) {
        match self.store.tidy_notices(&KEEP, clock::now()).await {
            Ok(done) if done.given_up > 0 => {
                tracing::warn!(
                    given_up = done.given_up,
                    "Too many messages waited; the oldest are given up"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "Old messages are not forgotten yet"),
        }
    }
}
