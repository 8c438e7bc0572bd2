//! Whatever lasts has a limit that is kept while a controller can keep it: holds, tasks,
//! dials on their way. That there is an end at all is asked once the faults are over.

use super::Rule;
use crate::controller::Controller;
use crate::fact::Fact;
use crate::outside::Outside;
use esclusa_engine::task_limit;
use esclusa_model::{Millis, Timestamp};
use esclusa_plan::HoldThen;

/// How late a deadline may be looked at.
const LATE: Millis = Millis(60_000);

#[derive(Debug, Default)]
pub(super) struct InTime {
    /// Since when a controller could do what it wanted.
    free_since: Timestamp,
}

impl Rule for InTime {
    fn name(&self) -> &'static str {
        "in_time"
    }

    fn see(&mut self, at: Timestamp, fact: &Fact, _: &Outside) -> Result<(), String> {
        match fact {
            Fact::Started { .. } | Fact::Died { .. } | Fact::Refused { .. } => {
                self.free_since = at;
            }
            Fact::World(what) if what == "the engine found no rest" => {
                return Err("the engine adds events without end".into());
            }
            Fact::World(_) => self.free_since = at,
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, out: &Outside, controller: Option<&Controller>) -> Result<(), String> {
        let Some(run) = controller.and_then(|c| c.run.as_ref()) else {
            return Ok(());
        };
        let release = &run.release;
        if release.ended.is_some() {
            return Ok(());
        }
        let free = out.now.since(self.free_since);
        let now = out.clock();
        let over = |since: Timestamp, limit: Millis| {
            // A clock that was moved moves deadlines with it.
            let moved = LATE.0.saturating_add(out.jumped.0);
            let most = Millis(limit.0.saturating_add(moved));
            now.since(since) > most && free > most
        };
        let rule = release.requested.plan.hold;
        if let Some(hold) = &release.hold
            && rule.then == HoldThen::Rollback
            && !hold.reason.contains("sign-off")
            && over(hold.since, rule.for_)
        {
            return Err(format!(
                "held for longer than {}: {}",
                rule.for_, hold.reason
            ));
        }
        for (task, state) in &release.tasks {
            if state.end.is_none()
                && let Some(limit) = task_limit(release, *task)
                && over(state.started_at, limit)
            {
                return Err(format!("{task} runs for longer than {limit}"));
            }
        }
        let dial = release.requested.plan.dial_timeout;
        if release.was_exposed && !release.dial_confirmed() && over(release.exposure_since, dial) {
            return Err(format!("the dial is on its way for longer than {dial}"));
        }
        Ok(())
    }
}
