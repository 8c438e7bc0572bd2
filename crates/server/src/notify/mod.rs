//! Out to people: what is recorded is told, after the fact and beside everything else.
//!
//! A follower reads what the actors have recorded, keeps its own cursor in each stream and
//! puts what there is to tell into the outbox; one courier a channel carries it from
//! there. Nobody waits for either: actors at most wake the follower, and a channel that
//! hangs holds up nothing but itself. What is told stands in two pure modules, `tell` and
//! `notice`; the texts are one file.

mod courier;
mod features;
mod follow;
mod health;
mod links;
mod manage;
mod notice;
mod tell;
#[cfg(test)]
mod tests;
mod texts;

pub(crate) use links::LinkMaker;
pub(crate) use manage::{ChannelStatus, TestError, success_percent};
pub(crate) use notice::Act;
pub(crate) use notice::Notice;

use crate::app::App;
use esclusa_drivers::notify::{NotifyConfig, parse};
use esclusa_model::Timestamp;
use esclusa_plan::{Diagnostic, SourceFile, render_places};
use esclusa_store::Store;
use manage::Counts;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// The file in the data folder that is read where no other is named.
pub(crate) const FILE: &str = "notify.yaml";
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Messages that wait for one channel while nothing can be recorded.
const URGENT: usize = 16;

/// The settings in force, and what is wrong with those that are not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loaded {
    pub config: NotifyConfig,
    /// Why the file as it is now is not in force.
    pub trouble: Option<String>,
}

/// What tells people.
pub(crate) struct Notifier {
    pub(crate) store: Store,
    loaded: watch::Sender<Arc<Loaded>>,
    /// Counts up when something was put into the outbox.
    put: watch::Sender<u64>,
    /// Straight to a channel's courier, for when nothing can be recorded.
    urgent: Mutex<BTreeMap<String, mpsc::Sender<Notice>>>,
    /// One try at a time a channel.
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    counts: Mutex<Counts>,
    links: OnceLock<Arc<dyn LinkMaker>>,
}

impl Notifier {
    pub(crate) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self {
            store,
            loaded: watch::channel(Arc::default()).0,
            put: watch::channel(0).0,
            urgent: Mutex::default(),
            turns: Mutex::default(),
            counts: Mutex::default(),
            links: OnceLock::new(),
        })
    }

    /// Who makes links to act with; messages have none without.
    pub(crate) fn make_links_with(&self, maker: Arc<dyn LinkMaker>) {
        // The first one stays.
        let _ = self.links.set(maker);
    }

    /// The settings in force.
    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        self.loaded.borrow().clone()
    }

    /// Says that something waits.
    pub(crate) fn poke(&self) {
        self.put.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn turn_of(&self, channel: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        Arc::clone(turns.entry(channel.to_owned()).or_default())
    }

    /// Tells people until the program ends. `file` is named by the caller; else the one in
    /// the data folder is read, where there is one.
    pub(crate) async fn run(self: Arc<Self>, app: Arc<App>, file: Option<PathBuf>) {
        let data = app.shared.data_dir.clone();
        let place = file.clone().unwrap_or_else(|| data.join(FILE));
        let wanted = if file.is_some() {
            Wanted::Yes
        } else {
            Wanted::IfThere
        };
        let mut hang_up = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::error!(%error, "SIGHUP is not heard"))
            .ok();
        self.load(&place, wanted).await;
        tokio::spawn(follow::follow(Arc::clone(&self), Arc::clone(&app)));
        tokio::spawn(health::watch(Arc::clone(&self), app));
        loop {
            // Couriers end with the set, also in the middle of a try: what was sent is sent
            // again under the same id.
            let _couriers = self.couriers();
            let heard = match &mut hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => None,
            };
            if heard.is_none() {
                return std::future::pending().await;
            }
            self.load(&place, wanted).await;
        }
    }

    /// Starts one courier for each channel.
    fn couriers(self: &Arc<Self>) -> JoinSet<()> {
        let mut couriers = JoinSet::new();
        let mut urgent = BTreeMap::new();
        for channel in self.loaded().config.channels.iter().filter(|c| c.enabled) {
            let (send, receive) = mpsc::channel(URGENT);
            urgent.insert(channel.name.clone(), send);
            couriers.spawn(courier::carry(
                Arc::clone(self),
                channel.clone(),
                self.put.subscribe(),
                receive,
            ));
        }
        *lock(&self.urgent) = urgent;
        couriers
    }

    /// Reads the file. One that is wrong changes nothing, and is told of aloud: who is to
    /// be told of everything else must not be found out at the next alarm.
    async fn load(&self, place: &Path, wanted: Wanted) {
        let before = self.loaded();
        let loaded = match read(place, wanted).await {
            Ok(config) => {
                let channels = config.channels.len();
                tracing::info!(channels, file = %place.display(), "Notifications are set up");
                Loaded {
                    config,
                    trouble: None,
                }
            }
            Err(why) => {
                tracing::error!(
                    file = %place.display(),
                    "Notifications are not set up as the file says (ESC-0704):\n{why}"
                );
                Loaded {
                    config: before.config.clone(),
                    trouble: Some(why),
                }
            }
        };
        let known: Vec<String> = loaded
            .config
            .channels
            .iter()
            .map(|c| c.name.clone())
            .collect();
        let faultless = loaded.trouble.is_none();
        self.loaded.send_replace(Arc::new(loaded));
        if faultless {
            self.give_up_others(&known).await;
        }
    }

    async fn give_up_others(&self, known: &[String]) {
        let now = crate::clock::now();
        let why = "the channel is not in the file any more";
        match self.store.give_up_others(known, now, why).await {
            Ok(0) => {}
            Ok(given_up) => tracing::warn!(given_up, "Messages waited for channels that are gone"),
            Err(error) => tracing::warn!(%error, "Messages of channels that are gone still wait"),
        }
    }
}

/// Whether there has to be a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    IfThere,
}

async fn read(place: &Path, wanted: Wanted) -> Result<NotifyConfig, String> {
    match tokio::fs::metadata(place).await {
        Ok(found) if found.len() > MAX_FILE_BYTES => {
            return Err(format!("the file is larger than {MAX_FILE_BYTES} bytes"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && wanted == Wanted::IfThere => {
            return Ok(NotifyConfig::default());
        }
        Err(error) => return Err(error.to_string()),
    }
    let text = tokio::fs::read_to_string(place).await;
    let text = text.map_err(|error| error.to_string())?;
    let source = SourceFile::new(place.display().to_string(), text);
    check(&source).map_err(|found| render_places(&source, &found))
}

/// Reads a file that says who is told what.
///
/// # Errors
/// Everything that is wrong with it, in its order.
pub fn check(source: &SourceFile) -> Result<NotifyConfig, Vec<Diagnostic>> {
    parse(source, &notice::event_names())
}

/// Keeps each thing that is wrong from being told with every look.
#[derive(Debug, Default)]
struct Told(BTreeSet<String>);

impl Told {
    /// Whether it is news.
    fn news(&mut self, what: &str) -> bool {
        self.0.insert(what.to_owned())
    }

    /// It is well again; whether it was not.
    fn well(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So long ago.
fn age(at: Timestamp, now: Timestamp) -> std::time::Duration {
    now.since(at).as_std()
}
