//! Sign-offs beside the checks that need no canary.

use crate::decide::{next_phase, obstacle, turn_back};
use crate::hold::{begin, gate};
use crate::observed::Observed;
use crate::tasks::{Tasks, forward_tasks};
use esclusa_plan::Requirement;
use esclusa_release::{Event, Release, ReturnCause};

pub(crate) fn preflight(release: &Release, observed: &Observed) -> Vec<Event> {
    let tasks = match forward_tasks(release, observed.now) {
        Tasks::Failed(reason) => return turn_back(release, ReturnCause::Failure, reason),
        tasks => tasks,
    };
    let mut missing: Vec<&str> = Vec::new();
    for requirement in &release.requested.plan.requires {
        let Requirement::SignOff { roles, within, .. } = requirement else {
            continue;
        };
        let of_this: Vec<&str> = roles
            .iter()
            .map(String::as_str)
            .filter(|role| !release.sign_offs.contains_key(*role))
            .collect();
        if !of_this.is_empty() && observed.now.since(release.phase_since) > *within {
            let reason = format!("no sign-off by {} within {within}", of_this.join(", "));
            return turn_back(release, ReturnCause::Deadline, reason);
        }
        for role in of_this {
            if !missing.contains(&role) {
                missing.push(role);
            }
        }
    }
    let keeps = obstacle(release, observed);
    match tasks {
        Tasks::Start(events) if keeps.is_none() => events,
        // The wait for people has its own deadline, `within`.
        _ if keeps.is_none() && !missing.is_empty() => begin(
            release,
            format!("waiting for sign-off by {}", missing.join(", ")),
        ),
        Tasks::Done => gate(release, observed.now, keeps, next_phase(release)),
        _ => gate(release, observed.now, keeps, Vec::new()),
    }
}
