//! Makes the dial show what the state asks for, and reads it back.

use super::{Controller, Run, TRY_AGAIN};
use crate::dial::Call;
use crate::fact::{Fact, Point};
use crate::outside::{Died, Due, Mutant, Outside};
use crate::proxy::Route;
use esclusa_engine::{DialReading, DialState, desired};
use esclusa_model::{Epoch, GenerationId, Millis, ReleaseId};
use esclusa_plan::{HoldOrReturn, LostControl};
use esclusa_release::{Exposure, Release};

/// How old a reading may grow before the dial is read again.
const READ_EVERY: Millis = Millis(1_000);
/// Longest wait for the proxy's answer.
const CALL_LIMIT: Millis = Millis(5_000);

impl Controller {
    /// Makes the world match the state: tasks, then the dial.
    pub(super) fn reconcile(&mut self, out: &mut Outside) -> Result<(), Died> {
        let Some(run) = &self.run else { return Ok(()) };
        let wanted = desired(&run.release);
        let exposure = if out.is(Mutant::RaisesAfterReturn) {
            raised(&run.release)
        } else {
            wanted.exposure
        };
        self.cancel_unwanted(out, &wanted.running)?;
        self.turn_dial(out, exposure)?;
        self.start_tasks(out, &wanted.running)
    }

    /// Whether the dial is not, or no longer, known to be where it should be.
    pub(super) fn dial_is_open(&self, out: &Outside, run: &Run) -> bool {
        let there = out.command_dial.is_none() || run.release.version.is_some();
        let shows = run.dial.reading.as_ref().is_some_and(|reading| {
            reading.asked == run.release.exposure()
                && reading.state == DialState::Converged
                && reading.at > run.release.exposure_since
        });
        there && !shows
    }

    fn turn_dial(&mut self, out: &mut Outside, exposure: Exposure) -> Result<(), Died> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        if out.command_dial.is_some() && run.release.version.is_none() {
            return Ok(());
        }
        // One question at a time: what was asked before must not take effect after. Only
        // a proxy may be told of a return meanwhile: it refuses the older generation.
        let returns =
            exposure.is_nobody() && run.dial.told.as_ref().is_some_and(|t| !t.is_nobody());
        if run.dial.asking.is_some() && !(returns && out.command_dial.is_none()) {
            return Ok(());
        }
        let now = out.clock();
        let fresh = run.dial.reading.as_ref().is_some_and(|reading| {
            reading.asked == exposure
                && reading.state == DialState::Converged
                && now.since(reading.at) < READ_EVERY
                && reading.at >= run.release.phase_since
                && reading.at > run.release.exposure_since
        });
        let repeated = run.dial.told.as_ref() == Some(&exposure)
            && run
                .dial
                .reading
                .as_ref()
                .is_some_and(|r| r.asked == exposure)
            && out.now.since(run.dial.asked_at) < TRY_AGAIN;
        if fresh || repeated {
            return Ok(());
        }
        let was = run.dial.told.replace(exposure.clone());
        run.dial.asking = Some(exposure.clone());
        run.dial.asked_at = out.now;
        let turns = was.as_ref() != Some(&exposure)
            || run
                .dial
                .reading
                .as_ref()
                .is_none_or(|r| r.asked != exposure || r.state == DialState::Unknown);
        let release = run.id().clone();
        if turns {
            out.boundary(self.epoch, Point::BeforeDial(exposure.clone()))?;
        }
        if out.command_dial.is_some() {
            self.call_dial(out, release, exposure.clone(), turns);
        } else {
            self.ask_proxy(out, release, exposure.clone());
        }
        if turns {
            out.boundary(self.epoch, Point::AfterDial(exposure))?;
        }
        Ok(())
    }

    fn call_dial(&self, out: &mut Outside, release: ReleaseId, asked: Exposure, turns: bool) {
        let now = out.now;
        let Some(dial) = &mut out.command_dial else {
            return;
        };
        let was = dial.value;
        let ends = dial.begin(now);
        if turns {
            let durable = durable(out, &release);
            out.fact(Fact::Turned {
                epoch: self.epoch,
                release: release.clone(),
                was: Exposure {
                    share: was,
                    segments: Vec::new(),
                },
                durable,
                asked: asked.clone(),
                answer: Ok(()),
            });
        }
        let due = Due::DialEnds {
            epoch: self.epoch,
            release,
            call: Call { asked, turns },
        };
        out.at(ends, due);
    }

    fn ask_proxy(&mut self, out: &mut Outside, release: ReleaseId, asked: Exposure) {
        let route = self.run.as_ref().and_then(|run| route(run, &asked));
        let before = out.proxy.shows();
        let in_force = self.acknowledged == Some((self.number, out.proxy.boot))
            && out.proxy.name == (self.epoch, self.number)
            && out.proxy.linked;
        let answer = if in_force && self.route == route {
            self.contact = out.proxy.heartbeat(self.epoch);
            Ok(CALL_LIMIT)
        } else {
            self.number += 1;
            self.route.clone_from(&route);
            let answer = out.publish((self.epoch, self.number), route);
            self.acknowledged = answer.is_ok().then_some((self.number, out.proxy.boot));
            let durable = durable(out, &release);
            out.fact(Fact::Turned {
                epoch: self.epoch,
                release: release.clone(),
                asked: asked.clone(),
                was: before,
                durable,
                answer: answer.clone().map(|_| ()),
            });
            out.note_shown();
            answer
        };
        let at = out.clock_at(out.now.plus(Millis(5)));
        let reading = self.proxy_reading(&release, asked, answer.map(|_| ()), at);
        let epoch = self.epoch;
        let lasts = if reading.state == DialState::Unknown {
            CALL_LIMIT
        } else {
            Millis(5)
        };
        let due = Due::Dialled {
            epoch,
            release,
            reading,
        };
        out.soon(lasts, due);
    }

    fn proxy_reading(
        &self,
        release: &ReleaseId,
        asked: Exposure,
        answer: Result<(), String>,
        at: esclusa_model::Timestamp,
    ) -> DialReading {
        let share = asked.share;
        let name = GenerationId {
            epoch: Epoch(self.epoch),
            number: self.number,
        };
        let (achieved, state, generation, detail) = match answer {
            Ok(()) if !asked.is_nobody() && self.returned(release) => {
                let detail = "the proxy has taken the share back by itself".to_owned();
                (Some(crate::proxy::NOBODY), DialState::Pending, None, detail)
            }
            Ok(()) => {
                let detail = format!("generation {name} is in force");
                (Some(share), DialState::Converged, Some(name), detail)
            }
            Err(why) => (None, DialState::Unknown, None, why),
        };
        DialReading {
            asked,
            achieved,
            state,
            generation,
            reached: None,
            detail,
            at,
        }
    }

    /// A dial's answer.
    pub(super) fn dialled(&mut self, out: &mut Outside, release: &ReleaseId, reading: DialReading) {
        let Some(run) = self.run.as_mut().filter(|run| run.id() == release) else {
            return;
        };
        if run.dial.asking.as_ref() == Some(&reading.asked) {
            run.dial.asking = None;
        }
        if self.epoch < out.store.epoch {
            return;
        }
        out.fact(Fact::Read {
            release: release.clone(),
            asked: reading.asked.clone(),
            achieved: reading.achieved,
        });
        if reading.asked == run.release.exposure() {
            run.dial.reading = Some(reading);
        }
    }

    /// A heartbeat, and the generation again for a proxy that came back without it.
    pub(super) fn pulse(&mut self, out: &mut Outside) {
        let Some(status) = out.proxy.heartbeat(self.epoch) else {
            return;
        };
        let in_force = self.acknowledged.is_some_and(|(number, boot)| {
            (self.epoch, number) == status.name && boot == status.boot
        });
        if !in_force && self.number > 0 {
            self.number += 1;
            let answer = out.publish((self.epoch, self.number), self.route.clone());
            self.acknowledged = answer.is_ok().then_some((self.number, out.proxy.boot));
            out.note_shown();
        }
        self.contact = out.proxy.heartbeat(self.epoch);
    }
}

/// What the proxy should do for a release.
fn route(run: &Run, exposure: &Exposure) -> Option<Route> {
    run.release.version.as_ref()?;
    let lost_control = run.release.requested.plan.route.as_ref().map_or(
        LostControl {
            after: Millis(120_000),
            then: HoldOrReturn::Return,
        },
        |route| route.lost_control,
    );
    Some(Route {
        release: run.id().clone(),
        exposure: exposure.clone(),
        lost_control,
    })
}

/// The exposure that the store knows of.
fn durable(out: &Outside, release: &ReleaseId) -> Exposure {
    let stream = out.store.streams.get(release);
    stream.map_or_else(Exposure::default, |stream| stream.fold.exposure())
}

/// What the stage would show if nothing had been returned.
fn raised(release: &Release) -> Exposure {
    match release.stages.last() {
        Some(record) if release.returning.is_some() || release.returned_by_proxy.is_some() => {
            release.exposure_at(record.stage)
        }
        _ => release.exposure(),
    }
}
