//! One run of the judge over one world.

use crate::world::{World, canary, stable};
use esclusa_judge::{Decision, Judge, JudgeConfig, Label};
use std::collections::BTreeSet;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// When and why the canary was returned.
    pub rollback: Option<(i64, String)>,
    /// The first cause then.
    pub cause: Option<String>,
    /// All labels that were shown while it was held.
    pub context: BTreeSet<String>,
    /// When harmlessness was proved first.
    pub proceed: Option<i64>,
    /// Seconds with a proof from thirty seconds after the onset on.
    pub stale_proofs: i64,
    /// Failed canary requests until the end.
    pub failed: u64,
    /// Canary requests until the end.
    pub canary: u64,
}

/// A label as it is written.
#[must_use]
pub fn label_name(label: Label) -> String {
    serde_json::to_value(label)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Runs to the end of the release, or to a return.
#[must_use]
pub fn run(world: &World, onset: i64, config: &JudgeConfig) -> Outcome {
    let mut judge = Judge::new(config.clone(), stable(), canary());
    let mut traffic = world.traffic();
    let mut outcome = Outcome::default();
    for t in -world.pre_roll_s..world.duration_s {
        if let Some(stage) = world.stage_at(t) {
            judge.enter_stage(stage);
        }
        let second = traffic.second(t);
        for cell in second.cells.iter().map(|c| &c.cell) {
            if cell.intended == canary() {
                outcome.canary += cell.requests;
                outcome.failed += cell.failures();
            }
        }
        judge.tick(&second);
        if t < 0 {
            continue;
        }
        let verdict = judge.verdict();
        let labels = verdict.causes.iter().map(|c| label_name(c.label));
        match verdict.decision {
            Decision::Rollback => {
                outcome.cause = labels.into_iter().next();
                outcome.rollback = Some((t, verdict.reason.code()));
                return outcome;
            }
            Decision::Proceed => {
                outcome.proceed.get_or_insert(t);
                outcome.stale_proofs += i64::from(onset > 0 && t >= onset + 30);
            }
            Decision::Hold => {}
        }
        outcome.context.extend(labels);
    }
    outcome
}

/// Prints what is said every fifth second of one run.
pub fn trace(world: &World, config: &JudgeConfig) {
    let mut judge = Judge::new(config.clone(), stable(), canary());
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..world.duration_s {
        if let Some(stage) = world.stage_at(t) {
            judge.enter_stage(stage);
        }
        judge.tick(&traffic.second(t));
        let verdict = judge.verdict();
        if t >= 0 && (t % 5 == 4 || verdict.decision == Decision::Rollback) {
            let numbers = |map: &std::collections::BTreeMap<esclusa_judge::Metric, f64>| {
                map.iter()
                    .map(|(m, e)| format!("{m} {e:.1}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            println!(
                "{t} {} | harm {} | harmless {} | {}",
                verdict.reason.code(),
                numbers(&verdict.log_e),
                numbers(&verdict.log_ni),
                verdict
                    .causes
                    .iter()
                    .map(|c| label_name(c.label))
                    .collect::<Vec<_>>()
                    .join(" ")
            );
        }
        if verdict.decision == Decision::Rollback {
            break;
        }
    }
}
