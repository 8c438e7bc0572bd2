//! A release that ended left the world as its outcome says: everything back, or the one
//! thing named that would not go back; everybody on it, or nobody.

use super::Rule;
use crate::dial::DialMood;
use crate::fact::Fact;
use crate::outside::Outside;
use esclusa_model::{BasisPoints, Outcome, ReleaseId, Timestamp};
use esclusa_release::{Event, Task};

/// Words that say what would not go back.
const NAMED: &[&str] = &[
    "dial",
    "cancelled",
    "undo",
    "stopping",
    "handing",
    "recording",
];

#[derive(Debug, Default)]
pub(super) struct WholeWayBack {
    /// Whether the dial did what it was told, so far: one that does not is named, and
    /// one that lies cannot be seen through.
    unruly: bool,
}

impl Rule for WholeWayBack {
    fn name(&self) -> &'static str {
        "whole_way_back"
    }

    fn see(&mut self, _: Timestamp, fact: &Fact, out: &Outside) -> Result<(), String> {
        let obeys = |mood| {
            matches!(
                mood,
                DialMood::Obeys | DialMood::Coarse | DialMood::Slow(_) | DialMood::NotAbove(_)
            )
        };
        self.unruly |= out.command_dial.as_ref().is_some_and(|d| !obeys(d.mood));
        match fact {
            Fact::Recorded { release, event, .. } => match &**event {
                Event::Ended { outcome, reason } => self.ended(out, release, *outcome, reason),
                _ => Ok(()),
            },
            // It is everybody's feature from here on: no rule of exposure is left to it.
            Fact::FlagsKept {
                release,
                kept: true,
                ..
            } if out
                .store
                .streams
                .get(release)
                .is_some_and(|s| s.fold.phase.is_returning()) =>
            {
                Err(format!(
                    "{release} goes back, and the flag set is given its flags"
                ))
            }
            Fact::Began {
                task: Task::StopCanary,
                ..
            } if !self.unruly && out.shows() > BasisPoints::ZERO => Err(format!(
                "the canary is stopped while {} of users see it",
                out.shows()
            )),
            _ => Ok(()),
        }
    }
}

impl WholeWayBack {
    fn ended(
        &self,
        out: &Outside,
        release: &ReleaseId,
        outcome: Outcome,
        reason: &str,
    ) -> Result<(), String> {
        match outcome {
            Outcome::Promoted | Outcome::PromotedEarly => {
                if out.plan.flags.is_some() && out.store.flags.as_ref() != Some(release) {
                    return Err(format!(
                        "{release} is promoted, and the flag set has no flags of it"
                    ));
                }
                if out.plan.flags_alone().is_some() {
                    return self.nothing_moved(out, release);
                }
                if !out.store.service.stable_is_of(release) {
                    return Err(format!("{release} is promoted, and not stable"));
                }
                if !out.work.done.contains(&(release.clone(), Task::HandOver)) {
                    return Err(format!(
                        "{release} is promoted, and its workers never moved"
                    ));
                }
                Ok(())
            }
            Outcome::RollbackFailed => {
                if NAMED.iter().any(|named| reason.contains(named)) {
                    Ok(())
                } else {
                    Err(format!("nothing is named that would not go back: {reason}"))
                }
            }
            Outcome::RolledBack | Outcome::Aborted | Outcome::Refused => {
                self.nothing_left(out, release)
            }
            Outcome::Held => Err("held is no end".into()),
        }
    }

    /// Of a release of flags alone: what serves users was never touched.
    fn nothing_moved(&self, out: &Outside, release: &ReleaseId) -> Result<(), String> {
        let moves = [
            Task::Deploy,
            Task::HandOver,
            Task::HandBack,
            Task::StopCanary,
        ];
        let moved = moves.into_iter().find(|task| {
            let key = (release.clone(), *task);
            out.work.runs.contains_key(&key)
        });
        match moved {
            Some(task) => Err(format!("{release} turns flags alone, and {task} ran")),
            None if out.store.service.stable_is_of(release) => {
                Err(format!("{release} turns flags alone, and is stable"))
            }
            None => Ok(()),
        }
    }

    fn nothing_left(&self, out: &Outside, release: &ReleaseId) -> Result<(), String> {
        let shows = out.shows();
        if !self.unruly && shows > BasisPoints::ZERO {
            return Err(format!("{release} ended and {shows} of users still see it"));
        }
        if out.store.service.stable_is_of(release) {
            return Err(format!(
                "{release} went back and is still recorded as stable"
            ));
        }
        if out.store.flags.as_ref() == Some(release) {
            return Err(format!(
                "{release} went back and the flag set has its flags"
            ));
        }
        let plan = &out.plan;
        if plan.flags_alone().is_some() {
            self.nothing_moved(out, release)?;
        }
        let undone = |task: Task| match task {
            Task::Before(i) => plan.before.get(i).is_some_and(|s| s.undo.is_some()),
            Task::After(i) => plan.after.get(i).is_some_and(|s| s.undo.is_some()),
            Task::Deploy | Task::HandOver => true,
            _ => false,
        };
        let left = out
            .work
            .standing
            .iter()
            .find(|(of, task)| of == release && undone(*task));
        match left {
            Some((_, task)) => Err(format!("{release} ended and {task} was not taken back")),
            None => Ok(()),
        }
    }
}
