//! Services and releases as people and programs see them.

use crate::app::StartRequest;
use crate::live::{Live, VersionTraffic};
use crate::source::SourceView;
use esclusa_model::{
    Actor, BasisPoints, Millis, Outcome, ReleaseId, ServiceName, Timestamp, VersionRef,
};
use esclusa_plan::{Audience, HoldThen, Plan, Stage};
use esclusa_release::{HoldState, Phase, Reached, Release, Service, SignOff, StageRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct VersionView {
    /// People's name for it.
    pub name: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Whether the digest is of the content itself.
    pub verified: bool,
}

impl From<&VersionRef> for VersionView {
    fn from(version: &VersionRef) -> Self {
        Self {
            name: version.name.to_string(),
            digest: version.digest.to_string(),
            verified: version.verified,
        }
    }
}

/// One service now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceView {
    /// Its name.
    pub service: String,
    /// What serves everybody whom no release exposes to something else.
    pub stable: Option<VersionView>,
    /// What can be returned to at once, while it is kept.
    pub warm: Option<WarmView>,
    /// Whether going back is possible right now.
    pub can_return: bool,
    /// Why not, when it is not.
    pub cannot_return_because: Option<String>,
    /// The release under way, or the last one.
    pub release: Option<ReleaseView>,
    /// Releases in line.
    pub queue: Vec<String>,
    /// Traffic by version over the last seconds.
    pub traffic: Vec<VersionTraffic>,
    /// The newest second that traffic is known of, since 1970; absent without any.
    pub traffic_second: Option<i64>,
    /// Every instance that has to run, and how it is.
    #[serde(default)]
    pub instances: Vec<InstanceView>,
}

/// One instance that has to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// Its id.
    pub instance: String,
    /// People's name for its version.
    pub version: String,
    /// What it runs for: `stable`, `canary`, or `warm` for the version that can be
    /// returned to.
    pub role: String,
    /// `up`, `down`, `starting`, `unknown` before the first look, or `run by others`
    /// where esclusa keeps no process.
    pub state: String,
    /// How often it was started again since this control plane began.
    pub restarts: u32,
    /// How it was lost last.
    pub last_end: Option<String>,
    /// When it is started next, microseconds since 1970; absent unless it is down.
    pub next_start_us: Option<i64>,
}

/// The version before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WarmView {
    /// The version.
    pub version: VersionView,
    /// Until when it is kept, microseconds since 1970.
    pub until_us: i64,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseView {
    /// Its id.
    pub release: String,
    /// Its service.
    pub service: String,
    /// People's name for the version.
    pub version: String,
    /// The flags that it turns, such as `exec-reports on in production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// The version's digest, once stored.
    pub digest: Option<String>,
    /// The version that served when it began.
    pub stable: Option<VersionView>,
    /// Where the version comes from, where that is known.
    #[serde(default)]
    pub source: Option<SourceView>,
    /// Who asked.
    pub requested_by: String,
    /// The person behind them, where that is known.
    #[serde(default)]
    pub requested_person: Option<String>,
    /// When, microseconds since 1970.
    pub requested_at_us: i64,
    /// Digest of the text of the plan that it follows.
    pub plan_digest: String,
    /// Where it stands, in words; `queued` while it waits in line.
    pub phase: String,
    /// Its place in line, from 1, while another release of its service is under way.
    pub place_in_line: Option<u64>,
    /// The share that it asks for now, such as `25%`.
    pub share: String,
    /// Whether that was read back.
    pub share_confirmed: bool,
    /// The plan's stages and how far each is.
    pub stages: Vec<StageView>,
    /// Checks, steps and other work.
    pub tasks: Vec<TaskView>,
    /// Roles that have not signed off yet.
    pub missing_sign_offs: Vec<String>,
    /// Every role that has to sign off, and what became of it.
    #[serde(default)]
    pub sign_offs: Vec<SignOffView>,
    /// Whether a person has to let it go on, by `resume`.
    #[serde(default)]
    pub can_resume: bool,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Why, where that was said.
    pub paused_because: Option<String>,
    /// Why its flags reach nobody as things stand; absent when they may reach somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaches_nobody_because: Option<String>,
    /// What it waits for.
    pub hold: Option<String>,
    /// When that wait ends, microseconds since 1970; absent when it waits for nothing
    /// and when the plan lets it wait for a person.
    pub hold_until_us: Option<i64>,
    /// When only a person can move it on, microseconds since 1970. A time to come when
    /// the plan's `hold` runs until then.
    pub needs_person_at_us: Option<i64>,
    /// What the judge says now, and of a stage that is over what it said last.
    pub judged: Option<String>,
    /// Why it goes or went back.
    pub returning_because: Option<String>,
    /// Why what is in force could not be recorded yet; absent when all of it is.
    #[serde(default)]
    pub not_recorded_because: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// When it ended, microseconds since 1970.
    pub ended_at_us: Option<i64>,
}

/// A role that has to sign off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignOffView {
    /// The role.
    pub role: String,
    /// Who signed off in it; absent while nobody has.
    pub by: Option<String>,
    /// When, microseconds since 1970.
    pub at_us: Option<i64>,
    /// In which words.
    pub comment: String,
    /// Whether whoever asked for the release may not be the one.
    pub not_by_author: bool,
    /// What has to be confirmed with it, in the plan's order.
    pub items: Vec<ItemView>,
}

/// An item of a sign-off's checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ItemView {
    /// The item, in the plan's words.
    pub item: String,
    /// Whether it was confirmed as done.
    pub done: bool,
    /// The words of who confirmed it.
    pub note: String,
}

/// One stage of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageView {
    /// What it does: `warm-up`, `segment team`, `25%`.
    pub to: String,
    /// Its least watch in milliseconds.
    pub for_ms: u64,
    /// When it was entered, microseconds since 1970.
    pub entered_at_us: Option<i64>,
    /// When its exposure was read back.
    pub confirmed_at_us: Option<i64>,
    /// When it was left.
    pub left_at_us: Option<i64>,
    /// Why it was left.
    pub left_because: Option<String>,
    /// The time that it should need at most, in milliseconds; absent where the plan names
    /// none.
    #[serde(default)]
    pub budget_ms: Option<u64>,
    /// Whether it took longer than that.
    #[serde(default)]
    pub over_budget: bool,
    /// The known tenants to whom its flags are turned; absent where none are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<ReachedView>,
}

/// Known tenants and people to whom flags are turned: what is behind a percentage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedView {
    /// How many they are.
    pub tenants: u64,
    /// Of how many that are known.
    pub of: u64,
    /// Who they are; the first hundred by name.
    pub names: Vec<String>,
    /// How many people whom the flag set names.
    #[serde(default)]
    pub people: u64,
}

impl std::fmt::Display for ReachedView {
    /// Such as `2 of 40 tenants, 3 named people`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Reached::in_words(self.tenants, self.of, self.people))
    }
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// Its name, such as `check/0`.
    pub task: String,
    /// In the plan's words.
    pub title: String,
    /// Tries so far.
    pub attempt: u32,
    /// How it ended; absent while it runs.
    pub result: Option<String>,
    /// Whether it is done.
    pub done: bool,
    /// How long it took, milliseconds; absent while it runs.
    pub took_ms: Option<u64>,
}

impl ServiceView {
    /// A service nobody has heard of.
    pub(crate) fn unknown(name: &ServiceName) -> Self {
        Self::new(
            &Service::new(name.clone()),
            None,
            &Live::default(),
            Err(String::new()),
        )
    }

    pub(crate) fn new(
        service: &Service,
        release: Option<&Release>,
        traffic: &Live,
        can_return: Result<(), String>,
    ) -> Self {
        Self {
            service: service.name.to_string(),
            stable: service
                .stable
                .as_ref()
                .map(|stable| (&stable.version).into()),
            warm: service.warm.as_ref().map(|warm| WarmView {
                version: (&warm.deployed.version).into(),
                until_us: warm.until.0,
            }),
            can_return: can_return.is_ok(),
            cannot_return_because: can_return.err(),
            release: release.map(ReleaseView::new),
            queue: service.queue.iter().map(ToString::to_string).collect(),
            traffic: traffic.versions().to_vec(),
            traffic_second: traffic.newest(),
            instances: Vec::new(),
        }
    }
}

impl ReleaseView {
    /// A release as it stands.
    #[must_use]
    pub fn new(release: &Release) -> Self {
        let asked = &release.requested;
        Self {
            release: asked.release.to_string(),
            service: asked.service.to_string(),
            version: asked.version.to_string(),
            flags: flags_in_words(&asked.plan),
            digest: release
                .version
                .as_ref()
                .map(|version| version.digest.to_string()),
            stable: asked.stable.as_ref().map(Into::into),
            source: asked.source.as_ref().map(Into::into),
            requested_by: release.requested_by.to_string(),
            requested_person: asked.person.clone(),
            requested_at_us: release.requested_at.0,
            plan_digest: asked.plan_digest.to_string(),
            phase: release.phase.to_string(),
            place_in_line: None,
            share: share_in_words(release),
            share_confirmed: release.dial_confirmed(),
            stages: stages(&asked.plan, &release.stages),
            tasks: tasks(release),
            missing_sign_offs: missing_sign_offs(&asked.plan, |role| {
                release.sign_offs.contains_key(role)
            }),
            sign_offs: sign_offs(&asked.plan, |role| release.sign_offs.get(role)),
            can_resume: release.paused.is_some() || release.returned_by_proxy.is_some(),
            paused_by: release.paused.as_ref().map(|pause| pause.by.to_string()),
            paused_because: release
                .paused
                .as_ref()
                .and_then(|pause| pause.because.as_ref())
                .map(|because| because.reason.clone()),
            reaches_nobody_because: None,
            hold: waiting(release).map(|hold| hold.reason.clone()),
            hold_until_us: hold_end(release, HoldThen::Rollback),
            needs_person_at_us: release
                .returned_by_proxy
                .as_ref()
                .map(|returned| returned.since.0)
                .or_else(|| hold_end(release, HoldThen::Hold)),
            judged: release
                .judged
                .as_ref()
                .map(|evidence| evidence.summary.clone()),
            returning_because: release
                .returning
                .as_ref()
                .map(|r| r.decision.reason.clone()),
            not_recorded_because: None,
            outcome: release
                .ended
                .as_ref()
                .map(|ended| ended.outcome.to_string()),
            reason: release.ended.as_ref().map(|ended| ended.reason.clone()),
            ended_at_us: release.ended.as_ref().map(|ended| ended.at.0),
        }
    }

    /// One that waits in line: nothing of it is recorded but what was asked for.
    pub(crate) fn waiting(id: &ReleaseId, asked: &StartRequest, place: usize) -> Self {
        Self {
            release: id.to_string(),
            service: asked.plan.service.to_string(),
            version: asked.version.to_string(),
            flags: flags_in_words(&asked.plan),
            digest: None,
            stable: None,
            source: asked.source.as_ref().map(Into::into),
            requested_by: asked.actor.to_string(),
            requested_person: asked.person.clone(),
            requested_at_us: asked.asked_at.0,
            plan_digest: asked.plan_digest.to_string(),
            phase: "queued".to_owned(),
            place_in_line: u64::try_from(place).ok(),
            share: BasisPoints::ZERO.to_string(),
            share_confirmed: false,
            stages: stages(&asked.plan, &[]),
            tasks: Vec::new(),
            missing_sign_offs: missing_sign_offs(&asked.plan, |_| false),
            sign_offs: sign_offs(&asked.plan, |_| None),
            can_resume: false,
            paused_by: None,
            paused_because: None,
            reaches_nobody_because: None,
            hold: None,
            hold_until_us: None,
            needs_person_at_us: None,
            judged: None,
            returning_because: None,
            not_recorded_because: None,
            outcome: None,
            reason: None,
            ended_at_us: None,
        }
    }

    /// One that somebody took out of the line before it began.
    pub(crate) fn taken_out(id: &ReleaseId, asked: &StartRequest) -> Self {
        Self {
            phase: Phase::Ended.to_string(),
            place_in_line: None,
            outcome: Some(Outcome::Aborted.to_string()),
            reason: Some("it was taken out of the line before it began".to_owned()),
            ..Self::waiting(id, asked, 0)
        }
    }
}

/// What it waits for: a share that a proxy took back comes before missing proof.
fn waiting(release: &Release) -> Option<&HoldState> {
    release.returned_by_proxy.as_ref().or(release.hold.as_ref())
}

/// When the present hold has lasted as long as the plan allows, where `then` follows.
fn hold_end(release: &Release, then: HoldThen) -> Option<i64> {
    let limit = release.requested.plan.hold;
    let hold = release.hold.as_ref()?;
    (limit.then == then).then(|| hold.since.plus(limit.for_).0)
}

fn flags_in_words(plan: &Plan) -> Option<String> {
    let flags = plan.flags.as_ref()?;
    Some(format!("{flags} in {}", flags.environment))
}

fn share_in_words(release: &Release) -> String {
    let exposure = release.exposure();
    if exposure.segments.is_empty() {
        exposure.share.to_string()
    } else if exposure.share.get() == 0 {
        exposure.segments.join(" + ")
    } else {
        format!("{} + {}", exposure.share, exposure.segments.join(" + "))
    }
}

fn stages(plan: &Plan, records: &[StageRecord]) -> Vec<StageView> {
    let micros = |at: Timestamp| at.0;
    plan.stages
        .iter()
        .enumerate()
        .map(|(index, stage)| {
            let record = records.iter().rev().find(|record| record.stage == index);
            let (Millis(for_ms), budget) = match stage {
                Stage::WarmUp(warm_up) => (warm_up.for_, None),
                Stage::Expose(expose) => (expose.for_, expose.budget),
            };
            StageView {
                to: stage_in_words(stage),
                for_ms,
                entered_at_us: record.map(|record| micros(record.entered_at)),
                confirmed_at_us: record.and_then(|record| record.confirmed_at).map(micros),
                left_at_us: record.and_then(|record| record.left_at).map(micros),
                left_because: record.and_then(|record| record.left_because.clone()),
                budget_ms: budget.map(|Millis(budget)| budget),
                over_budget: record.is_some_and(|record| record.over_budget),
                reached: record
                    .and_then(|record| record.reached.as_ref())
                    .map(|reached| ReachedView {
                        tenants: reached.tenants,
                        of: reached.of,
                        names: reached.names.clone(),
                        people: reached.people,
                    }),
            }
        })
        .collect()
}

/// The plan's stages in words, in its order.
pub(crate) fn stage_words(plan: &Plan) -> Vec<String> {
    plan.stages.iter().map(stage_in_words).collect()
}

fn stage_in_words(stage: &Stage) -> String {
    match stage {
        Stage::WarmUp(_) => "warm-up".to_owned(),
        Stage::Expose(expose) => audience(&expose.to),
    }
}

fn audience(to: &Audience) -> String {
    match to {
        Audience::Share(share) => share.to_string(),
        Audience::Segment(name) => format!("segment {name}"),
    }
}

fn tasks(release: &Release) -> Vec<TaskView> {
    let mut tasks: Vec<_> = release.tasks.iter().collect();
    tasks.sort_by_key(|(_, state)| state.started_at);
    tasks
        .into_iter()
        .map(|(task, state)| TaskView {
            task: task.to_string(),
            title: esclusa_engine::describe_task(release, *task),
            attempt: state.attempt,
            result: state.end.as_ref().map(ToString::to_string),
            done: state
                .end
                .as_ref()
                .is_some_and(esclusa_release::TaskEnd::is_done),
            took_ms: state.ended_at.map(|ended| ended.since(state.started_at).0),
        })
        .collect()
}

fn missing_sign_offs(plan: &Plan, given: impl Fn(&str) -> bool) -> Vec<String> {
    let roles = plan.sign_off_roles().into_iter();
    roles
        .filter(|role| !given(role))
        .map(str::to_owned)
        .collect()
}

fn sign_offs<'a>(
    plan: &Plan,
    given: impl Fn(&str) -> Option<&'a (SignOff, Actor, Timestamp)>,
) -> Vec<SignOffView> {
    let one = |role: &str| {
        let agreed = given(role);
        let done = |item: &str| {
            let items = agreed.map(|(agreed, ..)| agreed.items.as_slice());
            let mut items = items.unwrap_or_default().iter();
            items.find(|done| done.item == item)
        };
        let items = plan.items_of(role).into_iter().map(|item| ItemView {
            item: item.to_owned(),
            done: done(item).is_some(),
            note: done(item).map_or_else(String::new, |done| done.note.clone()),
        });
        SignOffView {
            role: role.to_owned(),
            by: agreed.map(|(_, by, _)| by.to_string()),
            at_us: agreed.map(|(.., at)| at.0),
            comment: agreed.map_or_else(String::new, |(agreed, ..)| agreed.comment.clone()),
            not_by_author: plan.not_by_author(role),
            items: items.collect(),
        }
    };
    plan.sign_off_roles().into_iter().map(one).collect()
}
