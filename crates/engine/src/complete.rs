//! What the shell brings back from a task, as events.

use crate::decide::count;
use esclusa_model::{ComponentName, Digest, VersionRef};
use esclusa_release::{Event, InstanceRecord, Release, Task, TaskEnd};
use std::collections::BTreeMap;

/// The result of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    /// The version is stored.
    Prepared {
        /// The version.
        version: VersionRef,
        /// Digest of each component.
        components: BTreeMap<ComponentName, Digest>,
    },
    /// All instances are ready.
    Deployed {
        /// Where they run.
        instances: Vec<InstanceRecord>,
    },
    /// Any other end.
    Ended(TaskEnd),
}

/// The events of a completion; none when that attempt no longer runs, because a
/// late or repeated completion must change nothing.
#[must_use]
pub fn complete(release: &Release, task: Task, attempt: u32, completion: Completion) -> Vec<Event> {
    let runs = release
        .tasks
        .get(&task)
        .is_some_and(|state| state.attempt == attempt && state.end.is_none());
    if !runs {
        return Vec::new();
    }
    let ended = |end| Event::TaskEnded { task, attempt, end };
    match completion {
        Completion::Prepared {
            version,
            components,
        } if task == Task::Prepare => {
            match without(release, |name| components.contains_key(name)) {
                Some(missing) => vec![ended(failed(format!("{missing} was not stored")))],
                None => {
                    let how = match release.flags_alone() {
                        Some(_) => "what serves now with its flags turned",
                        None => verification(&version),
                    };
                    let note = format!("{version}, {how}");
                    let prepared = Event::Prepared {
                        version,
                        components,
                    };
                    vec![prepared, ended(TaskEnd::Done { note })]
                }
            }
        }
        Completion::Deployed { instances } if task == Task::Deploy => {
            let runs = |name: &ComponentName| instances.iter().any(|i| i.component == *name);
            match without(release, runs) {
                Some(missing) => vec![ended(failed(format!("{missing} has no instance")))],
                None => {
                    let note = format!("{} ready", count(instances.len(), "instance"));
                    vec![Event::Deployed { instances }, ended(TaskEnd::Done { note })]
                }
            }
        }
        // What these two bring is needed later: done without it is not done.
        Completion::Ended(TaskEnd::Done { .. }) if matches!(task, Task::Prepare | Task::Deploy) => {
            vec![ended(failed(
                "it was reported done without its result".into(),
            ))]
        }
        Completion::Ended(end) => vec![ended(end)],
        Completion::Prepared { .. } | Completion::Deployed { .. } => {
            vec![ended(failed(
                "it was reported done with another task's result".into(),
            ))]
        }
    }
}

const fn failed(reason: String) -> TaskEnd {
    TaskEnd::Failed { reason }
}

/// A component of the plan that is not there: half a version is none.
fn without(release: &Release, there: impl Fn(&ComponentName) -> bool) -> Option<String> {
    let components = &release.requested.plan.components;
    let missing = components.keys().find(|name| !there(name))?;
    Some(format!("component {missing}"))
}

fn verification(version: &VersionRef) -> &'static str {
    if version.verified {
        "content stored under its digest"
    } else {
        "named only, content unverified"
    }
}
