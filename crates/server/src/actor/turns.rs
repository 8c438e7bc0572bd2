//! The order of a service's questions to its dial.
//!
//! Each question runs in a task of its own, and tasks may begin in any order. Without
//! this, one that asks for an older exposure could arrive after a newer one and expose
//! users again whom the newer one had taken back.

use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Gives out the turns of one service.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    given: u64,
    /// The newest turn that was taken.
    taken: Arc<Mutex<u64>>,
}

/// One question's place in the order.
#[derive(Debug)]
pub(crate) struct Turn {
    number: u64,
    taken: Arc<Mutex<u64>>,
}

impl Turns {
    /// The next turn. Whoever gets it stands behind all before.
    pub(crate) fn give(&mut self) -> Turn {
        self.given += 1;
        Turn {
            number: self.given,
            taken: Arc::clone(&self.taken),
        }
    }
}

impl Turn {
    /// Waits for those that ask right now. Nothing when a later question has been asked:
    /// this one is overtaken and must not be asked any more. The turn lasts as long as
    /// the guard.
    pub(crate) async fn take(self) -> Option<OwnedMutexGuard<u64>> {
        let mut taken = self.taken.lock_owned().await;
        if *taken > self.number {
            return None;
        }
        *taken = self.number;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_that_was_overtaken_is_not_asked() {
        let mut turns = Turns::default();
        let (expose, take_back) = (turns.give(), turns.give());
        // The later one happens to begin first.
        drop(take_back.take().await.expect("its turn"));
        assert!(expose.take().await.is_none());
        assert!(turns.give().take().await.is_some());
    }

    #[tokio::test]
    async fn questions_are_asked_one_after_the_other() {
        let mut turns = Turns::default();
        let (first, second) = (turns.give(), turns.give());
        let asking = first.take().await.expect("its turn");
        let waiting = tokio::spawn(second.take());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(asking);
        assert!(waiting.await.expect("no panic").is_some());
    }
}
