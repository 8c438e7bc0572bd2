//! Records events and reads them back. The order of acting and recording is kept here.

use super::ServiceActor;
use crate::clock;
use crate::error::ApiError;
use esclusa_model::{Actor, Envelope, ReleaseId, ServiceName, StreamId, Timestamp};
use esclusa_release::{Event, Illegal, Release, Service, ServiceEvent};
use esclusa_store::{AppendError, NewEvent, Store, StoreError};
use esclusa_wire::JournalEntry;

/// How many events are read at a time.
const PAGE: usize = 1_000;

/// An event of a release, who caused it, and when.
pub(crate) type Entry = (Event, Actor, Timestamp);

/// Why events could not be committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The state does not take them; a fault of ours.
    #[error("the state does not take the event: {0}")]
    Illegal(#[from] Illegal),
    /// The same for a service's state.
    #[error("the service's state does not take the event: {0}")]
    ServiceIllegal(#[from] esclusa_release::ServiceIllegal),
    /// They could not be stored; asked again at the next turn.
    #[error("the event could not be stored: {0}")]
    Store(#[from] AppendError),
    /// They could not be written as JSON; a fault of ours.
    #[error("the event cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no release to record for.
    #[error("no release is under way")]
    NoRelease,
    /// The work on the store broke off; a fault of ours.
    #[error("work on the store broke off")]
    Broken,
}

/// Events that `by` causes now.
pub(super) fn entries_of(events: Vec<Event>, by: &Actor) -> Vec<Entry> {
    let at = clock::now();
    let entries = events.into_iter().map(|event| (event, by.clone(), at));
    entries.collect()
}

/// The state after `entries`; the first that cannot follow refuses all.
fn after(release: &Release, entries: &[Entry]) -> Result<Release, Illegal> {
    let mut next = release.clone();
    for (event, by, at) in entries {
        next.apply(event, by, *at)?;
    }
    Ok(next)
}

/// Whether the step from one state to the other takes users, or work under way, back.
pub(super) fn lowers(before: &Release, after: &Release) -> bool {
    let (shown, shows) = (before.exposure(), after.exposure());
    let turned = after.phase.is_returning() && !before.phase.is_returning();
    turned || (shows != shown && shows.is_within(&shown))
}

impl ServiceActor {
    /// Commits events of the release: lowering acts first, everything else records first.
    pub(super) async fn commit(
        &mut self,
        events: Vec<Event>,
        by: &Actor,
    ) -> Result<(), CommitError> {
        let entries = entries_of(events, by);
        if self.lower(&entries)? {
            return Ok(());
        }
        self.flush().await?;
        let run = self.run.as_ref().ok_or(CommitError::NoRelease)?;
        // What was lowered meanwhile may leave no room for it.
        let next = after(&run.release, &entries)?;
        let (store, id, position) = (self.shared.store.clone(), run.id().clone(), run.position);
        let stored = entries.clone();
        let appended = self
            .meanwhile(async move { append(&store, &id, position, &stored).await })
            .await?;
        let run = self.run.as_mut().ok_or(CommitError::NoRelease)?;
        run.position = appended.position;
        if let Some(error) = appended.failed {
            return Err(error);
        }
        run.release = next;
        self.store_trouble = None;
        if !run.pending.is_empty() {
            run.reapply();
            self.reconcile();
        }
        self.shared.tell(&self.service.name);
        Ok(())
    }

    /// Takes back what `entries` take back, at once and without waiting for anybody;
    /// whether they do. They are recorded by [`Self::flush`].
    pub(super) fn lower(&mut self, entries: &[Entry]) -> Result<bool, CommitError> {
        let run = self.run.as_mut().ok_or(CommitError::NoRelease)?;
        let next = after(&run.release, entries)?;
        if !lowers(&run.release, &next) {
            return Ok(false);
        }
        run.release = next;
        run.pending.extend_from_slice(entries);
        self.journal();
        self.reconcile();
        self.shared.tell(&self.service.name);
        Ok(true)
    }

    /// Leaves what is in force and not recorded with the proxies too: a crash now must not
    /// raise again what was taken back.
    fn journal(&self) {
        let Some(run) = &self.run else { return };
        let entries = run.pending.iter().filter_map(|(event, by, at)| {
            // What cannot be written is told where it is recorded.
            let (kind, payload) = event.to_stored().ok()?;
            Some(JournalEntry {
                service: self.service.name.clone(),
                release: run.id().clone(),
                at: *at,
                actor: by.clone(),
                kind,
                payload,
            })
        });
        let entries = entries.collect();
        self.shared.dataplane.journal(&self.service.name, entries);
    }

    /// Takes over what an earlier control plane had put in force and could not record.
    pub(super) fn inherit(&mut self, stored: &[Envelope]) {
        let Some(run) = &mut self.run else { return };
        let is_stored = |entry: &JournalEntry| {
            let mut stored = stored.iter();
            stored.any(|event| {
                (event.at, &event.kind, &event.payload) == (entry.at, &entry.kind, &entry.payload)
            })
        };
        for entry in self.shared.dataplane.inherited(run.id()) {
            if is_stored(&entry) {
                continue;
            }
            match Event::from_stored(&entry.kind, &entry.payload) {
                Ok(event) => run.pending.push((event, entry.actor, entry.at)),
                Err(error) => tracing::error!(%error, kind = entry.kind,
                    "A decision left with the proxy cannot be read"),
            }
        }
        if !run.pending.is_empty() {
            run.reapply();
            self.journal();
        }
    }

    /// Records what was acted on and not recorded yet.
    pub(super) async fn flush(&mut self) -> Result<(), CommitError> {
        while let Some(run) = &self.run {
            if run.pending.is_empty() {
                break;
            }
            let (store, id, position) = (self.shared.store.clone(), run.id().clone(), run.position);
            let entries = run.pending.clone();
            let appended = self
                .meanwhile(async move { append(&store, &id, position, &entries).await })
                .await?;
            let run = self.run.as_mut().ok_or(CommitError::NoRelease)?;
            run.position = appended.position;
            run.pending.drain(..appended.entries);
            self.journal();
            if let Some(error) = appended.failed {
                return Err(error);
            }
            self.store_trouble = None;
            self.shared.tell(&self.service.name);
        }
        Ok(())
    }

    /// Commits an event of the service.
    pub(super) async fn commit_service(
        &mut self,
        event: ServiceEvent,
        by: &Actor,
    ) -> Result<(), CommitError> {
        let at = clock::now();
        let mut next = self.service.clone();
        next.apply(&event, at)?;
        let (kind, payload) = event.to_stored()?;
        let stream = StreamId::service(&self.service.name);
        let new = vec![NewEvent {
            actor: by.clone(),
            kind,
            payload,
        }];
        let (store, position) = (self.shared.store.clone(), self.position);
        self.meanwhile(async move { append_once(&store, &stream, position, at, &new).await })
            .await??;
        self.position += 1;
        self.service = next;
        self.store_trouble = None;
        self.shared.tell(&self.service.name);
        Ok(())
    }
}

/// How far an append came.
pub(super) struct Appended {
    /// Where the stream stands now.
    pub position: u64,
    /// How many of the entries are stored.
    pub entries: usize,
    /// Why not all of them.
    pub failed: Option<CommitError>,
}

/// Puts entries of a release behind `position`, as many as the store takes.
pub(super) async fn append(
    store: &Store,
    release: &ReleaseId,
    position: u64,
    entries: &[Entry],
) -> Appended {
    let stream = StreamId::release(release);
    let mut done = Appended {
        position,
        entries: 0,
        failed: None,
    };
    // Events that share a moment share a transaction.
    for group in entries.chunk_by(|a, b| a.2 == b.2) {
        let stored = match new_events(group) {
            Ok(new) => append_once(store, &stream, done.position, group[0].2, &new).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = stored {
            done.failed = Some(error);
            break;
        }
        done.position += group.len() as u64;
        done.entries += group.len();
    }
    done
}

fn new_events(group: &[Entry]) -> Result<Vec<NewEvent>, serde_json::Error> {
    let new = group.iter().map(|(event, by, _)| {
        let (kind, payload) = event.to_stored()?;
        Ok(NewEvent {
            actor: by.clone(),
            kind,
            payload,
        })
    });
    new.collect()
}

/// Appends behind `position`. That the stream stands further on is no error where it is
/// by these very events: a store may keep what it failed to confirm.
async fn append_once(
    store: &Store,
    stream: &StreamId,
    position: u64,
    at: Timestamp,
    new: &[NewEvent],
) -> Result<(), CommitError> {
    match store.append(stream, position, at, new).await {
        Ok(_) => Ok(()),
        Err(conflict @ AppendError::Conflict { .. }) => {
            let found = store.read(stream, position, new.len()).await;
            let found = found.map_err(AppendError::from)?;
            let ours = found.len() == new.len()
                && found.iter().zip(new).all(|(found, new)| {
                    (found.at, &found.actor) == (at, &new.actor)
                        && (&found.kind, &found.payload) == (&new.kind, &new.payload)
                });
            let stands = store.read(stream, position + new.len() as u64, 1).await;
            if ours && stands.map_err(AppendError::from)?.is_empty() {
                return Ok(());
            }
            Err(conflict.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// All events of a stream, oldest first.
pub(crate) async fn read_all(store: &Store, stream: &StreamId) -> Result<Vec<Envelope>, ApiError> {
    let mut all: Vec<Envelope> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.position);
        let page = match store.read(stream, after, PAGE).await {
            // One stream that cannot be read is no reason to do nothing for the others.
            Err(error @ StoreError::Corrupt { .. }) => {
                return Err(ApiError::damaged(stream, after + 1, &error));
            }
            page => page?,
        };
        let finished = page.len() < PAGE;
        all.extend(page);
        if finished {
            return Ok(all);
        }
    }
}

/// A service from its stream; unknown services are empty, not an error.
pub(crate) async fn load_service(
    store: &Store,
    name: &ServiceName,
) -> Result<(Service, u64), ApiError> {
    let mut service = Service::new(name.clone());
    let events = read_all(store, &StreamId::service(name)).await?;
    for envelope in &events {
        let event = ServiceEvent::from_stored(&envelope.kind, &envelope.payload)
            .map_err(|error| ApiError::damaged(&envelope.stream, envelope.position, &error))?;
        service
            .apply(&event, envelope.at)
            .map_err(|error| ApiError::damaged(&envelope.stream, envelope.position, &error))?;
    }
    Ok((service, events.last().map_or(0, |event| event.position)))
}

/// A release from its events, or nothing for a stream without any.
pub(crate) fn fold(events: &[Envelope]) -> Result<Option<Release>, ApiError> {
    let mut release: Option<Release> = None;
    for envelope in events {
        let damaged = |error: &dyn std::fmt::Display| {
            ApiError::damaged(&envelope.stream, envelope.position, error)
        };
        let event = Event::from_stored(&envelope.kind, &envelope.payload)
            .map_err(|error| damaged(&error))?;
        match (&mut release, event) {
            (None, Event::Requested(requested)) => {
                release = Some(Release::begin(
                    *requested,
                    envelope.actor.clone(),
                    envelope.at,
                ));
            }
            (None, _) => return Err(damaged(&"the first event does not ask for a release")),
            (Some(release), event) => release
                .apply(&event, &envelope.actor, envelope.at)
                .map_err(|error| damaged(&error))?,
        }
    }
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::StreamId;

    fn event(kind: &str) -> NewEvent {
        NewEvent {
            actor: Actor::new("tester").expect("a name"),
            kind: kind.into(),
            payload: serde_json::json!({ "n": 1 }),
        }
    }

    // RBK-10: a store that failed to confirm may have kept what it was given.
    #[tokio::test]
    async fn what_is_stored_already_is_not_refused_and_not_stored_twice() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = clock::now();
        let store = Store::open(dir.path(), at).await.expect("opens");
        let stream = StreamId::new("s").expect("a name");
        let pair = [event("one"), event("two")];
        for _ in 0..2 {
            append_once(&store, &stream, 0, at, &pair)
                .await
                .expect("stored");
        }
        assert_eq!(store.read(&stream, 0, 9).await.expect("read").len(), 2);
        // Somebody else's events are another matter, also behind ours.
        let later = Timestamp(at.0 + 1);
        let other = append_once(&store, &stream, 0, later, &pair).await;
        assert!(matches!(other, Err(CommitError::Store(_))), "{other:?}");
        let part = append_once(&store, &stream, 0, at, &pair[..1]).await;
        assert!(matches!(part, Err(CommitError::Store(_))), "{part:?}");
    }
}
