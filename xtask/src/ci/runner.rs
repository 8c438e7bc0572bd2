//! Runs steps in order and says how each went and how long it took.

use anyhow::{Result, bail};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// One step of the gate.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Path) -> Result<Outcome>,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With what is worth saying about it, possibly nothing.
    Passed(String),
    Failed(String),
    /// Its tool is missing; the reason stands in the summary.
    Skipped(String),
}

impl From<bool> for Outcome {
    fn from(success: bool) -> Self {
        if success {
            Self::Passed(String::new())
        } else {
            Self::Failed(String::new())
        }
    }
}

/// The steps with these names in the gate's own order; all without names.
pub(crate) fn choose(steps: &[Step], names: &[&str]) -> Result<Vec<Step>> {
    if let Some(unknown) = names.iter().find(|n| steps.iter().all(|s| s.name != **n)) {
        let known: Vec<&str> = steps.iter().map(|step| step.name).collect();
        bail!(
            "no step is called {unknown:?}; there are: {}",
            known.join(", ")
        );
    }
    let wanted = |step: &&Step| names.is_empty() || names.contains(&step.name);
    Ok(steps.iter().filter(wanted).copied().collect())
}

/// Runs the steps until one fails. Returns whether all went well; none at all is not
/// well.
pub(crate) fn run(steps: &[Step], root: &Path, out: &mut impl Write) -> Result<bool> {
    let begin = Instant::now();
    let mut lines = Vec::new();
    let mut failed = steps.is_empty();
    for (index, step) in steps.iter().enumerate() {
        writeln!(out, "==> [{}/{}] {}", index + 1, steps.len(), step.name)?;
        out.flush()?;
        let step_begin = Instant::now();
        let outcome =
            (step.run)(root).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let line = describe(step.name, &outcome, step_begin.elapsed());
        writeln!(out, "<== {line}")?;
        lines.push(line);
        if matches!(outcome, Outcome::Failed(_)) {
            failed = true;
            break;
        }
    }
    writeln!(out, "\nsummary")?;
    for line in &lines {
        writeln!(out, "  {line}")?;
    }
    for step in &steps[lines.len()..] {
        writeln!(out, "  {:<9} not run", step.name)?;
    }
    let verdict = if failed { "FAILED" } else { "passed" };
    writeln!(
        out,
        "ci: {verdict}, {} of {} steps in {}",
        lines.len(),
        steps.len(),
        seconds(begin.elapsed())
    )?;
    Ok(!failed)
}

fn describe(name: &str, outcome: &Outcome, took: Duration) -> String {
    let (word, detail) = match outcome {
        Outcome::Passed(detail) => ("ok", detail),
        Outcome::Failed(detail) => ("FAILED", detail),
        Outcome::Skipped(reason) => ("skipped", reason),
    };
    let line = format!("{name:<9} {word:<7} {:>7}  {detail}", seconds(took));
    line.trim_end().to_owned()
}

fn seconds(took: Duration) -> String {
    let whole = took.as_secs();
    if whole < 60 {
        format!("{:.1}s", took.as_secs_f64())
    } else {
        format!("{}m{:02}s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, run: fn(&Path) -> Result<Outcome>) -> Step {
        Step { name, run }
    }

    fn good(_: &Path) -> Result<Outcome> {
        Ok(Outcome::Passed("12 passed".into()))
    }

    fn bad(_: &Path) -> Result<Outcome> {
        Ok(Outcome::from(false))
    }

    fn missing(_: &Path) -> Result<Outcome> {
        Ok(Outcome::Skipped("no such tool".into()))
    }

    fn broken(_: &Path) -> Result<Outcome> {
        bail!("the disk is full")
    }

    fn transcript(steps: &[Step]) -> (bool, String) {
        let mut out = Vec::new();
        let passed = run(steps, Path::new("."), &mut out).expect("writes to memory");
        (passed, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn the_first_failure_ends_it() {
        let steps = [step("one", good), step("two", bad), step("three", good)];
        let (passed, text) = transcript(&steps);
        assert!(!passed);
        assert!(
            text.contains("==> [2/3] two") && !text.contains("==> [3/3]"),
            "{text}"
        );
        assert!(text.contains("three     not run"), "{text}");
        assert!(text.contains("ci: FAILED, 2 of 3 steps"), "{text}");
    }

    #[test]
    fn what_was_left_out_is_said() {
        let (passed, text) = transcript(&[step("one", good), step("two", missing)]);
        assert!(passed);
        assert!(
            text.contains("12 passed") && text.contains("no such tool"),
            "{text}"
        );
        assert!(text.contains("ci: passed, 2 of 2 steps"), "{text}");
    }

    #[test]
    fn an_error_is_a_failure_and_so_is_nothing() {
        let (passed, text) = transcript(&[step("one", broken)]);
        assert!(!passed && text.contains("the disk is full"), "{text}");
        assert!(!transcript(&[]).0);
    }

    #[test]
    fn steps_are_chosen_by_name() {
        let steps = [step("one", good), step("two", bad)];
        let names = |chosen: &[&str]| -> Result<Vec<&str>> {
            Ok(choose(&steps, chosen)?.iter().map(|s| s.name).collect())
        };
        assert_eq!(names(&[]).expect("all"), ["one", "two"]);
        assert_eq!(names(&["two"]).expect("one"), ["two"]);
        assert!(names(&["three"]).is_err());
    }
}
