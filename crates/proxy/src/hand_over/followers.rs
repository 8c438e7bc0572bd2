//! The proxies that drain and serve what this one serves.

use esclusa_wire::{FlagsFile, StateFile, VersionLoad};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What a follower is told of.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    State(Arc<StateFile>),
    Flags(Arc<FlagsFile>),
}

/// One that drains, as its connection's task and the control side share it.
#[derive(Debug)]
pub(crate) struct Follower {
    pushes: mpsc::UnboundedSender<(u64, Change)>,
    /// The last push that it was told; one that knows no flags is not told of them.
    told: AtomicU64,
    knows_flags: bool,
    in_force: watch::Receiver<u64>,
    load: watch::Receiver<Option<Vec<VersionLoad>>>,
}

impl Follower {
    fn tell(&self, push: u64, change: &Change) {
        if matches!(change, Change::Flags(_)) && !self.knows_flags {
            tracing::warn!("a proxy from before there were flags drains: guards do not act there");
            return;
        }
        self.told.store(push, Ordering::Relaxed);
        // One whose connection has just ended is about to leave.
        let _ = self.pushes.send((push, change.clone()));
    }
}

/// What a connection's task works with.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) follower: Arc<Follower>,
    pub(crate) pushes: mpsc::UnboundedReceiver<(u64, Change)>,
    /// Dropped with the connection, which ends all waiting for it.
    pub(crate) in_force: watch::Sender<u64>,
    /// What is open there; unknown until it says so. Dropped likewise.
    load: watch::Sender<Option<Vec<VersionLoad>>>,
}

impl Joined {
    pub(crate) fn note_load(&self, load: Vec<VersionLoad>) {
        self.load.send_replace(Some(load));
    }
}

#[derive(Debug, Default)]
struct Inner {
    push: u64,
    /// With the number of each push.
    state: Option<(u64, Change)>,
    flags: Option<(u64, Change)>,
    list: Vec<Arc<Follower>>,
}

impl Inner {
    fn tell_all(&mut self, change: Change) -> (u64, Change) {
        self.push += 1;
        for follower in &self.list {
            follower.tell(self.push, &change);
        }
        (self.push, change)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<Inner>);

impl Followers {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in; it is told what is newest at once.
    pub(crate) fn join(&self, knows_flags: bool) -> Joined {
        let (pushes, inbox) = mpsc::unbounded_channel();
        let (in_force, confirmed) = watch::channel(0);
        let (load, open) = watch::channel(None);
        let follower = Arc::new(Follower {
            pushes,
            told: AtomicU64::new(0),
            knows_flags,
            in_force: confirmed,
            load: open,
        });
        let mut inner = self.inner();
        let mut newest: Vec<_> = inner.flags.iter().chain(&inner.state).collect();
        newest.sort_by_key(|(push, _)| *push);
        for (push, change) in newest {
            follower.tell(*push, change);
        }
        inner.list.push(Arc::clone(&follower));
        Joined {
            follower,
            pushes: inbox,
            in_force,
            load,
        }
    }

    /// Lets one go.
    pub(crate) fn leave(&self, follower: &Arc<Follower>) {
        self.inner().list.retain(|f| !Arc::ptr_eq(f, follower));
    }

    /// Tells all what is served now.
    pub(crate) fn push(&self, state: StateFile) {
        let mut inner = self.inner();
        inner.state = Some(inner.tell_all(Change::State(Arc::new(state))));
    }

    /// Tells all what flags are answered from now.
    pub(crate) fn push_flags(&self, flags: Arc<FlagsFile>) {
        let mut inner = self.inner();
        inner.flags = Some(inner.tell_all(Change::Flags(flags)));
    }

    /// Whether all serve what was pushed last, within `patience`. One whose connection
    /// has ended is not waited for.
    pub(crate) async fn confirmed(&self, patience: Duration) -> bool {
        let told = |f: &Arc<Follower>| (f.told.load(Ordering::Relaxed), f.in_force.clone());
        let waiting: Vec<_> = self.inner().list.iter().map(told).collect();
        let all = async {
            for (push, mut in_force) in waiting {
                // An error means that it is gone.
                let _ = in_force.wait_for(|n| *n >= push).await;
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    pub(crate) fn count(&self) -> usize {
        self.inner().list.len()
    }

    /// Waits until all have said what is open there, within `patience`: until then it is
    /// not known, and not nothing. One whose connection has ended is not waited for.
    pub(crate) async fn have_said(&self, patience: Duration) -> bool {
        let waiting: Vec<_> = self.inner().list.iter().map(|f| f.load.clone()).collect();
        let all = async {
            for mut load in waiting {
                // An error means that it is gone.
                let _ = load.wait_for(Option::is_some).await;
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }

    /// Adds what is open there, as far as they have said.
    pub(crate) fn add_loads(&self, sums: &mut Vec<VersionLoad>) {
        let list = self.inner().list.clone();
        for follower in list {
            let load = follower.load.borrow();
            for more in load.iter().flatten() {
                let same =
                    |l: &&mut VersionLoad| l.service == more.service && l.version == more.version;
                match sums.iter_mut().find(same) {
                    Some(sum) => {
                        sum.in_flight += more.in_flight;
                        sum.tunnels += more.tunnels;
                    }
                    None if more.in_flight + more.tunnels > 0 => sums.push(more.clone()),
                    None => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::{Digest, GenerationId, Millis, ServiceName, Timestamp};
    use esclusa_wire::{Generation, WIRE_VERSION};

    const SOON: Duration = Duration::from_millis(50);

    fn state() -> StateFile {
        StateFile {
            generation: Generation {
                v: WIRE_VERSION,
                id: GenerationId::default(),
                services: Vec::new(),
                journal: Vec::new(),
            },
            returned: Vec::new(),
            taken_back: Vec::new(),
            silent_for: Millis(0),
            written_at: Timestamp(0),
        }
    }

    fn load(in_flight: u64) -> VersionLoad {
        VersionLoad {
            service: ServiceName::new("shop").expect("name"),
            version: Digest::of(b"v"),
            in_flight,
            tunnels: 1,
        }
    }

    #[tokio::test]
    async fn a_change_is_confirmed_by_all_that_are_left() {
        let followers = Followers::default();
        assert!(followers.confirmed(SOON).await, "nobody has to");
        followers.push(state());
        let mut first = followers.join(true);
        let second = followers.join(true);
        followers.push(state());
        assert_eq!(first.pushes.recv().await.map(|p| p.0), Some(1));
        assert_eq!(first.pushes.recv().await.map(|p| p.0), Some(2));
        first.in_force.send_replace(2);
        assert!(!followers.confirmed(SOON).await, "the second has not");
        followers.leave(&second.follower);
        drop(second);
        assert!(followers.confirmed(SOON).await);
    }

    #[tokio::test]
    async fn one_that_knows_no_flags_is_not_waited_for_about_them() {
        let followers = Followers::default();
        let mut old = followers.join(false);
        followers.push(state());
        followers.push_flags(Arc::default());
        assert!(
            !followers.confirmed(SOON).await,
            "it has not confirmed the state"
        );
        assert!(matches!(
            old.pushes.recv().await,
            Some((1, Change::State(_)))
        ));
        old.in_force.send_replace(1);
        assert!(followers.confirmed(SOON).await);
        assert!(old.pushes.try_recv().is_err());
        // One that knows them is told both, in the order in which they came.
        let mut new = followers.join(true);
        assert!(matches!(
            new.pushes.recv().await,
            Some((1, Change::State(_)))
        ));
        assert!(matches!(
            new.pushes.recv().await,
            Some((2, Change::Flags(_)))
        ));
    }

    // What nobody has said is not nothing.
    #[tokio::test]
    async fn what_is_open_there_is_waited_for_once() {
        let followers = Followers::default();
        assert!(followers.have_said(SOON).await, "nobody has to");
        let first = followers.join(true);
        first.note_load(Vec::new());
        let second = followers.join(true);
        assert!(!followers.have_said(SOON).await, "the second has not");
        second.note_load(vec![load(1)]);
        assert!(followers.have_said(SOON).await);
        let mute = followers.join(true);
        drop(mute);
        assert!(followers.have_said(SOON).await, "its connection has ended");
    }

    #[test]
    fn what_is_open_there_counts_here() {
        let followers = Followers::default();
        let joined = followers.join(true);
        joined.note_load(vec![load(3)]);
        let mut sums = vec![load(2)];
        followers.add_loads(&mut sums);
        assert_eq!((sums[0].in_flight, sums[0].tunnels), (5, 2));
        let mut none = Vec::new();
        followers.add_loads(&mut none);
        assert_eq!(none.len(), 1);
    }
}
