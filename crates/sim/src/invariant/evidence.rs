//! Nothing goes forward without what its gate asks for: checks that passed, steps that
//! are done, a dial that was read, a watch that was kept, a judge or a person who said so.

use super::Rule;
use crate::fact::Fact;
use crate::outside::Outside;
use crate::watch::Mood;
use esclusa_engine::DIAL_TOLERANCE_BP;
use esclusa_model::{BasisPoints, Millis, ReleaseId, Timestamp};
use esclusa_plan::{Requirement, Stage};
use esclusa_release::{Event, Exposure, Phase, Task};
use std::collections::{BTreeMap, BTreeSet};

/// The judge counts whole seconds.
const SLACK: Millis = Millis(3_000);

#[derive(Debug)]
struct Known {
    phase: Phase,
    /// Since when, in truth, the stage's exposure is known to be there.
    confirmed: Option<Timestamp>,
    /// Whether a person asked to pass this stage.
    passed: bool,
    signed: BTreeSet<String>,
    read: Option<(Exposure, Option<BasisPoints>)>,
}

#[derive(Debug, Default)]
pub(super) struct Evidence {
    releases: BTreeMap<ReleaseId, Known>,
}

impl Rule for Evidence {
    fn name(&self) -> &'static str {
        "evidence"
    }

    fn see(&mut self, at: Timestamp, fact: &Fact, out: &Outside) -> Result<(), String> {
        match fact {
            Fact::Recorded { release, event, .. } => {
                let known = self.releases.entry(release.clone()).or_insert(Known {
                    phase: Phase::Preparing,
                    confirmed: None,
                    passed: false,
                    signed: BTreeSet::new(),
                    read: None,
                });
                known.record(at, event, release, out)
            }
            Fact::Read {
                release,
                asked,
                achieved,
            } => {
                if let Some(known) = self.releases.get_mut(release) {
                    known.read = Some((asked.clone(), *achieved));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Known {
    fn record(
        &mut self,
        at: Timestamp,
        event: &Event,
        release: &ReleaseId,
        out: &Outside,
    ) -> Result<(), String> {
        match event {
            Event::Skipped { .. } | Event::PromoteAsked { .. } => self.passed = true,
            Event::SignedOff(sign_off) => {
                self.signed.insert(sign_off.role.clone());
            }
            Event::ReturnedByProxy { .. } => self.confirmed = None,
            Event::DialConfirmed(dial) => {
                let seen = self.read.as_ref().is_some_and(|(asked, achieved)| {
                    let near =
                        |a: BasisPoints| a.get().abs_diff(dial.asked.get()) <= DIAL_TOLERANCE_BP;
                    asked.share == dial.asked && achieved.is_some_and(near)
                });
                if !seen {
                    return Err(format!(
                        "the dial is recorded at {} and was read as {:?}",
                        dial.asked,
                        self.read.as_ref().and_then(|(_, achieved)| *achieved)
                    ));
                }
                self.confirmed.get_or_insert(at);
            }
            Event::Advanced { to, evidence, .. } => {
                if !self.phase.is_returning() {
                    self.earned(at, *to, evidence.is_some(), release, out)?;
                }
                (self.phase, self.confirmed, self.passed) = (*to, None, false);
            }
            Event::ReturnDecided(_) => {
                (self.phase, self.confirmed) = (Phase::Lowering, None);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the step from this phase to the next was earned.
    fn earned(
        &self,
        at: Timestamp,
        to: Phase,
        judged: bool,
        release: &ReleaseId,
        out: &Outside,
    ) -> Result<(), String> {
        let plan = &out.plan;
        let done = |task: Task| {
            if out.work.done.contains(&(release.clone(), task)) {
                Ok(())
            } else {
                Err(format!("on to {to} and {task} was never done"))
            }
        };
        let checks = |with_canary: bool| -> Result<(), String> {
            for (index, requirement) in plan.requires.iter().enumerate() {
                match requirement {
                    Requirement::Check { needs_canary, .. } if *needs_canary == with_canary => {
                        done(Task::Check(index))?;
                    }
                    Requirement::SignOff { roles, .. } if !with_canary => {
                        if let Some(role) = roles.iter().find(|r| !self.signed.contains(*r)) {
                            return Err(format!("on to {to} without the sign-off of {role}"));
                        }
                    }
                    Requirement::Check { .. } | Requirement::SignOff { .. } => {}
                }
            }
            Ok(())
        };
        let alone = plan.flags_alone().is_some();
        let kept = out.store.flags.as_ref() == Some(release);
        match self.phase {
            Phase::Preparing => done(Task::Prepare),
            Phase::Preflight => checks(false),
            Phase::Before => (0..plan.before.len()).try_for_each(|i| done(Task::Before(i))),
            Phase::Deploying if alone => Ok(()),
            Phase::Deploying => done(Task::Deploy),
            Phase::CanaryChecks => checks(true),
            Phase::After => (0..plan.after.len()).try_for_each(|i| done(Task::After(i))),
            Phase::HandOver if plan.flags.is_some() && !kept => {
                Err(format!("on to {to} and the flag set has no flags"))
            }
            Phase::HandOver if alone => Ok(()),
            Phase::HandOver => done(Task::HandOver),
            Phase::Stage(_) if self.passed => Ok(()),
            Phase::Stage(index) => match plan.stages.get(index) {
                Some(Stage::WarmUp(_)) => done(Task::WarmUp(index)),
                Some(Stage::Expose(expose)) => {
                    self.watched(at, expose.for_, expose.early, judged, out)
                }
                None => Err("on from a stage that the plan does not have".into()),
            },
            Phase::Promoted
            | Phase::Lowering
            | Phase::HandingBack
            | Phase::Stopping
            | Phase::Undoing
            | Phase::Ended => Ok(()),
        }
    }

    fn watched(
        &self,
        at: Timestamp,
        asked: Millis,
        early: bool,
        judged: bool,
        out: &Outside,
    ) -> Result<(), String> {
        let Some(confirmed) = self.confirmed else {
            return Err("a stage is left whose exposure was never read back".into());
        };
        if !judged {
            return Err("a stage is left without the judge and without a person".into());
        }
        let first = out.store.streams.values().next_back();
        if first.is_some_and(|stream| stream.fold.requested.stable.is_none()) {
            return Ok(());
        }
        match out.watch.mood {
            Mood::Proved if early => Ok(()),
            Mood::Quiet | Mood::Proved => {
                let least = Millis(asked.0.saturating_sub(SLACK.0));
                let watched = at.since(confirmed);
                if early || watched >= least {
                    Ok(())
                } else {
                    Err(format!("a stage of {asked} is left after {watched}"))
                }
            }
            Mood::Few | Mood::Unproven | Mood::Bad | Mood::Silent => {
                Err("a stage is left although the judge is not content".into())
            }
        }
    }
}
