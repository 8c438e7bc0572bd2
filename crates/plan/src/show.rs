//! What a plan will do and how long it may take, before anything starts.
//!
//! Every number follows from the plan. What traffic there is, and what it could prove,
//! is not known here.

mod price;
mod text;

use crate::model::{Audience, FlagTurns, HoldThen, Plan, Requirement, Stage, Step};
use crate::section::components::DEFAULT_TRAFFIC;
use crate::units::rate_text;
use esclusa_model::{BasisPoints, Millis};
use serde::Serialize;

/// A plan at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The service.
    pub service: String,
    /// All phases in order, from the first requirement to the last step.
    pub phases: Vec<Phase>,
    /// Shortest time to the end, when every check passes at once.
    pub at_least: Millis,
    /// Longest time to the end, every wait used up; `None` when a hold has no end.
    pub at_most: Option<Millis>,
    /// What a return may take.
    pub returning: Returning,
    /// How much of all traffic meets the new version before everybody does.
    pub exposure: Exposure,
    /// What ends the waits that the plan does not expect.
    pub limits: Vec<Limit>,
    /// What is exposed, by component.
    pub components: Vec<Part>,
    /// The flags that are turned, in words; absent where none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// What turns the share.
    pub traffic: String,
    /// Where requests arrive, for services with a route.
    pub listen: Option<String>,
    /// How long the version before stays ready to return to.
    pub keep_warm: Millis,
}

/// The price of finding out: users who meet the new version before it is proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// All stages before 100 % together, as a time in which everybody would have met it.
    /// Segments are not in it: how many belong to one is not known.
    pub at_least: Millis,
    /// The same with every wait used up; `None` when a hold has no end.
    pub at_most: Option<Millis>,
}

/// A wait that ends by itself, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// What is waited for, in words.
    pub what: String,
    /// How long.
    pub after: Millis,
    /// What happens then, in words.
    pub then: String,
}

/// Who meets the new version in a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exposed {
    /// The share in hundredths of a percent; absent for a segment.
    pub share_bp: Option<u16>,
    /// How many of the known population; absent where none is known.
    pub units: Option<u64>,
    /// The canary's requests that this stage asks for, in whole.
    pub requests: Option<u64>,
    /// Requests of all users in an hour from which the stage gets them in its time; absent
    /// where none are asked for.
    pub needs_per_hour: Option<u64>,
}

/// One phase of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// What kind of phase.
    pub kind: PhaseKind,
    /// What happens, in words.
    pub what: String,
    /// What decides whether the release goes on, in words.
    pub decided_by: String,
    /// All that must be so before the release goes on, in words.
    pub waits_for: Vec<String>,
    /// Who meets the new version; absent where nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed: Option<Exposed>,
    /// Shortest time.
    pub at_least: Millis,
    /// Longest time; `None` when it has no end.
    pub at_most: Option<Millis>,
}

/// Kinds of phases, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// A check or sign-off.
    Requires,
    /// A step before the canary runs.
    Before,
    /// The canary's instances become ready.
    Deploy,
    /// Synthetic requests.
    WarmUp,
    /// Users are exposed.
    Expose,
    /// A step after 100 %.
    After,
}

/// What a return may take once it is decided. Users are sent back first; the rest
/// runs after that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Returning {
    /// Longest time to turn the share back by something outside of esclusa; `None` for
    /// esclusa's proxy, which needs one new generation.
    pub turn: Option<Millis>,
    /// Undo steps in the order they run, with their limits.
    pub undo: Vec<(String, Millis)>,
    /// The longest drain that the plan names.
    pub drain: Millis,
    /// Components whose drain the plan leaves to their driver.
    pub drain_by_driver: Vec<String>,
    /// All of it, one after the other, without what is left to drivers.
    pub at_most: Millis,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How many copies run.
    pub instances: u16,
    /// What runs it.
    pub driver: String,
    /// The artifact, as a template.
    pub artifact: Option<String>,
}

/// The plan at a glance, as data.
#[must_use]
pub fn overview(plan: &Plan) -> Overview {
    let phases = phases(plan);
    let at_least = Millis(phases.iter().map(|phase| phase.at_least.0).sum());
    let at_most = phases
        .iter()
        .map(|phase| phase.at_most.map(|time| time.0))
        .sum::<Option<u64>>()
        .map(Millis);
    Overview {
        service: plan.service.to_string(),
        phases,
        at_least,
        at_most,
        returning: returning(plan),
        exposure: price::exposure(plan),
        limits: price::limits(plan),
        components: plan
            .components
            .iter()
            .map(|(name, component)| Part {
                name: name.to_string(),
                kind: kind_text(component.kind).to_owned(),
                instances: component.instances,
                driver: component.run.driver.clone(),
                artifact: component.artifact.clone(),
            })
            .collect(),
        flags: plan.flags.as_ref().map(flags),
        traffic: plan.traffic.driver.clone(),
        listen: plan.route.as_ref().map(|route| route.listen.clone()),
        keep_warm: plan.keep_warm,
    }
}

/// The plan at a glance, as a plain text.
#[must_use]
pub fn show(plan: &Plan) -> String {
    text::render(&overview(plan))
}

const fn kind_text(kind: esclusa_model::ComponentKind) -> &'static str {
    match kind {
        esclusa_model::ComponentKind::Web => "web",
        esclusa_model::ComponentKind::Worker => "worker",
        esclusa_model::ComponentKind::Singleton => "singleton",
    }
}

fn phases(plan: &Plan) -> Vec<Phase> {
    let (late, early): (Vec<_>, Vec<_>) = plan.requires.iter().partition(|r| needs_canary(r));
    let mut phases: Vec<Phase> = early.into_iter().map(requirement).collect();
    phases.extend(plan.before.iter().map(|s| step(s, PhaseKind::Before)));
    phases.extend(plan.flags_alone().is_none().then(|| deploy(plan)));
    phases.extend(late.into_iter().map(requirement));
    phases.extend(plan.stages.iter().map(|s| stage(s, plan)));
    phases.extend(plan.after.iter().map(|s| step(s, PhaseKind::After)));
    phases
}

fn flags(flags: &FlagTurns) -> String {
    let of = flags.of.as_deref().unwrap_or("targetingKey");
    format!("{flags} in {}, a share of `{of}`", flags.environment)
}

fn deploy(plan: &Plan) -> Phase {
    Phase {
        kind: PhaseKind::Deploy,
        what: "start the canary".to_owned(),
        decided_by: "all instances ready".to_owned(),
        waits_for: vec![format!(
            "{} ready",
            plan.components
                .iter()
                .map(|(name, component)| format!("{} x {name}", component.instances))
                .collect::<Vec<_>>()
                .join(", ")
        )],
        exposed: None,
        at_least: Millis::ZERO,
        at_most: Some(plan.deploy_timeout),
    }
}

fn needs_canary(requirement: &Requirement) -> bool {
    matches!(
        requirement,
        Requirement::Check {
            needs_canary: true,
            ..
        }
    )
}

fn requirement(requirement: &Requirement) -> Phase {
    let (what, decided_by, time) = match requirement {
        Requirement::Check { name, timeout, .. } => {
            (name.clone(), "the check's answer".to_owned(), *timeout)
        }
        Requirement::SignOff {
            roles,
            within,
            not_by_author,
            items,
        } => {
            let who = if *not_by_author {
                "people, not the author"
            } else {
                "people"
            };
            let who = match items.len() {
                0 => who.to_owned(),
                1 => format!("{who}, with 1 item to confirm"),
                many => format!("{who}, with {many} items to confirm"),
            };
            (format!("sign-off by {}", roles.join(", ")), who, *within)
        }
    };
    Phase {
        kind: PhaseKind::Requires,
        waits_for: price::answers(requirement),
        exposed: None,
        what,
        decided_by,
        at_least: Millis::ZERO,
        at_most: Some(time),
    }
}

fn step(step: &Step, kind: PhaseKind) -> Phase {
    Phase {
        kind,
        what: step.name.clone(),
        decided_by: "exit code".to_owned(),
        waits_for: vec!["exit code 0".to_owned()],
        exposed: None,
        at_least: Millis::ZERO,
        at_most: Some(step.timeout),
    }
}

fn stage(stage: &Stage, plan: &Plan) -> Phase {
    match stage {
        Stage::WarmUp(warm_up) => Phase {
            kind: PhaseKind::WarmUp,
            what: format!(
                "{} of {}",
                rate_text(warm_up.rate_per_1000s),
                warm_up.get.join(" ")
            ),
            decided_by: "time".to_owned(),
            waits_for: vec![warm_up.for_.to_string()],
            exposed: None,
            at_least: warm_up.for_,
            at_most: Some(warm_up.for_),
        },
        Stage::Expose(expose) => {
            let (what, decided_by) = match &expose.to {
                Audience::Segment(name) => (format!("segment {name}"), "guard rails"),
                Audience::Share(BasisPoints::FULL) => {
                    ("100%".to_owned(), "guard rails, the version before")
                }
                Audience::Share(share) => (share.to_string(), "comparison, guard rails"),
            };
            Phase {
                kind: PhaseKind::Expose,
                what,
                decided_by: decided_by.to_owned(),
                waits_for: price::proof(expose, plan),
                exposed: Some(price::exposed(expose, plan)),
                at_least: price::shortest(expose, plan),
                at_most: match plan.hold.then {
                    HoldThen::Rollback => Some(Millis(expose.for_.0 + plan.hold.for_.0)),
                    HoldThen::Hold => None,
                },
            }
        }
    }
}

fn returning(plan: &Plan) -> Returning {
    // Undone in reverse order, what came last first.
    let undo: Vec<(String, Millis)> = plan
        .before
        .iter()
        .chain(&plan.after)
        .rev()
        .filter_map(|step| Some((step.name.clone(), step.undo.as_ref()?.timeout)))
        .collect();
    let drain = |component: &crate::model::Component| {
        let drain = component.run.config.get("drain")?;
        drain.as_u64().map(Millis)
    };
    let longest = plan.components.values().filter_map(drain).max();
    let drain_by_driver = plan
        .components
        .iter()
        .filter(|(_, component)| drain(component).is_none())
        .map(|(name, _)| name.to_string())
        .collect();
    let external = plan.traffic.driver != DEFAULT_TRAFFIC;
    let turn = external.then_some(plan.dial_timeout);
    let drain = longest.unwrap_or(Millis::ZERO);
    let undo_time: u64 = undo.iter().map(|(_, time)| time.0).sum();
    Returning {
        at_most: Millis(turn.unwrap_or(Millis::ZERO).0 + drain.0 + undo_time),
        turn,
        undo,
        drain,
        drain_by_driver,
    }
}
