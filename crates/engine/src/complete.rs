//! What the shell brings back from a task, as events.

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
        Completion::Ended(end) => vec![ended(end)],
        // A completion that arrives after the way back began is of no use any more.
        _ if release.phase.is_returning() => {
            vec![ended(TaskEnd::Failed {
                reason: "the release went back meanwhile".into(),
            })]
        }
        Completion::Prepared {
            version,
            components,
        } => {
            let note = format!("{version}, {}", verification(&version));
            vec![
                Event::Prepared {
                    version,
                    components,
                },
                ended(TaskEnd::Done { note }),
            ]
        }
        Completion::Deployed { instances } => {
            let note = format!("{} ready", count(instances.len(), "instance"));
            vec![Event::Deployed { instances }, ended(TaskEnd::Done { note })]
        }
    }
}

fn verification(version: &VersionRef) -> &'static str {
    if version.verified {
        "content stored under its digest"
    } else {
        "named only, content unverified"
    }
}

pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}
