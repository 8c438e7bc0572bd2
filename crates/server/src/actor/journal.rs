//! Records events and reads them back. The order of acting and recording is kept here.

use super::ServiceActor;
use crate::clock;
use crate::error::ApiError;
use esclusa_model::{Actor, Envelope, ReleaseId, ServiceName, StreamId, Timestamp};
use esclusa_release::{Event, Release, Service, ServiceEvent};
use esclusa_store::{AppendError, NewEvent, Store};

/// How many events are read at a time.
const PAGE: usize = 1_000;

/// Why events could not be committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The state does not take them; a fault of ours.
    #[error("the state does not take the event: {0}")]
    Illegal(#[from] esclusa_release::Illegal),
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
}

impl ServiceActor {
    /// Commits events of the release: lowering acts first, everything else records first.
    pub(super) async fn commit(
        &mut self,
        events: Vec<Event>,
        by: &Actor,
    ) -> Result<(), CommitError> {
        let at = clock::now();
        let run = self.run.as_mut().ok_or(CommitError::NoRelease)?;
        let mut next = run.release.clone();
        for event in &events {
            next.apply(event, by, at)?;
        }
        let (before, after) = (run.release.exposure(), next.exposure());
        let lowers = after != before && after.is_within(&before);
        let entries = events.into_iter().map(|event| (event, by.clone(), at));
        if lowers {
            run.release = next;
            run.pending.extend(entries);
            self.reconcile();
            // Users are on their way back; a store that does not answer changes nothing.
            return self.flush().await;
        }
        self.flush().await?;
        let run = self.run.as_mut().ok_or(CommitError::NoRelease)?;
        let entries: Vec<_> = entries.collect();
        run.position = append(&self.shared.store, run.id(), run.position, &entries).await?;
        run.release = next;
        self.shared.tell(&self.service.name);
        Ok(())
    }

    /// Records what was acted on and not recorded yet.
    pub(super) async fn flush(&mut self) -> Result<(), CommitError> {
        let Some(run) = self.run.as_mut() else {
            return Ok(());
        };
        if run.pending.is_empty() {
            return Ok(());
        }
        run.position = append(&self.shared.store, run.id(), run.position, &run.pending).await?;
        run.pending.clear();
        self.shared.tell(&self.service.name);
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
        let new = [NewEvent {
            actor: by.clone(),
            kind,
            payload,
        }];
        self.shared
            .store
            .append(&stream, self.position, at, &new)
            .await?;
        self.position += 1;
        self.service = next;
        self.shared.tell(&self.service.name);
        Ok(())
    }
}

async fn append(
    store: &Store,
    release: &ReleaseId,
    position: u64,
    entries: &[(Event, Actor, Timestamp)],
) -> Result<u64, CommitError> {
    let stream = StreamId::release(release);
    let mut position = position;
    // Events that share a moment share a transaction.
    for group in entries.chunk_by(|a, b| a.2 == b.2) {
        let mut new = Vec::with_capacity(group.len());
        for (event, by, _) in group {
            let (kind, payload) = event.to_stored()?;
            new.push(NewEvent {
                actor: by.clone(),
                kind,
                payload,
            });
        }
        store.append(&stream, position, group[0].2, &new).await?;
        position += group.len() as u64;
    }
    Ok(position)
}

/// All events of a stream, oldest first.
pub(crate) async fn read_all(store: &Store, stream: &StreamId) -> Result<Vec<Envelope>, ApiError> {
    let mut all: Vec<Envelope> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.position);
        let page = store.read(stream, after, PAGE).await?;
        let finished = page.len() < PAGE;
        all.extend(page);
        if finished {
            return Ok(all);
        }
    }
}

/// A service from its stream; unknown services are empty, not an error.
pub(super) async fn load_service(
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
