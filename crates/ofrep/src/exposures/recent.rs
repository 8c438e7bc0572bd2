//! What was recorded lately: a table of marks of a fixed size, without locks.
//!
//! Each mark has one place. Two that share one push each other out, so that something may
//! be recorded twice; nothing is left out that was not there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::Xxh3;

/// Places; half a megabyte, once there is anything to remember.
const PLACES: usize = 1 << 16;

/// The table, made when it is needed first.
#[derive(Debug, Default)]
pub(super) struct Recent(OnceLock<Box<[AtomicU64]>>);

/// A hash that names something, never 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(u64);

impl Recent {
    /// What stands for one exposure in one window of time.
    pub(super) fn mark(window: u64, revision: u64, texts: [&str; 4]) -> Mark {
        let mut hasher = Xxh3::new();
        hasher.update(&window.to_le_bytes());
        hasher.update(&revision.to_le_bytes());
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Mark(hasher.digest().max(1))
    }

    /// Whether it was not there; it is from now on.
    pub(super) fn is_new(&self, mark: Mark) -> bool {
        self.place(mark).swap(mark.0, Ordering::Relaxed) != mark.0
    }

    /// It was not recorded after all.
    pub(super) fn forget(&self, mark: Mark) {
        let place = self.place(mark);
        // Another one there is left.
        let _ = place.compare_exchange(mark.0, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn place(&self, mark: Mark) -> &AtomicU64 {
        let places = self
            .0
            .get_or_init(|| (0..PLACES).map(|_| AtomicU64::new(0)).collect());
        // The remainder is below the number of places.
        &places[(mark.0 % PLACES as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_new_once_in_a_window() {
        let recent = Recent::default();
        let mark = |window, revision, unit| {
            Recent::mark(window, revision, ["production", "mail", "on", unit])
        };
        assert!(recent.is_new(mark(1, 1, "ana")));
        assert!(!recent.is_new(mark(1, 1, "ana")));
        assert!(recent.is_new(mark(1, 1, "ben")));
        assert!(recent.is_new(mark(1, 2, "ana")), "another revision");
        assert!(recent.is_new(mark(2, 1, "ana")), "another window");
        recent.forget(mark(2, 1, "ana"));
        assert!(recent.is_new(mark(2, 1, "ana")));
        let moved = Recent::mark(1, 1, ["production", "mailo", "n", "ana"]);
        assert!(recent.is_new(moved), "where one text ends counts");
    }

    #[test]
    fn it_never_grows_and_lets_through_what_is_new() {
        let recent = Recent::default();
        for n in 0..4 * PLACES {
            let unit = format!("user-{n}");
            let mark = Recent::mark(1, 1, ["production", "mail", "on", &unit]);
            assert!(recent.is_new(mark), "{unit}");
        }
        assert_eq!(recent.0.get().map(|places| places.len()), Some(PLACES));
    }
}
