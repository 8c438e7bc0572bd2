//! What the engine is shown, and what becomes of its answers.

use super::ServiceActor;
use super::journal::CommitError;
use super::run::Run;
use crate::clock;
use crate::judging::Judging;
use esclusa_engine::{Completion, Observed, complete, decide};
use esclusa_model::{Actor, Millis, ReleaseId};
use esclusa_release::{Event, ReturnCause, Service, Task};
use std::sync::Arc;

/// More rounds than any chain of decisions without a new observation needs.
const MAX_ROUNDS: usize = 64;

impl ServiceActor {
    /// Asks the engine until it has nothing to add.
    pub(super) async fn decide(&mut self) {
        self.heed_proxy();
        self.heed_kills();
        let recorded = self.record().await;
        if let Err(error) = recorded {
            return self.not_stored(&error);
        }
        for _ in 0..MAX_ROUNDS {
            self.judge_anew().await;
            let Some((events, by)) = self.decision() else {
                return;
            };
            if let Err(error) = self.commit(events, &by).await {
                return self.not_stored(&error);
            }
        }
        tracing::error!(service = %self.service.name, "The engine found no rest");
    }

    /// What follows from what is seen now, and who says so; nothing where nothing does.
    pub(super) fn decision(&mut self) -> Option<(Vec<Event>, Actor)> {
        let run = self.run.as_mut()?;
        run.judging.follow(&run.release);
        let ended = self.care.evidence(run.id());
        let observed = observe(run, &self.service, &self.shared, ended);
        let events = decide(&run.release, &observed);
        let by = author(&events);
        (!events.is_empty()).then_some((events, by))
    }

    /// Says what keeps decisions from being recorded, once for each thing.
    pub(super) fn not_stored(&mut self, error: &CommitError) {
        let why = error.to_string();
        if self.store_trouble.as_ref() != Some(&why) {
            let service = &self.service.name;
            tracing::error!(%service, reason = why, "What was decided is not recorded yet");
        }
        self.store_trouble = Some(why);
    }

    /// Builds the judge again where it missed something.
    async fn judge_anew(&mut self) {
        let Some(run) = self.run.as_ref().filter(|r| r.judging.must_begin_again()) else {
            return;
        };
        let (shared, release) = (Arc::clone(&self.shared), run.release.clone());
        let judging = self
            .meanwhile(async move { Judging::begin(&shared, &release).await })
            .await;
        if let (Some(run), Ok(judging)) = (&mut self.run, judging) {
            run.judging = judging;
        }
    }

    /// A task came to its end; it is recorded at the next turn.
    pub(super) fn completed(
        &mut self,
        release: &ReleaseId,
        task: Task,
        attempt: u32,
        completion: Completion,
    ) {
        let Some(run) = self.run.as_mut().filter(|run| run.id() == release) else {
            return;
        };
        run.running.remove(&task);
        run.cancelled.remove(&task);
        run.finished.insert(task, (attempt, completion));
    }

    /// Records what is in force or ended already.
    async fn record(&mut self) -> Result<(), CommitError> {
        self.flush().await?;
        let Some(run) = &self.run else { return Ok(()) };
        let finished = run.finished.clone();
        for (task, (attempt, completion)) in finished {
            let Some(run) = &self.run else { return Ok(()) };
            let events = complete(&run.release, task, attempt, completion);
            if !events.is_empty() {
                match self.commit(events, &system("engine")).await {
                    // What was decided meanwhile may have left no room for it.
                    Ok(()) | Err(CommitError::Illegal(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if let Some(run) = &mut self.run {
                run.finished
                    .retain(|known, (tried, _)| *known != task || *tried != attempt);
            }
        }
        Ok(())
    }

    /// A cancelled task is gone.
    pub(super) fn gone(&mut self, release: &ReleaseId, task: Task) {
        if let Some(run) = self.run.as_mut().filter(|run| run.id() == release) {
            run.cancelled.remove(&task);
        }
    }
}

fn observe(
    run: &mut Run,
    service: &Service,
    shared: &crate::app::Shared,
    canary_ended: Option<String>,
) -> Observed {
    let now = clock::now();
    let observes = shared.observes_release(&run.release.requested.plan, service);
    let contact = shared.dataplane.contact();
    let heard_at = contact.borrow().slices_at;
    let watched_since = run
        .release
        .stage_record()
        .and_then(|record| record.confirmed_at)
        .unwrap_or(now)
        // Whoever began a moment ago has not been blind for longer than that.
        .max(run.watching_since);
    let silent_since = heard_at.map_or(watched_since, |heard| heard.max(watched_since));
    Observed {
        now,
        watching_since: run.watching_since,
        dial: run.dial.reading.clone(),
        observes,
        judgement: run.judging.judgement(&run.release),
        silent_for: if observes {
            now.since(silent_since)
        } else {
            Millis::ZERO
        },
        unread: run.unread(now),
        returned_by_proxy: shared.dataplane.returned(run.id()),
        canary_ended,
        busy: run.is_busy(),
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
    system(if judged { "judge" } else { "engine" })
}

/// An actor that is part of the program.
pub(crate) fn system(name: &'static str) -> Actor {
    #[expect(
        clippy::expect_used,
        reason = "called with literal names that are valid tokens"
    )]
    Actor::new(name).expect("literal actor names are valid")
}
