//! From a recorded event to what there is to tell. Pure: an event, the release after it.

use super::notice::{Act, Kind, Notice, Shown};
use crate::kill;
use esclusa_model::{Actor, BasisPoints, Outcome, Timestamp};
use esclusa_plan::{Audience, HoldThen, Requirement, Stage};
use esclusa_release::{Event, Phase, Release, ReturnCause, Returned};
use esclusa_store::IncidentKey;

/// What there is to tell of an event of a release, with the alarm that it raises.
pub(crate) fn of_release(
    event: &Event,
    by: &Actor,
    at: Timestamp,
    release: &Release,
) -> Option<(Notice, Option<IncidentKey>)> {
    let notice = |kind| about(kind, at, release);
    let plain = |notice: Notice| Some((notice, None));
    match event {
        Event::Requested(_) => plain(
            notice(Kind::Requested)
                .with("actor", by.as_str())
                .with("stages", release.requested.plan.stages.len().to_string()),
        ),
        Event::Advanced { to, why, .. } => advanced(*to, why, at, release).map(|told| (told, None)),
        Event::HoldBegan { reason } => {
            let kind = if waits_for_people(reason, release) {
                Kind::SignOffWanted
            } else {
                Kind::Held
            };
            let told = held(notice(kind), reason, release);
            let alarm = alarm(kind, release, release.requested.release.as_str(), reason);
            Some((told, Some(alarm)))
        }
        Event::ReturnedByProxy { reason } => {
            let told = acts(
                notice(Kind::LostControl).with("reason", reason),
                &[Act::Abort],
            );
            let id = release.requested.release.as_str();
            Some((told, Some(alarm(Kind::LostControl, release, id, ""))))
        }
        Event::OverBudget { stage } => {
            let told = stage_of(notice(Kind::OverBudget), *stage, release);
            plain(acts(told, &[Act::Abort]))
        }
        Event::ReturnDecided(returned) => {
            let kind = returning(returned, release)?;
            let told = notice(kind)
                .with("actor", by.as_str())
                .with("reason", kill::without_mark(&returned.reason));
            // Where it stood when that was decided.
            let from = release.returning.as_ref().map(|r| r.from);
            let shown = from.map_or(Shown::Nobody, |phase| shown_in(phase, release));
            plain(acts(shown_to(told, shown), &[]))
        }
        Event::Ended { outcome, reason } => ended(*outcome, reason, at, release),
        Event::Prepared { .. }
        | Event::TaskStarted { .. }
        | Event::TaskEnded { .. }
        | Event::Deployed { .. }
        | Event::FlagsChange { .. }
        | Event::SignedOff(_)
        | Event::DialConfirmed(_)
        | Event::Judged(_)
        | Event::HoldEnded
        | Event::Paused(_)
        | Event::Resumed(_)
        | Event::Skipped(_)
        | Event::PromoteAsked(_) => None,
    }
}

fn about(kind: Kind, at: Timestamp, release: &Release) -> Notice {
    let asked = &release.requested;
    let mut notice = Notice::new(kind, asked.service.as_str(), at);
    notice.release = Some(asked.release.to_string());
    notice.version = Some(asked.version.to_string());
    if let Some(stable) = &asked.stable {
        notice = notice.with("stable", stable.name.as_str());
    }
    acts(notice, &[])
}

/// What can be done from the message; looking always can.
fn acts(mut notice: Notice, more: &[Act]) -> Notice {
    notice.acts = vec![Act::Look];
    notice.acts.extend_from_slice(more);
    notice
}

fn shown_to(mut notice: Notice, shown: Shown) -> Notice {
    notice.shown = Some(shown);
    notice
}

fn advanced(to: Phase, why: &str, at: Timestamp, release: &Release) -> Option<Notice> {
    match to {
        Phase::Stage(index) => {
            let told = about(Kind::StageEntered, at, release).with("why", why);
            Some(stage_of(told, index, release))
        }
        Phase::Preparing
        | Phase::Preflight
        | Phase::Before
        | Phase::Deploying
        | Phase::CanaryChecks
        | Phase::After
        | Phase::HandOver
        | Phase::Promoted
        | Phase::Lowering
        | Phase::HandingBack
        | Phase::Stopping
        | Phase::Undoing
        | Phase::Ended => None,
    }
}

fn missing_roles(release: &Release) -> Vec<String> {
    let all = release.requested.plan.requires.iter();
    all.filter_map(|requirement| match requirement {
        Requirement::SignOff { roles, .. } => Some(roles),
        Requirement::Check { .. } => None,
    })
    .flatten()
    .filter(|role| !release.sign_offs.contains_key(*role))
    .cloned()
    .collect()
}

/// Whether nothing is missing but that people agree: the wait has a deadline of its own.
fn waits_for_people(reason: &str, release: &Release) -> bool {
    release.phase == Phase::Preflight && reason.starts_with("waiting for sign-off")
}

/// With the stage's number, whom it is shown to, and how long it is watched.
fn stage_of(notice: Notice, index: usize, release: &Release) -> Notice {
    let stages = &release.requested.plan.stages;
    let mut notice = notice
        .with("stage", index.saturating_add(1).to_string())
        .with("stages", stages.len().to_string());
    if let Some(Stage::Expose(expose)) = stages.get(index) {
        notice = notice.with("watch", expose.for_.to_string());
    }
    shown_to(notice, shown_in(Phase::Stage(index), release))
}

fn shown_in(phase: Phase, release: &Release) -> Shown {
    let Phase::Stage(index) = phase else {
        return match phase {
            Phase::After | Phase::HandOver | Phase::Promoted => {
                let stages = release.requested.plan.stages.len();
                // Flags may stay with some.
                let share = match release.flags_alone() {
                    Some(_) => release.exposure_at(stages.saturating_sub(1)).share,
                    None => BasisPoints::FULL,
                };
                Shown::Share(share.to_string())
            }
            _ => Shown::Nobody,
        };
    };
    match release.requested.plan.stages.get(index) {
        Some(Stage::WarmUp(_)) => Shown::WarmUp,
        Some(Stage::Expose(expose)) => match &expose.to {
            Audience::Share(share) => Shown::Share(share.to_string()),
            Audience::Segment(name) => Shown::Segment(name.clone()),
        },
        None => Shown::Nobody,
    }
}

fn held(notice: Notice, reason: &str, release: &Release) -> Notice {
    let hold = &release.requested.plan.hold;
    let mut told = notice
        .with("reason", reason)
        .with("limit", hold.for_.to_string());
    told.then = Some(
        match hold.then {
            HoldThen::Rollback => "rollback",
            HoldThen::Hold => "hold",
        }
        .to_owned(),
    );
    let roles = missing_roles(release);
    told = told.with("roles", roles.join(", "));
    // Nobody knows who reads a channel: it may be the author.
    let by_link = roles
        .into_iter()
        .filter(|role| !release.requested.plan.not_by_author(role));
    let mut wanted: Vec<Act> = by_link.map(Act::Approve).collect();
    wanted.push(Act::Abort);
    let shown = shown_in(release.phase, release);
    shown_to(acts(told, &wanted), shown)
}

/// What kind of news a decision to go back is; none where its end says it all.
fn returning(returned: &Returned, release: &Release) -> Option<Kind> {
    match returned.cause {
        ReturnCause::Person if kill::is_marked(&returned.reason) => Some(Kind::Killed),
        // Nobody has to be brought back.
        _ if !release.was_exposed => None,
        ReturnCause::Judge | ReturnCause::Failure | ReturnCause::Deadline | ReturnCause::Blind => {
            Some(Kind::Rollback)
        }
        ReturnCause::Person | ReturnCause::Superseded => Some(Kind::Returning),
    }
}

fn ended(
    outcome: Outcome,
    reason: &str,
    at: Timestamp,
    release: &Release,
) -> Option<(Notice, Option<IncidentKey>)> {
    let kind = match outcome {
        Outcome::Promoted | Outcome::PromotedEarly => Kind::Promoted,
        Outcome::RolledBack => Kind::RolledBack,
        Outcome::Aborted => Kind::Aborted,
        Outcome::Refused => Kind::Refused,
        Outcome::RollbackFailed => Kind::RollbackFailed,
        // Nothing ends like this.
        Outcome::Held => return None,
    };
    let notice = about(kind, at, release).with("reason", kill::without_mark(reason));
    // A pipeline that tries the same version again and again is one alarm.
    let again = (kind == Kind::Refused)
        .then(|| alarm(kind, release, release.requested.version.as_str(), reason));
    Some((notice, again))
}

/// Alarms are the same where service, kind, what it is about and the words are: numbers
/// in them differ from one to the next.
fn alarm(kind: Kind, release: &Release, about: &str, reason: &str) -> IncidentKey {
    IncidentKey {
        service: release.requested.service.to_string(),
        event: kind.as_str().to_owned(),
        cause: format!("{about}: {}", without_numbers(reason)),
    }
}

/// Longest cause that is kept, in characters.
const MAX_CAUSE: usize = 300;

fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(MAX_CAUSE) {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}
