//! Connections to instances, kept by one worker for the next request.
//!
//! Last in, first out: the connection used last is the least likely to have been closed
//! by the other side. Never shared between workers.

use crate::exchange::body::RequestBody;
use crate::registry::Key;
use hyper::client::conn::http1::SendRequest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A connection that can carry requests.
pub(crate) type Sender = SendRequest<RequestBody>;

#[derive(Debug)]
struct Idle {
    sender: Sender,
    until: Instant,
}

/// One worker's unused connections by what they are for.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
    keep: Duration,
    max_idle: usize,
}

impl Pool {
    pub(crate) fn new(keep: Duration, max_idle: usize) -> Arc<Self> {
        Arc::new(Self {
            idle: Mutex::new(HashMap::new()),
            keep,
            max_idle,
        })
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<Key, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection for `key` that looks alive.
    pub(crate) fn take(&self, key: Key) -> Option<Sender> {
        let now = Instant::now();
        let mut idle = self.idle();
        let list = idle.get_mut(&key)?;
        let mut at = list.len();
        while at > 0 {
            at -= 1;
            let entry = &list[at];
            if entry.sender.is_closed() || entry.until <= now {
                list.remove(at);
            } else if entry.sender.is_ready() {
                return Some(list.remove(at).sender);
            }
            // Else its last answer is still being finished; an older one may be free.
        }
        None
    }

    fn put(&self, key: Key, sender: Sender, keep: Duration) {
        if sender.is_closed() || self.max_idle == 0 {
            return;
        }
        let mut idle = self.idle();
        let list = idle.entry(key).or_default();
        if list.len() >= self.max_idle {
            list.remove(0);
        }
        list.push(Idle {
            sender,
            until: Instant::now() + keep,
        });
    }

    /// Closes what is too old.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.idle();
        idle.retain(|_, list| {
            list.retain(|entry| entry.until > now && !entry.sender.is_closed());
            !list.is_empty()
        });
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        self.idle().clear();
    }
}

/// A connection that is carrying a request.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    key: Key,
    sender: Sender,
    keep: Duration,
}

impl Lease {
    pub(crate) fn new(pool: &Arc<Pool>, key: Key, sender: Sender) -> Self {
        Self {
            pool: Arc::clone(pool),
            key,
            sender,
            keep: pool.keep,
        }
    }

    /// Keeps it a second less than the other side says it does.
    pub(crate) fn server_keeps_for(&mut self, seconds: u64) {
        let allowed = Duration::from_secs(seconds).saturating_sub(Duration::from_secs(1));
        self.keep = self.keep.min(allowed.max(Duration::from_millis(300)));
    }

    /// The answer is complete: the next request may use it.
    pub(crate) fn give_back(self) {
        self.pool.put(self.key, self.sender, self.keep);
    }
}
