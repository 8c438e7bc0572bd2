//! What the engine is shown, and what becomes of its answers.

use super::{Controller, Run};
use crate::outside::{Died, Mutant, Outside};
use crate::plans::literal;
use esclusa_engine::{Completion, DialReading, DialState, Observed, complete, decide};
use esclusa_model::{Actor, Millis, ReleaseId, Timestamp};
use esclusa_release::{Event, ReturnCause, Task, TaskEnd};

/// More rounds than any chain of decisions without a new observation needs.
const MAX_ROUNDS: usize = 64;
/// How exactly the next decision's time is looked for.
const GRAIN: Millis = Millis(1_000);
/// When a controller that began anew has the first counts in hand.
const FIRST_COUNTS: Millis = Millis(1_500);

impl Controller {
    /// Asks the engine until it has nothing to add.
    pub(super) fn decide(&mut self, out: &mut Outside) -> Result<(), Died> {
        if self.flush(out)?.is_err() {
            self.stuck = true;
        }
        for _ in 0..MAX_ROUNDS {
            let Some(run) = &self.run else { return Ok(()) };
            let events = decide(&run.release, &self.observe(out, run, out.now));
            if events.is_empty() {
                return Ok(());
            }
            let by = author(&events);
            if self.commit(out, events, &by)?.is_err() {
                return Ok(());
            }
        }
        out.fact(crate::fact::Fact::World("the engine found no rest".into()));
        Ok(())
    }

    /// The first moment before `most` in which the engine would say something. Its
    /// answers change with time only where a deadline passes.
    pub(super) fn next_decision(
        &self,
        out: &Outside,
        run: &Run,
        most: Timestamp,
    ) -> Option<Timestamp> {
        let speaks = |at| !decide(&run.release, &self.observe(out, run, at)).is_empty();
        if !speaks(most) {
            return None;
        }
        let (mut silent, mut loud) = (out.now, most);
        if speaks(silent) {
            return Some(silent);
        }
        while loud.since(silent) > GRAIN {
            let middle = silent.plus(Millis(loud.since(silent).0 / 2));
            if speaks(middle) {
                loud = middle;
            } else {
                silent = middle;
            }
        }
        Some(loud)
    }

    /// What the engine would be shown at `truth` if nothing happened until then.
    fn observe(&self, out: &Outside, run: &Run, truth: Timestamp) -> Observed {
        let now = out.clock_at(truth);
        let release = &run.release;
        let watched_since = release
            .stage_record()
            .and_then(|record| record.confirmed_at)
            .unwrap_or(now)
            // Who began a moment ago has not been blind for longer than that.
            .max(run.watching_since);
        let silent_since = self
            .heard_at(out, truth)
            .map_or(watched_since, |heard| heard.max(watched_since));
        let mut dial = run.dial.reading.clone();
        if out.is(Mutant::SkipsReadBack) {
            dial = Some(pretended(run, now));
        }
        let watching_since = if out.is(Mutant::NeverLate) {
            now
        } else {
            run.watching_since
        };
        Observed {
            // Versions of this world run until they are stopped.
            canary_ended: None,
            now,
            watching_since,
            dial,
            observes: out.command_dial.is_none(),
            judgement: out.watch.judgement(release, truth),
            silent_for: if out.command_dial.is_none() {
                now.since(silent_since)
            } else {
                Millis::ZERO
            },
            // Plans of this world ask nobody but proxies.
            unread: None,
            returned_by_proxy: self.returned(run.id()),
            busy: run.is_busy(),
        }
    }

    /// When counts arrived last, by the clock; nothing before the first did.
    fn heard_at(&self, out: &Outside, truth: Timestamp) -> Option<Timestamp> {
        let until = out
            .watch
            .blind_since
            .map_or(truth, |since| since.min(truth));
        (until >= self.began.plus(FIRST_COUNTS)).then(|| out.clock_at(until))
    }

    pub(super) fn returned(&self, release: &ReleaseId) -> bool {
        self.contact
            .as_ref()
            .is_some_and(|status| status.returned.as_ref() == Some(release))
    }

    /// A task came to its end.
    pub(super) fn completed(
        &mut self,
        out: &mut Outside,
        release: &ReleaseId,
        task: Task,
        attempt: u32,
        completion: Completion,
    ) -> Result<(), Died> {
        let Some(run) = self.run.as_mut().filter(|run| run.id() == release) else {
            return Ok(());
        };
        if run.running.get(&task) == Some(&attempt) {
            run.running.remove(&task);
        }
        run.cancelled.remove(&task);
        let completion = if out.is(Mutant::PassesUnseen) {
            seen(completion)
        } else {
            completion
        };
        let events = complete(&run.release, task, attempt, completion);
        if !events.is_empty() {
            // What could not be recorded runs again and completes again.
            let _ = self.commit(out, events, &literal("engine"))?;
        }
        Ok(())
    }
}

/// Who decided: the judge where it spoke, the engine otherwise.
fn author(events: &[Event]) -> Actor {
    let judged = events.iter().any(|event| match event {
        Event::Judged(_) => true,
        Event::ReturnDecided(returned) => returned.cause == ReturnCause::Judge,
        Event::Advanced { evidence, .. } => evidence.is_some(),
        _ => false,
    });
    literal(if judged { "judge" } else { "engine" })
}

/// A reading that nobody made.
fn pretended(run: &Run, now: Timestamp) -> DialReading {
    let asked = run.release.exposure();
    DialReading {
        achieved: Some(asked.share),
        asked,
        state: DialState::Converged,
        generation: None,
        reached: None,
        detail: String::new(),
        at: now.plus(Millis(1)),
    }
}

/// An answer that nobody gave.
fn seen(completion: Completion) -> Completion {
    match completion {
        Completion::Ended(TaskEnd::Unknown { reason }) => {
            Completion::Ended(TaskEnd::Done { note: reason })
        }
        other => other,
    }
}
