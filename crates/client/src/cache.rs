//! What is remembered, by flag and context.

use crate::ofrep::Outcome;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

/// A flag and a context, as one number that does not show either.
pub(crate) type Key = [u8; 32];

/// A question.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) key: Key,
    pub(crate) flag: String,
    /// The context in its one spelling.
    pub(crate) context: String,
}

impl Question {
    pub(crate) fn new(flag: &str, context: String) -> Self {
        let mut hash = Sha256::new();
        hash.update((flag.len() as u64).to_le_bytes());
        hash.update(flag.as_bytes());
        hash.update(context.as_bytes());
        Self {
            key: hash.finalize().into(),
            flag: flag.to_owned(),
            context,
        }
    }
}

/// A question and its answer.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) question: Arc<Question>,
    pub(crate) outcome: Outcome,
    /// How many changes were known when it was asked.
    pub(crate) seen: u64,
    pub(crate) at: Instant,
    pub(crate) wall: SystemTime,
    /// Milliseconds of the cache's own time.
    used: AtomicU64,
    retry: AtomicU64,
}

/// Bounded; those that were used longest ago go first.
pub(crate) struct Cache {
    entries: RwLock<HashMap<Key, Arc<Entry>>>,
    most: usize,
    began: Instant,
}

impl Cache {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            entries: RwLock::default(),
            most,
            began: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        // Fits for half a billion years.
        self.began.elapsed().as_millis() as u64
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(key)?;
        entry.used.store(self.now(), Ordering::Relaxed);
        Some(Arc::clone(entry))
    }

    /// Remembers an outcome, unless what is there was asked later.
    pub(crate) fn put(&self, question: &Arc<Question>, outcome: Outcome, seen: u64) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            outcome,
            seen,
            at: Instant::now(),
            wall: SystemTime::now(),
            used: AtomicU64::new(self.now()),
            retry: AtomicU64::new(0),
            question: Arc::clone(question),
        });
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = entries.get(&question.key) {
            if there.seen > seen {
                return Arc::clone(there);
            }
            let used = there.used.load(Ordering::Relaxed);
            entry.used.store(used, Ordering::Relaxed);
        }
        entries.insert(question.key, Arc::clone(&entry));
        if entries.len() > self.most {
            let mut used: Vec<(u64, Key)> = entries
                .iter()
                .map(|(key, entry)| (entry.used.load(Ordering::Relaxed), *key))
                .filter(|(_, key)| *key != question.key)
                .collect();
            // At least one goes, so that not each new one looks at all.
            let go = (self.most / 8).clamp(1, used.len());
            used.select_nth_unstable(go - 1);
            for (_, key) in &used[..go] {
                entries.remove(key);
            }
        }
        entry
    }

    /// A renewal failed: the next try waits.
    pub(crate) fn put_off(&self, key: &Key, wait: Duration) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(key) {
            let until = self.now() + wait.as_millis() as u64;
            entry.retry.store(until, Ordering::Relaxed);
        }
    }

    pub(crate) fn may_retry(&self, entry: &Entry) -> bool {
        entry.retry.load(Ordering::Relaxed) <= self.now()
    }

    /// All of them, those used last first.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Arc<Entry>> = entries.values().map(Arc::clone).collect();
        drop(entries);
        all.sort_by_cached_key(|entry| std::cmp::Reverse(entry.used.load(Ordering::Relaxed)));
        all
    }

    pub(crate) fn is_empty(&self) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::FlagError;

    fn question(flag: &str) -> Arc<Question> {
        Arc::new(Question::new(flag, "{}".to_owned()))
    }

    #[test]
    fn a_flag_and_a_context_have_one_border() {
        let key = |flag: &str, context: &str| Question::new(flag, context.to_owned()).key;
        assert_eq!(key("a", "{}"), key("a", "{}"));
        assert_ne!(key("a", "b{}"), key("ab", "{}"));
    }

    #[test]
    fn what_was_asked_earlier_replaces_nothing() {
        let cache = Cache::new(10);
        let later = Err(FlagError::TargetingKeyMissing);
        cache.put(&question("a"), later.clone(), 2);
        let kept = cache.put(&question("a"), Err(FlagError::NotFound), 1);
        assert_eq!(kept.outcome, later);
        assert_eq!(cache.get(&question("a").key).expect("there").outcome, later);
    }

    #[test]
    fn the_number_of_entries_is_bounded_and_the_newest_stays() {
        for most in [1, 2, 100] {
            let cache = Cache::new(most);
            for i in 0..500 {
                let question = question(&i.to_string());
                cache.put(&question, Err(FlagError::NotFound), 0);
                assert!(cache.get(&question.key).is_some());
                assert!(cache.all().len() <= most);
            }
        }
    }
}
