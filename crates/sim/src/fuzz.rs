//! Many seeds, each a story: first with its faults, then without, until it comes to rest.

use crate::dice::Dice;
use crate::draw::story;
use crate::fact::Fact;
use crate::invariant::Broken;
use crate::limits::{longest, still};
use crate::outside::Mutant;
use crate::words::transcript;
use crate::world::{START, Story, World};
use esclusa_model::Millis;
use esclusa_plan::HoldThen;
use esclusa_release::Event;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many failures are kept with their transcripts.
const MOST_FAILURES: usize = 5;
/// How long a story goes on after its release ended: people may still want it back.
const AFTERWARDS: Millis = Millis(100 * 60_000);

/// What many seeds came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fuzzed {
    /// How many seeds were run.
    pub runs: u64,
    /// How many of them broke a rule.
    pub broken: u64,
    /// How often a release ended in which way.
    pub outcomes: BTreeMap<String, u64>,
    /// Boundaries at which a controller could have died.
    pub boundaries: u64,
    /// How often one did die.
    pub deaths: u64,
    /// Events recorded.
    pub events: u64,
    /// The first failures.
    pub failures: Vec<Failure>,
}

/// A seed that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The rule, by the name of its file.
    pub rule: &'static str,
    /// What happened that must not.
    pub what: String,
    /// Everything up to there.
    pub transcript: String,
}

/// Runs the seeds from `first` on, `runs` of them. `progress` is told how many are done,
/// and says whether to go on.
pub fn fuzz(first: u64, runs: u64, mut progress: impl FnMut(&Fuzzed) -> bool) -> Fuzzed {
    let mut all = Fuzzed::default();
    for seed in (0..runs).map(|n| first.wrapping_add(n)) {
        one_seed(seed, &mut all);
        if !progress(&all) {
            break;
        }
    }
    all
}

/// Runs one seed and adds what came of it to `all`.
pub fn one_seed(seed: u64, all: &mut Fuzzed) {
    let world = run_seed(seed, None);
    all.runs += 1;
    all.boundaries += world.out.boundaries;
    for (_, fact) in &world.out.facts.0 {
        match fact {
            Fact::Died { .. } => all.deaths += 1,
            Fact::Recorded { event, .. } => {
                all.events += 1;
                if let Event::Ended { outcome, .. } = **event {
                    *all.outcomes.entry(outcome.to_string()).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    if let Some(broken) = &world.broken {
        all.broken += 1;
        if all.failures.len() < MOST_FAILURES {
            all.failures.push(Failure {
                seed,
                rule: broken.rule,
                what: broken.what.clone(),
                transcript: transcript(&world.out.facts.0, START),
            });
        }
    }
}

/// The world at the end of a seed's story.
pub(crate) fn run_seed(seed: u64, mutant: Option<Mutant>) -> World {
    let mut dice = Dice::new(seed);
    let story = story(&mut dice);
    let mut world = World::new(&story);
    world.out.restless = Some(Dice::new(dice.next()));
    world.become_mutant(mutant);
    both_phases(&mut world, &story);
    world
}

/// With faults, then without.
pub(crate) fn both_phases(world: &mut World, story: &Story) {
    let most = Millis(longest(&story.plan).0.min(8 * 24 * 3_600_000));
    world.run(START.plus(most), |world| {
        world
            .release()
            .is_some_and(|release| release.ended.is_some())
    });
    let later = world.out.now.plus(AFTERWARDS);
    world.run(later, |_| false);
    if world.broken.is_none() {
        come_to_rest(world);
    }
}

/// No more faults: the story ends, or waits for a person where the plan says so.
pub(crate) fn come_to_rest(world: &mut World) {
    world.heal();
    let until = world.out.now.plus(still(&world.out));
    let rested = world.run(until, World::rests);
    if !rested && world.broken.is_none() {
        let places: Vec<String> = world
            .out
            .store
            .streams
            .values()
            .map(|s| format!("{} {}", s.fold.requested.release, s.fold.phase))
            .collect();
        world.broken = Some(Broken::no_end(format!(
            "no end although nothing is wrong any more: {}",
            places.join(", ")
        )));
    }
}

impl World {
    /// Whether nothing moves any more without a person.
    pub(crate) fn rests(&self) -> bool {
        let Some(controller) = self.controller.as_ref().filter(|c| c.awake && !c.stuck) else {
            return false;
        };
        let service = &self.out.store.service;
        let Some(active) = &service.active else {
            let over = |run: &crate::controller::Run| {
                run.release.ended.is_some() && run.pending.is_empty()
            };
            return service.queue.is_empty() && controller.run.as_ref().is_none_or(over);
        };
        self.out.store.streams.get(active).is_some_and(|stream| {
            let waits = stream.fold.requested.plan.hold.then == HoldThen::Hold;
            waits && stream.fold.hold.is_some()
        })
    }

    /// Makes the controller, or what it relies on, do one thing wrong.
    pub(crate) fn become_mutant(&mut self, mutant: Option<Mutant>) {
        self.out.mutant = mutant;
        if mutant == Some(Mutant::ForgetsFence) {
            self.out.store.fenced = false;
            self.out.proxy.fenced = false;
        }
        if mutant == Some(Mutant::ForgetsReturn) {
            self.out.proxy.forgets = crate::proxy::Forgets::WhenTold;
        }
    }
}
