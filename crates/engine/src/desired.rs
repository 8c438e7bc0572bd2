//! What the shell should make true, given only the release's state.

use esclusa_plan::{Requirement, Stage};
use esclusa_release::{Exposure, Phase, Release, Task};

/// The world this state asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Who should be exposed to the canary.
    pub exposure: Exposure,
    /// Tasks that should be running, with their attempt. Running tasks that are not
    /// in this list are to be cancelled.
    pub running: Vec<(Task, u32)>,
}

/// What the shell should make true.
#[must_use]
pub fn desired(release: &Release) -> Desired {
    let running = wanted_tasks(release)
        .into_iter()
        .filter_map(|task| {
            let state = release.tasks.get(&task)?;
            state.end.is_none().then_some((task, state.attempt))
        })
        .collect();
    Desired {
        exposure: release.exposure(),
        running,
    }
}

/// The tasks of the present phase, in order; see [`is_sequential`].
pub(crate) fn wanted_tasks(release: &Release) -> Vec<Task> {
    let plan = &release.requested.plan;
    let checks = |with_canary: bool| {
        plan.requires
            .iter()
            .enumerate()
            .filter(move |(_, requirement)| match requirement {
                Requirement::Check { needs_canary, .. } => *needs_canary == with_canary,
                Requirement::SignOff { .. } => false,
            })
            .map(|(index, _)| Task::Check(index))
            .collect()
    };
    // No version comes and none goes: what serves users is not touched.
    let alone = plan.flags_alone().is_some();
    let started = |task| release.tasks.contains_key(&task);
    match release.phase {
        Phase::Preparing => vec![Task::Prepare],
        Phase::Preflight => checks(false),
        Phase::Before => (0..plan.before.len()).map(Task::Before).collect(),
        Phase::Deploying if alone => Vec::new(),
        Phase::Deploying => vec![Task::Deploy],
        Phase::CanaryChecks => checks(true),
        Phase::Stage(index) => match plan.stages.get(index) {
            Some(Stage::WarmUp(_)) => vec![Task::WarmUp(index)],
            Some(Stage::Expose(_)) | None => Vec::new(),
        },
        Phase::After => (0..plan.after.len()).map(Task::After).collect(),
        Phase::HandOver => {
            let moves = [Task::HandOver, Task::RecordStable].into_iter();
            let flags = plan.flags.as_ref().map(|_| Task::RecordFlags);
            moves.filter(|_| !alone).chain(flags).collect()
        }
        Phase::Lowering => {
            let records = [
                (Task::RecordFlags, Task::RestoreFlags),
                (Task::RecordStable, Task::RestoreStable),
            ];
            let made = records.into_iter().filter(|(record, _)| started(*record));
            made.map(|(_, restore)| restore).collect()
        }
        Phase::HandingBack => {
            if started(Task::HandOver) {
                vec![Task::HandBack]
            } else {
                Vec::new()
            }
        }
        Phase::Stopping => {
            if started(Task::Deploy) {
                vec![Task::StopCanary]
            } else {
                Vec::new()
            }
        }
        Phase::Undoing => undo_tasks(release),
        Phase::Promoted | Phase::Ended => Vec::new(),
    }
}

/// Whether the tasks of a phase run one after the other.
pub(crate) const fn is_sequential(phase: Phase) -> bool {
    !matches!(phase, Phase::Preflight | Phase::CanaryChecks)
}

/// Undo of every step that began, last first: one that failed half-way is undone too.
fn undo_tasks(release: &Release) -> Vec<Task> {
    let plan = &release.requested.plan;
    let began = |task| release.tasks.contains_key(&task);
    let after = (0..plan.after.len())
        .rev()
        .filter(|&i| plan.after[i].undo.is_some() && began(Task::After(i)))
        .map(Task::UndoAfter);
    let before = (0..plan.before.len())
        .rev()
        .filter(|&i| plan.before[i].undo.is_some() && began(Task::Before(i)))
        .map(Task::UndoBefore);
    after.chain(before).collect()
}
