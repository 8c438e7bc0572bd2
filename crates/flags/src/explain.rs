//! Why an answer is what it is: the evaluator's own steps, written down.

use crate::answer::{Answer, FlagReason};
use crate::context::Context;
use crate::recorder::Recorder;
use crate::value::FlagValue;
use serde::Serialize;
use std::fmt;

/// An answer with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// The flag.
    pub flag: String,
    /// The environment.
    pub environment: String,
    /// The revision.
    pub revision: u64,
    /// The variant; `None` when there is no such flag.
    pub variant: Option<String>,
    /// Its value.
    pub value: Option<FlagValue>,
    /// OpenFeature's reason.
    pub reason: FlagReason,
    /// Our own, in words.
    pub detail: String,
    /// OpenFeature's error code, when nothing could be decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// What was asked, in its order; the last one decided.
    pub steps: Vec<Step>,
}

/// One question on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Which part of the order of choice.
    pub stage: Stage,
    /// What was asked.
    pub asked: String,
    /// What was found.
    pub found: String,
    /// Whether this decided.
    pub decides: bool,
    /// The steps of another flag that led to this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Step>,
}

/// The parts of the order of choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Kills.
    Kill,
    /// The state in this environment.
    State,
    /// Other flags.
    Prerequisite,
    /// Tester tokens.
    Tester,
    /// Single users and tenants.
    Override,
    /// Conditions and segments.
    Rule,
    /// Shares and distributions.
    Share,
    /// The defaults.
    Default,
}

impl Context<'_> {
    /// The answer for one flag, with every step that led to it.
    #[must_use]
    pub fn explain(&self, key: &str) -> Explanation {
        let snapshot = self.snapshot();
        let (answer, steps) = match snapshot.keys.find(key) {
            Some(id) => {
                let mut recorder = Recorder::new(self);
                let decision = self.decide(id, &mut recorder);
                (self.answer(id, decision), recorder.finish())
            }
            None => (self.evaluate(key), Vec::new()),
        };
        let Answer {
            value,
            variant,
            reason,
            detail,
        } = answer;
        let mut detail = detail.to_string();
        if steps.is_empty()
            && let Some(meant) = esclusa_expr::nearest(key, snapshot.keys.iter())
        {
            detail.push_str(&format!(" (did you mean {meant:?}?)"));
        }
        Explanation {
            flag: key.to_owned(),
            environment: snapshot.environment.clone(),
            revision: snapshot.revision,
            variant: variant.map(str::to_owned),
            value: value.cloned(),
            reason,
            detail,
            error: answer.error().map(|error| error.code()),
            steps,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(variant) = &self.variant else {
            return write!(f, "{:?}: {}", self.flag, self.detail);
        };
        write!(f, "{} serves {variant:?}", self.flag)?;
        if let Some(value) = &self.value {
            write!(f, " = {}", value.to_json())?;
        }
        let (environment, revision) = (&self.environment, self.revision);
        writeln!(f, " in {environment} at revision {revision}")?;
        write!(f, "{}: {}", self.reason, self.detail)?;
        write_steps(f, &self.steps, 1)
    }
}

fn write_steps(f: &mut fmt::Formatter<'_>, steps: &[Step], depth: usize) -> fmt::Result {
    for (i, step) in steps.iter().enumerate() {
        let mark = if step.decides { "=>" } else { "  " };
        let indent = "    ".repeat(depth - 1);
        let colon = match step.asked.ends_with('?') {
            true => "",
            false => ":",
        };
        let (number, asked, found) = (i + 1, &step.asked, &step.found);
        write!(f, "\n{indent}{mark} {number}. {asked}{colon} {found}")?;
        write_steps(f, &step.because, depth + 1)?;
    }
    Ok(())
}
