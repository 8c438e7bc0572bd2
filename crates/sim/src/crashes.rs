//! One story, and then the same story again and again, each time with a controller that
//! dies at another boundary. Each must end as if nothing had happened, or say why not.

use crate::action::{Action, Place, Trigger, Verb};
use crate::fact::Fact;
use crate::fuzz::come_to_rest;
use crate::limits::longest;
use crate::outside::Crash;
use crate::watch::Mood;
use crate::words::{transcript, when};
use crate::world::{START, Story, World};
use esclusa_engine::Command;
use esclusa_model::{Millis, Outcome, VersionName};
use esclusa_plan::{OnConflict, Plan, Requirement, Stage};
use esclusa_release::Event;
use serde::Serialize;

/// How a plan goes, and how it ends wherever the controller dies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// What was played, in words.
    pub title: String,
    /// The whole story without a crash.
    pub transcript: String,
    /// How it ends without a crash.
    pub outcome: Option<Outcome>,
    /// The same with a crash at every boundary.
    pub crashes: Crashes,
}

/// Deaths at all boundaries of a story.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Crashes {
    /// One for each boundary.
    pub deaths: Vec<Death>,
}

/// A death and how the story ended after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Death {
    /// The boundary's number, from 1.
    pub boundary: u64,
    /// When, since the story began.
    pub at: Millis,
    /// Where, in words.
    pub place: String,
    /// How the release ended.
    pub outcome: Option<Outcome>,
    /// Where it ended otherwise than without the crash, or broke a rule: in words.
    pub differs: Option<String>,
    /// How long the whole story took.
    pub took: Millis,
    /// The story, where it differs.
    pub transcript: Option<String>,
}

impl Crashes {
    /// Those that did not end as if nothing had happened.
    pub fn different(&self) -> impl Iterator<Item = &Death> {
        self.deaths.iter().filter(|death| death.differs.is_some())
    }
}

/// Rehearses a user's plan: a good version, and one that the judge finds harmful half-way,
/// each with a controller that dies at every boundary and is away for `downtime`.
#[must_use]
pub fn rehearse(
    plan: &Plan,
    version: &VersionName,
    first: bool,
    downtime: Millis,
) -> Vec<Rehearsal> {
    let good = stories(plan, version, first, downtime, Vec::new());
    let mut all = vec![rehearsal("a good version", &good)];
    let half = plan
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| matches!(stage, Stage::Expose(_)))
        .map(|(index, _)| index)
        .collect::<Vec<_>>();
    if let Some(stage) = half.get(half.len() / 2).filter(|_| !first) {
        let harm = Action::Judge(Mood::Bad, None);
        let when = Trigger::When(Place::Confirmed(*stage), Millis(5_000));
        let bad = stories(plan, version, first, downtime, vec![(when, harm)]);
        all.push(rehearsal("a version that does harm half-way", &bad));
    }
    all
}

/// A story in which everybody signs and `extra` happens.
pub(crate) fn stories(
    plan: &Plan,
    version: &VersionName,
    first: bool,
    downtime: Millis,
    extra: Vec<(Trigger, Action)>,
) -> Story {
    let ana = |verb| Action::Person("ana".into(), verb);
    let start = ana(Verb::Start(version.clone(), OnConflict::Refuse));
    let mut actions = vec![(Trigger::At(Millis::ZERO), start)];
    for requirement in &plan.requires {
        if let Requirement::SignOff { roles, .. } = requirement {
            for role in roles {
                let sign = Verb::Plain(Command::SignOff {
                    role: role.clone(),
                    comment: String::new(),
                    items: Vec::new(),
                    hands: Vec::new(),
                });
                let when = Trigger::When(
                    Place::Phase(esclusa_release::Phase::Preflight),
                    Millis(60_000),
                );
                // Not ana, who asks for it: the plan may want somebody else.
                actions.push((when, Action::Person("ben".into(), sign)));
            }
        }
    }
    actions.extend(extra);
    Story {
        plan: plan.clone(),
        first,
        crash: Crash::Never,
        downtime,
        actions,
    }
}

/// Plays a story whole and then with a death at every boundary.
pub(crate) fn rehearsal(title: &str, story: &Story) -> Rehearsal {
    let whole = played(story);
    let deaths = (1..=whole.out.boundaries)
        .filter_map(|boundary| {
            let story = Story {
                crash: Crash::At(boundary),
                ..story.clone()
            };
            death(boundary, &played(&story), &whole)
        })
        .collect();
    Rehearsal {
        title: title.to_owned(),
        transcript: transcript(&whole.out.facts.0, START),
        outcome: outcome(&whole),
        crashes: Crashes { deaths },
    }
}

fn played(story: &Story) -> World {
    let mut world = World::new(story);
    // People who asked for a release and were not heard ask again.
    let heard = START.plus(Millis(story.downtime.0 + 1_000));
    world.run(heard, |_| false);
    let unheard = world.out.store.service.active.is_none();
    if let Some((_, start)) = story.actions.first().filter(|_| unheard) {
        world.act(start.clone());
    }
    let most = heard.plus(Millis(longest(&story.plan).0.saturating_mul(2)));
    world.run(most, World::over);
    if world.broken.is_none() {
        come_to_rest(&mut world);
    }
    world
}

impl World {
    /// Whether all that was asked for is over, as the service's own stream says.
    fn over(&self) -> bool {
        let ended = self
            .release()
            .is_some_and(|release| release.ended.is_some());
        ended && self.rests() && self.quiet()
    }
}

fn outcome(world: &World) -> Option<Outcome> {
    world.release()?.ended.as_ref().map(|ended| ended.outcome)
}

/// Where it went and how it ended, without times and attempts.
fn course(world: &World) -> Vec<String> {
    let Some(stream) = world.out.store.streams.values().next_back() else {
        return Vec::new();
    };
    stream
        .entries
        .iter()
        .filter_map(|(event, ..)| match event {
            Event::Advanced { to, .. } => Some(to.to_string()),
            Event::ReturnDecided(returned) => Some(format!("back: {}", returned.reason)),
            Event::Ended { outcome, reason } => Some(format!("{outcome}: {reason}")),
            _ => None,
        })
        .collect()
}

fn death(boundary: u64, world: &World, whole: &World) -> Option<Death> {
    let (at, point) = world.out.facts.0.iter().find_map(|(at, fact)| match fact {
        Fact::Died {
            at: Some(point), ..
        } => Some((*at, point.to_string())),
        _ => None,
    })?;
    let (goes, went) = (course(world), course(whole));
    let differs = match &world.broken {
        Some(broken) => Some(format!("{}: {}", broken.rule, broken.what)),
        None if goes != went => {
            let fork = goes.iter().zip(&went).take_while(|(a, b)| a == b).count();
            let next = |course: &[String]| course.get(fork).cloned().unwrap_or_default();
            Some(format!("{} in place of {}", next(&goes), next(&went)))
        }
        None => None,
    };
    Some(Death {
        boundary,
        at: at.since(START),
        place: point,
        outcome: outcome(world),
        took: world.out.now.since(START),
        transcript: differs
            .is_some()
            .then(|| transcript(&world.out.facts.0, START)),
        differs,
    })
}

/// A death in one line.
impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = when(START.plus(self.at), START);
        let end = self
            .outcome
            .map_or_else(|| "no end".to_owned(), |outcome| outcome.to_string());
        write!(
            f,
            "{:>4}  {at:>10}  {:<60} {end}",
            self.boundary, self.place
        )?;
        match &self.differs {
            Some(differs) => write!(f, ", but {differs}"),
            None => Ok(()),
        }
    }
}
