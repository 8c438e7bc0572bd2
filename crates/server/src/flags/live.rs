//! What holds right now, recorded or not: kills, rollouts and tokens. Pure.
//!
//! A kill is here first and in the record afterwards; until then it stands in the journal
//! that is published, so that whoever comes after this program finds it.

use super::ledger::marks;
use crate::rollouts::Turned;
use esclusa_flags::{FlagSet, KillMark, Kills, Rollout};
use esclusa_model::{Actor, ServiceName, Timestamp};
use esclusa_wire::{FlagDocument, FlagKill, FlagToken};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Kills that are remembered with who decided them.
const DECIDED: usize = 100;

/// What is published beside the set.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// What is killed.
    pub kills: Kills,
    /// Kills and liftings that the store does not have yet, oldest first.
    pub unrecorded: Vec<FlagKill>,
    /// The latest kills since this program began, for whoever asks why.
    decided: VecDeque<FlagKill>,
    /// What running releases turn, by service.
    turned: BTreeMap<ServiceName, Turned>,
    /// What an earlier controller's releases turned.
    inherited: Vec<Rollout>,
    /// Services that have not said yet what they turn. Until they have, what an earlier
    /// controller published stays.
    awaited: BTreeSet<ServiceName>,
    /// Tokens that are live.
    pub tokens: Vec<FlagToken>,
    /// Counts what is to be published anew.
    pub version: u64,
}

impl Live {
    /// What the store knows.
    pub(crate) fn new(kills: Kills, tokens: Vec<FlagToken>) -> Self {
        Self {
            kills,
            tokens,
            ..Self::default()
        }
    }

    /// The next kill or lifting, in force here from now on.
    pub(crate) fn decide(
        &mut self,
        flags: Option<Vec<String>>,
        killed: bool,
        (by, reason, at): (&Actor, &str, Timestamp),
    ) -> FlagKill {
        let kill = FlagKill {
            flags,
            killed,
            epoch: self.kills.epoch() + 1,
            by: by.clone(),
            reason: reason.to_owned(),
            at,
        };
        self.adopt_one(kill.clone());
        kill
    }

    /// Takes over a decision of somebody else, unless it is known; whether it was new.
    pub(crate) fn adopt_one(&mut self, kill: FlagKill) -> bool {
        let mut after = self.kills.clone();
        after.merge(&marks(&kill));
        if after == self.kills {
            return false;
        }
        self.kills = after;
        if self.decided.len() >= DECIDED {
            self.decided.pop_front();
        }
        self.decided.push_back(kill.clone());
        self.unrecorded.push(kill);
        self.version += 1;
        true
    }

    /// The decision by which a flag is killed, if it is. Of one from before this program
    /// began it is known that it holds.
    pub(crate) fn killed_by(&self, flag: &str) -> Option<FlagKill> {
        let epoch = self.kills.of(flag)?;
        let is_it = |kill: &&FlagKill| {
            let flags = kill.flags.as_deref();
            let of = flags.is_none_or(|flags| flags.iter().any(|key| key == flag));
            kill.killed && kill.epoch == epoch && of
        };
        let known = self.decided.iter().rev().find(is_it);
        Some(known.cloned().unwrap_or_else(|| FlagKill {
            flags: Some(vec![flag.to_owned()]),
            killed: true,
            epoch,
            by: actor("flags"),
            reason: "see `esclusa flag history`".to_owned(),
            at: Timestamp::default(),
        }))
    }

    /// The latest decision after `since` by which one of these flags was killed, as far as
    /// this program remembers it, lifted again or not.
    pub(crate) fn killed_since(
        &self,
        since: Timestamp,
        flags: &BTreeSet<&str>,
    ) -> Option<FlagKill> {
        let is_it = |kill: &&FlagKill| {
            let named = kill.flags.as_deref();
            let of = named.is_none_or(|keys| keys.iter().any(|key| flags.contains(key.as_str())));
            kill.killed && kill.at > since && of
        };
        self.decided.iter().rev().find(is_it).cloned()
    }

    /// Takes over what a data plane knows: first decisions with their author, then marks of
    /// which nothing else is known.
    pub(crate) fn adopt(&mut self, decided: &[FlagKill], kills: &Kills, now: Timestamp) -> bool {
        let mut decided: Vec<&FlagKill> = decided.iter().collect();
        decided.sort_by_key(|kill| kill.epoch);
        let mut news = false;
        for kill in decided {
            news |= self.adopt_one(kill.clone());
        }
        for (mark, flags) in self.unknown(kills) {
            news |= self.adopt_one(FlagKill {
                flags,
                killed: mark.killed,
                epoch: mark.epoch,
                by: actor("proxy"),
                reason: "found at the proxy, which does not know who decided it".into(),
                at: now,
            });
        }
        news
    }

    /// Marks that are later than ours, by epoch; flags of one epoch together.
    fn unknown(&self, kills: &Kills) -> Vec<(KillMark, Option<Vec<String>>)> {
        let mut found = Vec::new();
        if self.kills.all.join(kills.all) != self.kills.all {
            found.push((kills.all, None));
        }
        let mut of: BTreeMap<(u64, bool), Vec<String>> = BTreeMap::new();
        for (key, mark) in &kills.flags {
            let known = self.kills.flags.get(key).copied().unwrap_or_default();
            if known.join(*mark) != known {
                let flags = of.entry((mark.epoch, mark.killed)).or_default();
                flags.push(key.clone());
            }
        }
        found.extend(
            of.into_iter()
                .map(|((epoch, killed), flags)| (KillMark { epoch, killed }, Some(flags))),
        );
        found.sort_by_key(|(mark, _)| mark.epoch);
        found
    }

    /// Forgets from the journal what the store has now.
    pub(crate) fn recorded(&mut self, kills: &[FlagKill]) {
        self.unrecorded.retain(|kill| !kills.contains(kill));
        self.version += 1;
    }

    /// What an earlier controller's releases turned stays until each of these services has
    /// said what it turns.
    pub(crate) fn wait_for(&mut self, services: impl IntoIterator<Item = ServiceName>) {
        self.awaited.extend(services);
    }

    /// Notes what an earlier controller published.
    pub(crate) fn inherit(&mut self, rollouts: Vec<Rollout>) {
        self.inherited = rollouts;
        self.forget_inherited();
    }

    /// A service's releases turn this; whether that is news.
    pub(crate) fn turn(&mut self, service: &ServiceName, turned: Turned) -> bool {
        self.awaited.remove(service);
        let before = (self.rollouts(), self.turned.get(service).cloned());
        self.inherited
            .retain(|old| turned.rollouts.iter().all(|new| new.release != old.release));
        match turned == Turned::default() {
            true => self.turned.remove(service),
            false => self.turned.insert(service.clone(), turned),
        };
        self.forget_inherited();
        let news = (self.rollouts(), self.turned.get(service).cloned()) != before;
        self.version += u64::from(news);
        news
    }

    /// Whether all services have said what they turn.
    pub(crate) fn is_settled(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Waits for nobody any more.
    pub(crate) fn stop_waiting(&mut self) {
        self.awaited.clear();
        self.forget_inherited();
    }

    fn forget_inherited(&mut self) {
        if self.awaited.is_empty() && !self.inherited.is_empty() {
            self.inherited.clear();
            self.version += 1;
        }
    }

    /// What all running releases turn.
    pub(crate) fn rollouts(&self) -> Vec<Rollout> {
        let running = self.turned.values().flat_map(|turned| &turned.rollouts);
        running.chain(&self.inherited).cloned().collect()
    }

    /// The set without what releases took back and the record may still have.
    pub(crate) fn without_withdrawn(&self, set: &FlagSet) -> FlagSet {
        let turned = self.turned.values();
        turned.fold(set.clone(), |set, turned| turned.without_withdrawn(set))
    }

    /// Everything that a data plane is to know; its name and key are the caller's.
    pub(crate) fn document(&self, set: &FlagSet) -> FlagDocument {
        FlagDocument {
            v: esclusa_wire::WIRE_VERSION,
            id: esclusa_model::GenerationId::default(),
            set: self.without_withdrawn(set),
            kills: self.kills.clone(),
            rollouts: self.rollouts(),
            tokens: self.tokens.clone(),
            key: String::new(),
            journal: self.unrecorded.clone(),
        }
    }
}

/// Who is named where nobody is known.
fn actor(name: &'static str) -> Actor {
    #[expect(clippy::expect_used, reason = "five letters are a valid name")]
    Actor::new(name).expect("a valid name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::ReleaseId;

    fn ana() -> Actor {
        Actor::new("ana").expect("a name")
    }

    fn kill(live: &mut Live, flag: Option<&str>, killed: bool) -> FlagKill {
        let flags = flag.map(|flag| vec![flag.to_owned()]);
        live.decide(flags, killed, (&ana(), "", Timestamp(7)))
    }

    // EMG-04: what was decided at a proxy comes with its time and author.
    #[test]
    fn decisions_at_a_proxy_are_taken_over_once() {
        let (mut proxy, mut ours) = (Live::default(), Live::default());
        let known = kill(&mut ours, Some("a"), true);
        proxy.adopt_one(known);
        kill(&mut proxy, Some("b"), true);
        kill(&mut proxy, None, true);
        assert!(ours.adopt(&proxy.unrecorded, &proxy.kills, Timestamp(9)));
        assert_eq!(ours.kills, proxy.kills);
        assert_eq!(ours.unrecorded, proxy.unrecorded);
        assert!(!ours.adopt(&proxy.unrecorded, &proxy.kills, Timestamp(9)));
        // Nothing is known of these but that they hold.
        let mut fresh = Live::default();
        assert!(fresh.adopt(&[], &proxy.kills, Timestamp(9)));
        assert_eq!(fresh.kills, proxy.kills);
        assert!(fresh.unrecorded.iter().all(|k| k.by.as_str() == "proxy"));
        // What was lifted here since stays lifted.
        let mut later = Live::default();
        later.adopt(&[], &proxy.kills, Timestamp(9));
        kill(&mut later, None, false);
        assert!(!later.adopt(&proxy.unrecorded, &proxy.kills, Timestamp(9)));
        assert_eq!(later.kills.of("c"), None);
        assert!(later.kills.of("b").is_some());
    }

    #[test]
    fn who_killed_a_flag_is_known_for_as_long_as_it_is_killed() {
        let mut live = Live::default();
        assert_eq!(live.killed_by("a"), None);
        let all = kill(&mut live, None, true);
        let own = kill(&mut live, Some("a"), true);
        assert_eq!(live.killed_by("b").as_ref(), Some(&all));
        kill(&mut live, None, false);
        assert_eq!(live.killed_by("b"), None);
        assert_eq!(live.killed_by("a").as_ref(), Some(&own));
        // One that was decided before this program began.
        let later = Live::new(live.kills, Vec::new());
        let known = later.killed_by("a").expect("it is killed");
        assert_eq!((known.epoch, known.by.as_str()), (own.epoch, "flags"));
    }

    #[test]
    fn what_ran_before_stays_until_its_service_has_spoken() {
        let service = ServiceName::new("shop").expect("a name");
        let rollout = |release: &str, share: u16| Rollout {
            release: ReleaseId::new(release).expect("an id"),
            environment: "production".into(),
            flags: BTreeMap::from([("a".to_owned(), "on".to_owned())]),
            segments: Vec::new(),
            share: esclusa_model::BasisPoints::new(share).expect("a share"),
            of: None,
            salt: "s".into(),
        };
        let turned = |rollouts| Turned {
            rollouts,
            withdrawn: None,
        };
        let published = |live: &Live| live.document(&FlagSet::default()).rollouts;
        let mut live = Live::default();
        live.wait_for([service.clone()]);
        live.inherit(vec![rollout("one", 500)]);
        assert_eq!(published(&live), [rollout("one", 500)]);
        assert!(live.turn(&service, turned(vec![rollout("one", 2_500)])));
        assert_eq!(published(&live), [rollout("one", 2_500)]);
        assert!(!live.turn(&service, turned(vec![rollout("one", 2_500)])));
        assert!(live.turn(&service, turned(Vec::new())));
        assert_eq!(published(&live), []);
        // Nobody is waited for who does not exist.
        live.inherit(vec![rollout("two", 500)]);
        assert_eq!(published(&live), []);
    }
}
