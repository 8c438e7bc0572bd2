//! What a client knows, and how it asks.
//!
//! One question is asked once at a time, whoever waits for it, and goes on when nobody
//! waits any more: a late answer is still worth knowing. `changes` counts what the server
//! said of changes; an answer that was asked before the last of them may be an old one.

use crate::answer::{Answer, Failure, Origin};
use crate::cache::{Cache, Entry, Key, Question};
use crate::config::Config;
use crate::disk::{self, Kept};
use crate::ofrep::{Ofrep, Outcome};
use crate::state::State;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

/// Questions on their way at once.
const AT_ONCE: usize = 64;
/// Of those, renewals after a change.
const RENEWALS: usize = 16;
/// Failures in a row after which the server is left alone.
const FAILURES: u32 = 3;
/// First and longest time that it is left alone.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

type Flight = watch::Receiver<Option<Result<Outcome, Failure>>>;

pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) ofrep: Ofrep,
    pub(crate) handle: Handle,
    pub(crate) state: watch::Sender<State>,
    pub(crate) dirty: AtomicBool,
    cache: Cache,
    /// From the disk, until the server said something newer.
    kept: Mutex<HashMap<Key, Kept>>,
    flights: Mutex<HashMap<Key, Flight>>,
    permits: Semaphore,
    changes: AtomicU64,
    rest: Mutex<Rest>,
}

/// Whether the server is left alone.
#[derive(Default)]
struct Rest {
    until: Option<(Instant, Failure)>,
    failures: u32,
}

/// What is known at once.
pub(crate) enum Known {
    Outcome(Outcome, Origin),
    Nothing,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Half to once and a half of a time, so that many clients do not come at one moment.
pub(crate) fn jittered(time: Duration) -> Duration {
    time.mul_f64(rand::random_range(0.5..1.5))
}

impl Core {
    pub(crate) fn new(config: Config, ofrep: Ofrep, handle: Handle) -> Self {
        let kept = config.disk.as_deref().map(|path| disk::read(path, &config));
        let kept = kept.unwrap_or_else(|| Ok(HashMap::new()));
        let kept = kept.unwrap_or_else(|error| {
            tracing::warn!(%error, "last known flags on the disk are of no use");
            HashMap::new()
        });
        Self {
            cache: Cache::new(config.max_entries),
            config,
            ofrep,
            handle,
            state: watch::Sender::new(State::NotReady),
            dirty: AtomicBool::new(false),
            kept: Mutex::new(kept),
            flights: Mutex::default(),
            permits: Semaphore::new(AT_ONCE),
            changes: AtomicU64::new(0),
            rest: Mutex::default(),
        }
    }

    /// What is remembered, without waiting; what may be old is renewed behind the scenes.
    pub(crate) fn known(self: &Arc<Self>, question: &Arc<Question>) -> Known {
        let Some(entry) = self.cache.get(&question.key) else {
            return Known::Nothing;
        };
        let is_current = self.is_current(&entry);
        let is_due = !is_current || entry.at.elapsed() >= self.config.max_age;
        // Where many are under way, another use or the renewal of all comes to it.
        let is_free = || locked(&self.flights).len() < AT_ONCE;
        if is_due && self.cache.may_retry(&entry) && self.resting().is_none() && is_free() {
            let _ = self.flight(question);
        }
        let origin = match is_current {
            true => Origin::Memory,
            false => Origin::Stale,
        };
        Known::Outcome(entry.outcome.clone(), origin)
    }

    fn is_current(&self, entry: &Entry) -> bool {
        entry.seen == self.changes.load(Ordering::Acquire) && self.state.borrow().is_ready()
    }

    /// Asks the server, and waits no longer than for one question.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        question: &Arc<Question>,
    ) -> Result<Outcome, Failure> {
        if let Some(failure) = self.resting() {
            return Err(failure);
        }
        let mut flight = self.flight(question);
        let landed = flight.wait_for(Option::is_some).await;
        match landed.ok().and_then(|landed| landed.clone()) {
            Some(result) => result,
            // Its runtime has ended.
            None => Err(Failure::Closed),
        }
    }

    /// The last known value from the disk.
    pub(crate) fn kept(&self, key: &Key) -> Option<Answer> {
        let kept = locked(&self.kept);
        let kept = kept.get(key)?;
        let age = kept.at.elapsed().unwrap_or_default();
        (age <= self.config.disk_max_age).then(|| kept.answer.clone())
    }

    /// The question on its way, begun where it is not.
    fn flight(self: &Arc<Self>, question: &Arc<Question>) -> Flight {
        let mut flights = locked(&self.flights);
        if let Some(flight) = flights.get(&question.key) {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(question.key, receiver.clone());
        drop(flights);
        let (core, question) = (Arc::clone(self), Arc::clone(question));
        self.handle.spawn(async move {
            // A change while it was on its way: once more, so that nobody waits for the
            // next request to learn of it.
            for _ in 0..3 {
                let seen = core.changes.load(Ordering::Acquire);
                let result = core.fetch(&question, seen).await;
                let failed = result.is_err();
                sender.send_replace(Some(result));
                if failed || seen == core.changes.load(Ordering::Acquire) {
                    break;
                }
            }
            locked(&core.flights).remove(&question.key);
        });
        receiver
    }

    async fn fetch(&self, question: &Arc<Question>, seen: u64) -> Result<Outcome, Failure> {
        let began = Instant::now();
        let permit = tokio::time::timeout(self.config.timeout, self.permits.acquire()).await;
        let Ok(_permit) = permit else {
            // Too many questions of our own: that says nothing about the server.
            return Err(Failure::TimedOut);
        };
        let left = self.config.timeout.saturating_sub(began.elapsed());
        let asked = self.ofrep.single(&question.flag, &question.context);
        match tokio::time::timeout(left, asked)
            .await
            .unwrap_or(Err(Failure::TimedOut))
        {
            Ok(outcome) => {
                locked(&self.rest).failures = 0;
                locked(&self.kept).remove(&question.key);
                self.dirty.store(true, Ordering::Release);
                Ok(self.cache.put(question, outcome, seen).outcome.clone())
            }
            Err(failure) => {
                self.cache.put_off(&question.key, jittered(FIRST_REST));
                self.failed(&failure);
                Err(failure)
            }
        }
    }

    fn failed(&self, failure: &Failure) {
        let mut rest = locked(&self.rest);
        rest.failures = rest.failures.saturating_add(1);
        let wait = match failure {
            Failure::Busy(wait) => *wait,
            _ if failure.is_the_servers() && rest.failures >= FAILURES => {
                let doubled = FIRST_REST * 2u32.saturating_pow((rest.failures - FAILURES).min(8));
                jittered(doubled.min(LONGEST_REST))
            }
            _ => return,
        };
        let until = Instant::now() + wait;
        if rest.until.as_ref().is_none_or(|(there, _)| *there < until) {
            rest.until = Some((until, failure.clone()));
        }
    }

    /// Why the server is left alone now.
    pub(crate) fn resting(&self) -> Option<Failure> {
        let mut rest = locked(&self.rest);
        match &rest.until {
            Some((until, failure)) if *until > Instant::now() => Some(failure.clone()),
            Some(_) => {
                rest.until = None;
                None
            }
            None => None,
        }
    }

    fn rest_left(&self) -> Duration {
        let rest = locked(&self.rest);
        let until = rest.until.as_ref().map(|(until, _)| *until);
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// The server answered the one who watches it.
    pub(crate) fn reached(&self) {
        let mut rest = locked(&self.rest);
        let asked_for = matches!(&rest.until, Some((_, Failure::Busy(_))));
        if !asked_for {
            *rest = Rest::default();
        }
        drop(rest);
        self.turn(&State::Ready);
    }

    /// It did not, and is tried again after `wait`: nobody has to find out again meanwhile.
    pub(crate) fn lost(&self, failure: &Failure, wait: Duration) {
        let is_gone = matches!(failure, Failure::TimedOut | Failure::Unreachable(_));
        if is_gone || matches!(failure, Failure::Busy(_)) {
            locked(&self.rest).until = Some((Instant::now() + wait, failure.clone()));
        }
        let why = failure.to_string();
        let knows = !self.cache.is_empty() || !locked(&self.kept).is_empty();
        self.turn(&match knows {
            true => State::Stale { why },
            false => State::Error { why },
        });
    }

    fn turn(&self, state: &State) {
        let turned = self.state.send_if_modified(|there| {
            let differs = there != state;
            there.clone_from(state);
            differs
        });
        if turned {
            tracing::debug!(?state, "flags");
        }
    }

    /// The server said that something changed: all that is remembered is asked again.
    pub(crate) fn changed(self: &Arc<Self>) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let core = Arc::clone(self);
        self.handle.spawn(async move { core.renew().await });
    }

    /// Until all is renewed, a later change takes over, or the server is lost: whoever finds
    /// it again looks at all of it then.
    async fn renew(self: Arc<Self>) {
        let change = self.changes.load(Ordering::Acquire);
        let goes_on = || self.changes.load(Ordering::Acquire) == change;
        while goes_on() {
            let old = |entry: &Arc<Entry>| entry.seen < change;
            let left: Vec<_> = self.cache.all().into_iter().filter(old).collect();
            if left.is_empty() {
                return;
            }
            let mut tasks = tokio::task::JoinSet::new();
            for entry in left {
                if !goes_on() || self.resting().is_some() {
                    break;
                }
                if tasks.len() >= RENEWALS {
                    let _ = tasks.join_next().await;
                }
                let mut flight = self.flight(&entry.question);
                tasks.spawn(async move {
                    let _ = flight.wait_for(Option::is_some).await;
                });
            }
            while tasks.join_next().await.is_some() {}
            if !self.state.borrow().is_ready() {
                return;
            }
            // What failed is tried again, but not at once.
            let wait = self.rest_left().max(FIRST_REST / 10);
            tokio::time::sleep(jittered(wait)).await;
        }
    }

    /// Writes the last known values, where there is a place for them.
    pub(crate) async fn save(self: Arc<Self>) -> Result<(), String> {
        let core = Arc::clone(&self);
        let Some(path) = core.config.disk.clone() else {
            return Ok(());
        };
        self.dirty.store(false, Ordering::Release);
        let write = move || {
            let mut all = locked(&core.kept).clone();
            let known = core.cache.all();
            for entry in known.iter() {
                if let Ok(answer) = &entry.outcome {
                    let (answer, at) = (answer.clone(), entry.wall);
                    all.insert(entry.question.key, Kept { answer, at });
                }
            }
            disk::write(&path, &core.config, all.into_iter()).map_err(|error| error.to_string())
        };
        let written = self.handle.spawn_blocking(write).await;
        let written = written.unwrap_or_else(|error| Err(error.to_string()));
        if written.is_err() {
            self.dirty.store(true, Ordering::Release);
        }
        written
    }
}
