//! From a release and its record to the report.

use super::checklist::checklist;
use super::decisions::decisions;
use super::when::rfc3339;
use super::{
    Completion, REPORT_VERSION, Record, Report, ReportVersion, SignOffReport, StageReport,
    StageResult, Status, TaskReport, TrafficReport, Verdict,
};
use crate::series::Series;
use crate::view::{ReleaseView, SignOffView, StageView};
use esclusa_model::{Envelope, Outcome, Timestamp};
use esclusa_plan::Stage;
use esclusa_release::{Phase, Release};
use std::collections::BTreeSet;

/// Puts the report together. `events` is the release's whole stream; `traffic` and `series`
/// are what was counted while it ran.
#[must_use]
pub fn build(
    release: &Release,
    events: &[Envelope],
    traffic: TrafficReport,
    series: Series,
) -> Report {
    let view = ReleaseView::new(release);
    let stages = stages(release, &view);
    let asked = &release.requested;
    let ended = release.ended.as_ref();
    let to: Vec<String> = stages.iter().map(|stage| stage.to.clone()).collect();
    Report {
        v: REPORT_VERSION,
        release: asked.release.to_string(),
        service: asked.service.to_string(),
        version: version(release),
        stable: view.stable.clone(),
        plan_digest: asked.plan_digest.to_string(),
        status: status(release),
        verdict: verdict(release),
        outcome: ended.map(|ended| ended.outcome.to_string()),
        reason: reason(release, &view),
        requested_by: release.requested_by.to_string(),
        started_at: rfc3339(release.requested_at),
        ended_at: ended.map(|ended| rfc3339(ended.at)),
        duration_ms: ended.map(|ended| ended.at.since(release.requested_at).0),
        completion: completion(release, &view),
        source: view.source.clone(),
        checklist: checklist(release, &view),
        stages,
        decisions: decisions(events, &to),
        tasks: tasks(&view),
        sign_offs: sign_offs(&view),
        actors: actors(events),
        traffic,
        series,
        record: Record {
            events: events.len() as u64,
            head: events.last().map(|event| event.hash.to_string()),
        },
    }
}

fn version(release: &Release) -> ReportVersion {
    let stored = release.version.as_ref();
    ReportVersion {
        name: release.requested.version.to_string(),
        digest: stored.map(|version| version.digest.to_string()),
        verified: stored.map(|version| version.verified),
        components: release
            .components
            .iter()
            .map(|(name, digest)| (name.to_string(), digest.to_string()))
            .collect(),
    }
}

fn status(release: &Release) -> Status {
    let Some(ended) = &release.ended else {
        return Status::InProgress;
    };
    match ended.outcome {
        Outcome::Promoted | Outcome::PromotedEarly => Status::Succeeded,
        Outcome::RolledBack | Outcome::Aborted => Status::Returned,
        Outcome::Refused => Status::Refused,
        Outcome::RollbackFailed => Status::Failed,
        Outcome::Held => Status::InProgress,
    }
}

fn verdict(release: &Release) -> Verdict {
    match status(release) {
        Status::Succeeded => Verdict::Proceed,
        Status::Returned | Status::Refused | Status::Failed => Verdict::Rollback,
        Status::InProgress if release.returning.is_some() => Verdict::Rollback,
        Status::InProgress => Verdict::Hold,
    }
}

fn reason(release: &Release, view: &ReleaseView) -> String {
    if let Some(ended) = &release.ended {
        return ended.reason.clone();
    }
    let because = view
        .returning_because
        .as_ref()
        .or(view.hold.as_ref())
        .or(view.judged.as_ref());
    match because {
        Some(because) => format!("{}: {because}", view.phase),
        None => view.phase.clone(),
    }
}

fn stages(release: &Release, view: &ReleaseView) -> Vec<StageReport> {
    let time = |at: Option<i64>| at.map(|micros| rfc3339(Timestamp(micros)));
    view.stages
        .iter()
        .enumerate()
        .map(|(index, stage)| StageReport {
            // The real count behind a percentage.
            to: match &stage.reached {
                Some(reached) => format!("{}, {reached}", stage.to),
                None => stage.to.clone(),
            },
            for_ms: stage.for_ms,
            entered_at: time(stage.entered_at_us),
            confirmed_at: time(stage.confirmed_at_us),
            left_at: time(stage.left_at_us),
            took_ms: took_ms(stage),
            left_because: stage.left_because.clone(),
            over_budget: release
                .stages
                .iter()
                .any(|record| record.stage == index && record.over_budget),
            budget_ms: budget(release, index),
            over_by_ms: took_ms(stage)
                .zip(budget(release, index))
                .and_then(|(took, budget)| took.checked_sub(budget))
                .filter(|over| *over > 0),
            result: result(release, index, stage),
        })
        .collect()
}

fn took_ms(stage: &StageView) -> Option<u64> {
    let (entered, left) = stage.entered_at_us.zip(stage.left_at_us)?;
    Some(Timestamp(left).since(Timestamp(entered)).0)
}

fn budget(release: &Release, index: usize) -> Option<u64> {
    match release.requested.plan.stages.get(index)? {
        Stage::Expose(expose) => expose.budget.map(|budget| budget.0),
        Stage::WarmUp(_) => None,
    }
}

fn result(release: &Release, index: usize, stage: &StageView) -> StageResult {
    let returned_from = release.returning.as_ref().map(|back| back.from);
    if stage.entered_at_us.is_none() {
        StageResult::NotReached
    } else if returned_from == Some(Phase::Stage(index)) {
        StageResult::Returned
    } else if stage.left_at_us.is_some() {
        StageResult::Passed
    } else {
        StageResult::UnderWay
    }
}

fn completion(release: &Release, view: &ReleaseView) -> Completion {
    let ended = release.ended.as_ref().map(|ended| rfc3339(ended.at));
    let (date, time) = ended
        .as_deref()
        .and_then(|at| at.split_once('T'))
        .map(|(date, time)| (date.to_owned(), time.to_owned()))
        .unzip();
    let signed = |one: &SignOffView| Some(format!("{} as {}", one.by.as_ref()?, one.role));
    Completion {
        completed: status(release) == Status::Succeeded,
        signed_off_by: view.sign_offs.iter().filter_map(signed).collect(),
        date,
        time,
        duration_ms: release
            .ended
            .as_ref()
            .map(|ended| ended.at.since(release.requested_at).0),
    }
}

fn tasks(view: &ReleaseView) -> Vec<TaskReport> {
    view.tasks
        .iter()
        .map(|task| TaskReport {
            task: task.task.clone(),
            title: task.title.clone(),
            attempts: task.attempt,
            result: task.result.clone(),
            done: task.done,
            took_ms: task.took_ms,
        })
        .collect()
}

/// Agreements that were given, then those that are missing.
fn sign_offs(view: &ReleaseView) -> Vec<SignOffReport> {
    let one = |sign_off: &SignOffView| SignOffReport {
        role: sign_off.role.clone(),
        by: sign_off.by.clone(),
        at: sign_off.at_us.map(|at| rfc3339(Timestamp(at))),
        comment: sign_off.comment.clone(),
        items: sign_off.items.clone(),
    };
    let mut all: Vec<&SignOffView> = view.sign_offs.iter().collect();
    // Those that are missing stay in the plan's order.
    all.sort_by_key(|one| (one.by.is_none(), one.by.as_ref().map(|_| one.role.clone())));
    all.into_iter().map(one).collect()
}

fn actors(events: &[Envelope]) -> Vec<String> {
    let actors: BTreeSet<String> = events.iter().map(|event| event.actor.to_string()).collect();
    actors.into_iter().collect()
}
