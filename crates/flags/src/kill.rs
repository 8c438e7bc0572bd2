//! Kills: above every rule, override and tester, and never lost to an older message.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether something is killed, as the controller of an epoch said it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KillMark {
    /// Grows with each kill and each lifting of one.
    pub epoch: u64,
    /// Whether it is killed.
    pub killed: bool,
}

/// All kills that are known. Merging is a join: in whatever order and however often
/// messages arrive, everybody ends with the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kills {
    /// Every flag at once.
    #[serde(default)]
    pub all: KillMark,
    /// Single flags. A key without a flag is kept: the flag may come later.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, KillMark>,
}

impl KillMark {
    /// The later of both; at the same epoch killed wins.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match self.epoch.cmp(&other.epoch) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => Self {
                epoch: self.epoch,
                killed: self.killed || other.killed,
            },
        }
    }

    fn active(self) -> Option<u64> {
        self.killed.then_some(self.epoch)
    }
}

impl Kills {
    /// Takes over whatever `other` knows later. An older message changes nothing.
    pub fn merge(&mut self, other: &Self) {
        self.all = self.all.join(other.all);
        for (key, mark) in &other.flags {
            let mine = self.flags.entry(key.clone()).or_default();
            *mine = mine.join(*mark);
        }
    }

    /// Whether one of these was killed after an epoch, and is still: flags by marks of their
    /// own, `None` by the mark of all.
    #[must_use]
    pub fn killed_after(&self, flags: Option<&[String]>, epoch: u64) -> bool {
        let later = |mark: KillMark| mark.killed && mark.epoch > epoch;
        match flags {
            None => later(self.all),
            Some(keys) => {
                let mut marks = keys.iter().filter_map(|key| self.flags.get(key));
                marks.any(|mark| later(*mark))
            }
        }
    }

    /// The epoch of the kill that holds for a flag, the one of all flags first.
    #[must_use]
    pub fn of(&self, flag: &str) -> Option<u64> {
        let own = || self.flags.get(flag).copied().and_then(KillMark::active);
        self.all.active().or_else(own)
    }

    /// The highest epoch seen: the next kill or lifting takes a higher one.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        let marks = self.flags.values().map(|mark| mark.epoch);
        marks.fold(self.all.epoch, u64::max)
    }

    /// Kills one flag, or all.
    pub fn kill(&mut self, flag: Option<&str>) {
        self.mark(flag, true);
    }

    /// Lifts the kill of one flag, or the one of all; each lifts only its own.
    pub fn lift(&mut self, flag: Option<&str>) {
        self.mark(flag, false);
    }

    fn mark(&mut self, flag: Option<&str>, killed: bool) {
        let epoch = self.epoch() + 1;
        let mark = KillMark { epoch, killed };
        match flag {
            Some(key) => {
                self.flags.insert(key.to_owned(), mark);
            }
            None => self.all = mark,
        }
    }
}
