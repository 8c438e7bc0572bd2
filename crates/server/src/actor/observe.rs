//! What the engine is shown, and what becomes of its answers.

use super::ServiceActor;
use super::run::Run;
use crate::clock;
use crate::judging::Judging;
use esclusa_engine::{Completion, Observed, complete, decide};
use esclusa_model::{Actor, Millis, ReleaseId};
use esclusa_release::{Event, ReturnCause, Task};

/// More rounds than any chain of decisions without a new observation needs.
const MAX_ROUNDS: usize = 64;

impl ServiceActor {
    /// Asks the engine until it has nothing to add.
    pub(super) async fn decide(&mut self) {
        if let Err(error) = self.flush().await {
            tracing::error!(%error, "A decision in force is not recorded yet");
        }
        for _ in 0..MAX_ROUNDS {
            let Some(run) = &mut self.run else { return };
            if run.judging.must_begin_again() {
                run.judging = Judging::begin(&self.shared.store, &run.release).await;
            }
            run.judging.follow(&run.release);
            let ended = self.care.evidence(run.id());
            let observed = observe(run, &self.shared, ended);
            let events = decide(&run.release, &observed);
            if events.is_empty() {
                return;
            }
            let by = author(&events);
            if let Err(error) = self.commit(events, &by).await {
                tracing::error!(%error, service = %self.service.name, "Decision waits");
                return;
            }
        }
        tracing::error!(service = %self.service.name, "The engine found no rest");
    }

    /// A task came to its end.
    pub(super) async fn completed(
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
        let events = complete(&run.release, task, attempt, completion);
        if events.is_empty() {
            return;
        }
        if let Err(error) = self.commit(events, &system("engine")).await {
            // The work is idempotent: it runs again and completes again.
            tracing::error!(%error, %task, "A completion could not be recorded");
        }
    }

    /// A cancelled task is gone.
    pub(super) fn gone(&mut self, release: &ReleaseId, task: Task) {
        if let Some(run) = self.run.as_mut().filter(|run| run.id() == release) {
            run.cancelled.remove(&task);
        }
    }
}

fn observe(run: &mut Run, shared: &crate::app::Shared, canary_ended: Option<String>) -> Observed {
    let now = clock::now();
    let observes = shared.observes(&run.release.requested.plan);
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
