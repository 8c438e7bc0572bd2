//! The open event streams: who they are, what they were told, and how to reach them.

mod shard;
mod stream;

use crate::limits::Limits;
use crate::shared::Shared;
use crate::table::{State, Subject};
use esclusa_model::Timestamp;
use esclusa_wire::FlagStream;
pub(crate) use shard::Joining;
use shard::ShardHandle;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use xxhash_rust::xxh3::Xxh3;

/// Parts of the list of streams, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// All open event streams.
#[derive(Debug, Default)]
pub struct Hub {
    shards: RwLock<Vec<ShardHandle>>,
    count: AtomicUsize,
    next: AtomicUsize,
    listed: [Mutex<HashMap<Client, Vec<Arc<StreamInfo>>>>; PARTS],
}

/// A client as far as a stream and a later fetch show that they are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(u64);

impl Client {
    pub(crate) fn new(subject: Subject, peer: IpAddr, agent: &[u8]) -> Self {
        let mut hasher = Xxh3::new();
        if let Subject::Token(id) = subject {
            hasher.update(&id);
        }
        match peer.to_canonical() {
            IpAddr::V4(v4) => hasher.update(&v4.octets()),
            IpAddr::V6(v6) => hasher.update(&v6.octets()),
        }
        hasher.update(agent);
        Self(hasher.digest())
    }
}

/// What is known of one stream.
#[derive(Debug)]
pub(crate) struct StreamInfo {
    client: Client,
    who: Box<str>,
    /// Whether people are shown it.
    shown: bool,
    since: Timestamp,
    told: Known,
    fetched: Known,
}

/// A revision and kill epoch, written by one thread and read by others.
#[derive(Debug)]
struct Known {
    revision: AtomicU64,
    /// One more than the epoch; 0 for nothing.
    epoch: AtomicU64,
}

impl Known {
    const fn nothing() -> Self {
        Self {
            revision: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        }
    }

    /// The epoch last: whoever sees it sees a revision that is at least as new.
    fn set(&self, state: State) {
        self.revision.store(state.revision, Ordering::Release);
        self.epoch.store(state.kill_epoch + 1, Ordering::Release);
    }

    fn get(&self) -> Option<(u64, u64)> {
        let epoch = self.epoch.load(Ordering::Acquire).checked_sub(1)?;
        Some((self.revision.load(Ordering::Acquire), epoch))
    }
}

impl StreamInfo {
    pub(crate) fn new(client: Client, who: String, shown: bool) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // Fits until the year 294,000.
        let micros = now.map_or(0, |since| since.as_micros() as i64);
        Self {
            client,
            who: who.into_boxed_str(),
            shown,
            since: Timestamp(micros),
            told: Known::nothing(),
            fetched: Known::nothing(),
        }
    }

    fn told(&self, state: State) {
        self.told.set(state);
    }
}

impl Hub {
    /// Tells every stream that something changed. It returns at once; the threads that hold
    /// the streams read what is in force now. Calling it too often does no harm.
    pub fn changed(&self) {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        shards.iter().for_each(ShardHandle::wake);
    }

    /// How many streams are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// All open streams, and how far each has come; not the one by which the control plane
    /// measures.
    #[must_use]
    pub fn streams(&self) -> Vec<FlagStream> {
        let mut all = Vec::with_capacity(self.count());
        for part in &self.listed {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let shown = part.values().flatten().filter(|info| info.shown);
            all.extend(shown.map(|info| FlagStream {
                who: info.who.to_string(),
                since: info.since,
                told: info.told.get().unwrap_or_default(),
                fetched: info.fetched.get(),
            }));
        }
        all.sort_by(|a, b| (a.since, &a.who).cmp(&(b.since, &b.who)));
        all
    }

    /// Starts the threads that hold streams.
    pub(crate) fn start(shared: &Arc<Shared>, limits: &Limits) -> io::Result<Vec<JoinHandle<()>>> {
        let mut threads = Vec::new();
        let mut handles = Vec::new();
        for index in 0..Limits::threads(limits.stream_threads) {
            let (handle, thread) = shard::spawn(index, shared, limits)?;
            handles.push(handle);
            threads.push(thread);
        }
        let mut shards = shared
            .hub
            .shards
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        shards.extend(handles);
        Ok(threads)
    }

    /// Ends all streams and the threads that hold them.
    pub(crate) fn end(&self) {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        // A thread ends when nobody can give it streams any more.
        for shard in shards.drain(..) {
            shard.end();
        }
    }

    /// Hands a stream to one of the threads.
    pub(crate) fn join(&self, joining: Joining) {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(shard) = shards.get(turn % shards.len().max(1)) {
            let info = Arc::clone(&joining.info);
            self.list(Arc::clone(&info));
            if !shard.join(joining) {
                // It ends just now, and the client comes back to whoever serves next.
                self.unlist(&info);
            }
        }
    }

    fn part(&self, client: Client) -> MutexGuard<'_, HashMap<Client, Vec<Arc<StreamInfo>>>> {
        // The remainder is below 16.
        let part = &self.listed[(client.0 % PARTS as u64) as usize];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, info: Arc<StreamInfo>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let client = info.client;
        self.part(client).entry(client).or_default().push(info);
    }

    fn unlist(&self, info: &Arc<StreamInfo>) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        let mut part = self.part(info.client);
        if let Some(streams) = part.get_mut(&info.client) {
            streams.retain(|other| !Arc::ptr_eq(other, info));
            if streams.is_empty() {
                part.remove(&info.client);
            }
        }
    }

    /// A client has fetched answers of this state.
    pub(crate) fn fetched(&self, client: Client, state: State) {
        if self.count() == 0 {
            return;
        }
        if let Some(streams) = self.part(client).get(&client) {
            streams.iter().for_each(|info| info.fetched.set(state));
        }
    }
}
