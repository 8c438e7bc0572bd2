//! Scripts in the words of the command line: what happens when, and a transcript of what
//! became of it. `docs/sim.md` is the reference.

mod read;
mod verbs;

use crate::action::Trigger;
use crate::limits::longest;
use crate::outside::{Crash, Due};
use crate::words::transcript;
use crate::world::{START, Story, World};
use esclusa_model::{Millis, Outcome};
use esclusa_plan::Plan;
use serde::Serialize;

/// A script's line that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScenarioError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What could be written.
    pub help: String,
}

/// What became of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Played {
    /// Everything that happened, a line each.
    pub transcript: String,
    /// How the newest release ended, if it did.
    pub outcome: Option<Outcome>,
    /// Why it waits, if it does.
    pub held: Option<String>,
    /// A rule that was broken, in words.
    pub broken: Option<String>,
    /// What the script expected and did not get.
    pub unmet: Option<String>,
}

/// A script as it was read.
#[derive(Debug)]
pub(crate) struct Script {
    pub story: Story,
    /// The lines of the story's actions, for those that never happen.
    pub lines: Vec<String>,
    /// When it is over, where it does not come to rest before.
    pub run: Option<Millis>,
    pub expect: Option<Expected>,
}

/// How a script says that it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Ended(Outcome),
    Held,
}

/// Plays a script, on `plan` where the user brings one.
///
/// # Errors
/// [`ScenarioError`] at the first line that says nothing that is known here.
pub fn play(text: &str, plan: Option<&Plan>) -> Result<Played, ScenarioError> {
    let script = read::read(text, plan)?;
    let mut world = World::new(&script.story);
    let most = script
        .run
        .unwrap_or_else(|| Millis(longest(&script.story.plan).0.saturating_mul(2)));
    world.run(START.plus(most), |world| world.rests() && world.quiet());
    Ok(played(&script, &world))
}

fn played(script: &Script, world: &World) -> Played {
    let mut text = transcript(&world.out.facts.0, START);
    for (index, line) in script.lines.iter().enumerate() {
        if world.never_fired(index) {
            text.push_str(&format!("{:>10}  {:<8} {line}\n", "never", "script"));
        }
    }
    let release = world.release();
    let outcome = release.and_then(|r| r.ended.as_ref()).map(|e| e.outcome);
    let held = release
        .and_then(|r| r.hold.as_ref())
        .map(|h| h.reason.clone());
    let got = match (outcome, &held) {
        (Some(outcome), _) => outcome.to_string(),
        (None, Some(_)) => "held".into(),
        (None, None) => release.map_or_else(
            || "no release".into(),
            |release| format!("no end in phase {}", release.phase),
        ),
    };
    let unmet = script.expect.and_then(|expected| {
        let wanted = match expected {
            Expected::Ended(outcome) => outcome.to_string(),
            Expected::Held => "held".to_owned(),
        };
        (wanted != got).then(|| format!("expected {wanted}, and it was {got}"))
    });
    let broken = world
        .broken
        .as_ref()
        .map(|broken| format!("{}: {}", broken.rule, broken.what));
    if let Some(broken) = &broken {
        text.push_str(&format!("{:>10}  {:<8} {broken}\n", "broken", "rule"));
    }
    Played {
        transcript: text,
        outcome,
        held,
        broken,
        unmet,
    }
}

impl World {
    /// Whether nothing of the script is still on its way.
    pub(crate) fn quiet(&self) -> bool {
        let coming = |due: &Due| matches!(due, Due::Act(_) | Due::Restart);
        !self.out.queue.values().any(coming) && self.out.crash == Crash::Never
    }

    fn never_fired(&self, index: usize) -> bool {
        self.script
            .get(index)
            .is_some_and(|planned| !planned.fired && matches!(planned.trigger, Trigger::When(..)))
    }
}
