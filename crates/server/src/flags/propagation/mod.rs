//! How long changes and kills take to reach somebody who subscribes to flags.
//!
//! A subscriber of our own does what a client does: it asks for all flags over the network,
//! opens the event stream that the answer names, and asks again after each event. Measured
//! is from the instant a change is recorded, or a kill is ordered, to the event's arrival
//! (told) and to the answer that shows it (seen). Nothing waits for the subscriber; what
//! nobody measured is unknown.

mod book;
mod event;
mod subscriber;

pub(crate) use book::{Book, Delays, EDGES, Kind, Reached, State};

use crate::clock;
use esclusa_model::Timestamp;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
pub(super) use subscriber::keep;

/// What is measured, if anything is.
#[derive(Debug)]
pub(crate) struct Propagation {
    begun: Instant,
    measured: Mutex<Option<Measured>>,
}

/// One proxy, as its subscriber sees it.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// Where it answers flags.
    pub address: SocketAddr,
    /// Whether the event stream is open.
    pub connected: bool,
    /// Since when it is, or is not.
    pub since: Timestamp,
    /// Why it is not.
    pub trouble: Option<String>,
    /// What arrived and what has not.
    pub book: Book,
}

impl Default for Propagation {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            measured: Mutex::default(),
        }
    }
}

impl Propagation {
    fn measured(&self) -> MutexGuard<'_, Option<Measured>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the beginning.
    fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.begun);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Something holds since `at` that is to arrive.
    pub(super) fn began(&self, kind: Kind, state: State, at: Instant) {
        let at = self.micros(at);
        if let Some(measured) = &mut *self.measured() {
            measured.book.began(kind, state, at);
        }
    }

    /// What is measured now, and how long the oldest has been under way, in microseconds.
    pub(crate) fn now(&self) -> Option<(Measured, Option<u64>)> {
        let now = self.micros(Instant::now());
        let measured = self.measured().clone()?;
        let oldest = measured.book.oldest(now);
        Some((measured, oldest))
    }

    /// Begins to measure at a proxy that is not reached yet.
    pub(super) fn measure(&self, address: SocketAddr) {
        *self.measured() = Some(Measured {
            address,
            connected: false,
            since: clock::now(),
            trouble: None,
            book: Book::default(),
        });
    }

    fn told(&self, state: State, at: Instant) {
        let at = self.micros(at);
        if let Some(measured) = &mut *self.measured() {
            measured.book.told(state, at);
        }
    }

    fn seen(&self, state: State, at: Instant) {
        let at = self.micros(at);
        if let Some(measured) = &mut *self.measured() {
            measured.book.seen(state, at);
        }
    }

    fn connected(&self) {
        if let Some(measured) = &mut *self.measured() {
            (measured.connected, measured.since) = (true, clock::now());
            measured.trouble = None;
        }
    }

    fn lost(&self, why: String) {
        if let Some(measured) = &mut *self.measured() {
            if std::mem::take(&mut measured.connected) {
                measured.since = clock::now();
            }
            measured.trouble = Some(why);
        }
    }
}
