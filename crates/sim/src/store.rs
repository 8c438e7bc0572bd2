//! The store: streams with a position check, one epoch in charge, and the ways in which
//! a disk lets it down. What it took it keeps, whoever dies.

use esclusa_model::{Actor, ReleaseId, ServiceName, Timestamp, VersionName};
use esclusa_plan::OnConflict;
use esclusa_release::{Event, Release, Service, ServiceEvent};
use std::collections::BTreeMap;
use std::fmt;

/// An event with its author and time.
pub(crate) type Entry = (Event, Actor, Timestamp);

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreMode {
    Works,
    /// Reads, but takes nothing.
    Full,
    /// Neither reads nor writes.
    Dead,
}

/// Why it did not take something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreError {
    Full,
    Dead,
    /// Another controller is in charge.
    Superseded {
        current: u64,
    },
    /// Somebody else wrote meanwhile.
    Conflict {
        expected: u64,
        found: u64,
    },
    /// The fold does not take it, so it must never be stored.
    Illegal(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::Dead => f.write_str("the store does not answer"),
            Self::Superseded { current } => {
                write!(f, "another controller took over: epoch {current}")
            }
            Self::Conflict { expected, found } => {
                write!(f, "position {found} in place of {expected}")
            }
            Self::Illegal(why) => write!(f, "it cannot follow: {why}"),
        }
    }
}

/// What a person asked to be released.
#[derive(Debug, Clone)]
pub(crate) struct StartRequest {
    pub version: VersionName,
    pub on_conflict: OnConflict,
    pub by: Actor,
}

/// One release's stream and its fold.
#[derive(Debug)]
pub(crate) struct Stream {
    pub entries: Vec<Entry>,
    pub fold: Release,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    pub mode: StoreMode,
    /// Grows with each controller.
    pub epoch: u64,
    pub streams: BTreeMap<ReleaseId, Stream>,
    pub service_log: Vec<(ServiceEvent, Timestamp)>,
    pub service: Service,
    /// The release whose flags the flag set has turned.
    pub flags: Option<ReleaseId>,
    /// Requests of releases in line.
    pub waiting: BTreeMap<ReleaseId, StartRequest>,
    /// Without its fence it takes anything from anybody; only mutants switch it off.
    pub fenced: bool,
}

impl Store {
    pub(crate) const fn new(service: ServiceName) -> Self {
        Self {
            mode: StoreMode::Works,
            epoch: 0,
            streams: BTreeMap::new(),
            service_log: Vec::new(),
            service: Service::new(service),
            flags: None,
            waiting: BTreeMap::new(),
            fenced: true,
        }
    }

    /// Whether somebody of this epoch may write at `position` of a stream of `found`.
    fn admits(&self, epoch: u64, expected: u64, found: usize) -> Result<(), StoreError> {
        match self.mode {
            StoreMode::Works => {}
            StoreMode::Full => return Err(StoreError::Full),
            StoreMode::Dead => return Err(StoreError::Dead),
        }
        if !self.fenced {
            return Ok(());
        }
        if epoch != self.epoch {
            return Err(StoreError::Superseded {
                current: self.epoch,
            });
        }
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        if expected != found {
            return Err(StoreError::Conflict { expected, found });
        }
        Ok(())
    }

    /// Stores all of `entries` or none.
    pub(crate) fn append(
        &mut self,
        epoch: u64,
        release: &ReleaseId,
        position: u64,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        let found = self.streams.get(release).map_or(0, |s| s.entries.len());
        self.admits(epoch, position, found)?;
        for (event, ..) in entries {
            survives(event)?;
        }
        let Some(stream) = self.streams.get_mut(release) else {
            return self.begin(release, entries);
        };
        let mut fold = stream.fold.clone();
        for (event, by, at) in entries {
            fold.apply(event, by, *at)
                .map_err(|illegal| StoreError::Illegal(illegal.to_string()))?;
        }
        stream.fold = fold;
        stream.entries.extend(entries.iter().cloned());
        Ok(())
    }

    fn begin(&mut self, release: &ReleaseId, entries: &[Entry]) -> Result<(), StoreError> {
        let [(Event::Requested(requested), by, at)] = entries else {
            return Err(StoreError::Illegal(
                "the first event asks for the release".into(),
            ));
        };
        let stream = Stream {
            entries: entries.to_vec(),
            fold: Release::begin((**requested).clone(), by.clone(), *at),
        };
        self.streams.insert(release.clone(), stream);
        Ok(())
    }

    pub(crate) fn append_service(
        &mut self,
        epoch: u64,
        position: u64,
        event: &ServiceEvent,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.admits(epoch, position, self.service_log.len())?;
        self.service
            .apply(event, at)
            .map_err(|illegal| StoreError::Illegal(illegal.to_string()))?;
        self.service_log.push((event.clone(), at));
        Ok(())
    }

    /// Changes the flag set, all or nothing, as one in charge.
    pub(crate) fn keep_flags(
        &mut self,
        epoch: u64,
        flags: Option<ReleaseId>,
    ) -> Result<(), StoreError> {
        self.admits(epoch, 0, 0)?;
        self.flags = flags;
        Ok(())
    }

    pub(crate) fn put_waiting(
        &mut self,
        release: &ReleaseId,
        request: &StartRequest,
    ) -> Result<(), StoreError> {
        self.admits(self.epoch, 0, 0)?;
        self.waiting.insert(release.clone(), request.clone());
        Ok(())
    }

    pub(crate) fn reads(&self) -> bool {
        self.mode != StoreMode::Dead
    }

    /// The release that all this is about: the newest that is there.
    pub(crate) fn newest(&self) -> Option<&Release> {
        self.streams.values().next_back().map(|s| &s.fold)
    }
}

/// What is stored is what is read.
fn survives(event: &Event) -> Result<(), StoreError> {
    let lost = |why: String| StoreError::Illegal(format!("it is not stored whole: {why}"));
    let (kind, payload) = event.to_stored().map_err(|e| lost(e.to_string()))?;
    let read = Event::from_stored(&kind, &payload).map_err(|e| lost(e.to_string()))?;
    if read == *event {
        Ok(())
    } else {
        Err(lost(kind))
    }
}

/// The fold of a stream's entries, from nothing.
pub(crate) fn replay(entries: &[Entry]) -> Result<Release, String> {
    let Some((Event::Requested(requested), by, at)) = entries.first() else {
        return Err("the first event does not ask for a release".into());
    };
    let mut release = Release::begin((**requested).clone(), by.clone(), *at);
    for (event, by, at) in entries.get(1..).unwrap_or_default() {
        release
            .apply(event, by, *at)
            .map_err(|illegal| illegal.to_string())?;
    }
    Ok(release)
}
