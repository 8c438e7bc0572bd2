//! The gate of a stage with real users.

use crate::decide::{advance, judged_harmful, obstacle};
use crate::hold::{gate, wait};
use crate::observed::{Observed, Opinion, StageEnd};
use esclusa_plan::{Expose, Stage};
use esclusa_release::{Event, Phase, Release};

/// The next events of stage `index`, once nothing takes the canary back.
pub(crate) fn at_stage(
    release: &Release,
    observed: &Observed,
    index: usize,
    expose: &Expose,
) -> Vec<Event> {
    let now = observed.now;
    if let Some(returned) = &release.returned_by_proxy {
        return wait(release, now, returned.reason.clone());
    }
    let confirmed_at = release.stage_record().and_then(|r| r.confirmed_at);
    if confirmed_at.is_some() && (release.skip_asked || release.promote_asked) {
        return passed_by_person(release, index);
    }
    let keeps = obstacle(release, observed).or_else(|| blind(release, observed));
    if keeps.is_some() {
        return gate(release, now, keeps, Vec::new());
    }
    let Some(confirmed_at) = confirmed_at else {
        return gate(release, now, None, Vec::new());
    };
    if now.since(confirmed_at) >= expose.for_ {
        return at_end(release, observed, index);
    }
    match &observed.judgement {
        Some(judgement)
            if expose.early
                && judgement.opinion == Opinion::Proceed
                && matches!(judgement.at_end, StageEnd::Advance(_)) =>
        {
            at_end(release, observed, index)
        }
        Some(_) | None => gate(release, now, None, Vec::new()),
    }
}

/// Why nobody can see the canary, where somebody could and should.
pub(crate) fn blind(release: &Release, observed: &Observed) -> Option<String> {
    let rule = &release.requested.plan.judge.blind;
    let watched = matches!(release.stage(), Some((_, Stage::Expose(_))))
        && release.returned_by_proxy.is_none();
    if !watched {
        return None;
    }
    if observed.observes && observed.silent_for > rule.hold {
        return Some(format!("no counts from any proxy for {}", rule.hold));
    }
    observed.unread.clone()
}

pub(crate) fn passed_by_person(release: &Release, index: usize) -> Vec<Event> {
    let stages = release.requested.plan.stages.len();
    let to = match index + 1 {
        next if next >= stages => Phase::After,
        _ if release.promote_asked => Phase::Stage(stages - 1),
        next => Phase::Stage(next),
    };
    advance(to, "passed by a person")
}

fn at_end(release: &Release, observed: &Observed, index: usize) -> Vec<Event> {
    let now = observed.now;
    let Some(judgement) = &observed.judgement else {
        let reason = if observed.observes {
            "no verdict yet: no counts have arrived"
        } else {
            "this traffic driver counts no requests, so a person must look and promote"
        };
        return wait(release, now, reason.into());
    };
    match &judgement.at_end {
        StageEnd::Rollback(reason) => judged_harmful(release, judgement, reason.clone()),
        StageEnd::Hold(reason) => wait(release, now, reason.clone()),
        StageEnd::Advance(why) => {
            let next = index + 1;
            vec![Event::Advanced {
                to: if next == release.requested.plan.stages.len() {
                    Phase::After
                } else {
                    Phase::Stage(next)
                },
                why: why.clone(),
                evidence: Some(judgement.evidence.clone()),
            }]
        }
    }
}
