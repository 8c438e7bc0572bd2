//! A release with its stream, and what must hold after every event.

use crate::plans::name;
use esclusa_engine::{Command, CommandError, Observed, command, decide};
use esclusa_model::{Actor, Timestamp};
use esclusa_release::{Event, Phase, Release, Requested};

/// More answers in a row than any moment needs: past it, the engine runs in circles.
const AT_ONCE: usize = 24;

pub(crate) type Entry = (Event, Actor, Timestamp);

pub(crate) struct Journal {
    pub release: Release,
    pub log: Vec<Entry>,
}

impl Journal {
    pub(crate) fn begin(requested: Requested, at: Timestamp) -> Self {
        let by: Actor = name("ana");
        let first = Event::Requested(Box::new(requested.clone()));
        Self {
            release: Release::begin(requested, by.clone(), at),
            log: vec![(first, by, at)],
        }
    }

    /// The state as any other machine would find it: read from what is stored.
    pub(crate) fn replayed(&self) -> Release {
        replay(&self.log)
    }

    pub(crate) fn apply(&mut self, event: Event, by: &str, at: Timestamp) {
        let before = self.release.clone();
        let by: Actor = name(by);
        if let Err(illegal) = self.release.apply(&event, &by, at) {
            panic!("{illegal}\n{event:?}");
        }
        if before.ended.is_some() {
            let person =
                matches!(event, Event::ReturnDecided(_)) && before.phase == Phase::Promoted;
            assert!(person, "nothing follows the end but a rollback: {event:?}");
        }
        let (old, new) = (before.exposure(), self.release.exposure());
        if self.release.returning.is_some() {
            assert!(new.is_nobody(), "exposed on the way back by {event:?}");
        }
        if !new.is_within(&old) {
            let raises = matches!(event, Event::Advanced { .. } | Event::Resumed(_));
            assert!(raises, "exposure raised by {event:?}");
        }
        self.log.push((event, by, at));
    }

    /// One answer of the engine, applied; whether there was one.
    pub(crate) fn decide_once(&mut self, observed: &Observed) -> bool {
        let events = decide(&self.release, observed);
        let some = !events.is_empty();
        for event in events {
            self.apply(event, "engine", observed.now);
        }
        some
    }

    /// Asks until nothing comes; that it stops is itself a promise.
    pub(crate) fn settle(&mut self, observed: &Observed) {
        for _ in 0..AT_ONCE {
            if !self.decide_once(observed) {
                return;
            }
        }
        let last: Vec<_> = self.log.iter().rev().take(4).map(|(e, ..)| e).collect();
        panic!(
            "no rest in {} with {observed:?}: {last:#?}",
            self.release.phase
        );
    }

    pub(crate) fn ask(&mut self, asked: &Command, at: Timestamp) -> Result<usize, CommandError> {
        let events = command(&self.release, asked)?;
        let count = events.len();
        for event in events {
            self.apply(event, "ana", at);
        }
        Ok(count)
    }
}

/// The fold of what is stored, through its stored form.
pub(crate) fn replay(log: &[Entry]) -> Release {
    let mut stored = log.iter().map(|(event, by, at)| {
        let (kind, payload) = event.to_stored().expect("an event is JSON");
        let text = payload.to_string();
        let payload = serde_json::from_str(&text).expect("what was written is read");
        let read = Event::from_stored(&kind, &payload).expect("what was stored is read");
        assert_eq!(read, *event);
        (read, by.clone(), *at)
    });
    let Some((Event::Requested(requested), by, at)) = stored.next() else {
        panic!("the first event asks for the release");
    };
    let mut release = Release::begin(*requested, by, at);
    for (event, by, at) in stored {
        release
            .apply(&event, &by, at)
            .expect("what was accepted once is accepted");
    }
    release
}
