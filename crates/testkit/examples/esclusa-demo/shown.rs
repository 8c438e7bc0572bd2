//! What one release showed, in a line for people and as JSON for programs.

use crate::scenario::Scenario;
use esclusa_testkit::load::LoadReport;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// What one release showed.
pub(crate) struct Shown {
    pub(crate) scenario: Scenario,
    /// The version that was released.
    pub(crate) version: String,
    pub(crate) outcome: String,
    pub(crate) reason: String,
    /// What the users' side counted while it ran.
    pub(crate) report: LoadReport,
    pub(crate) took: Duration,
}

impl Shown {
    /// From the canary's first failure to its last answer, in seconds.
    fn last_canary_after_s(&self) -> Option<f64> {
        let canary = self.report.by_version.get(&self.version)?;
        let first = canary.first_failure_ms?;
        Some((canary.last_ms - first) as f64 / 1_000.0)
    }

    /// Failures that no version answers for: the change itself made them.
    fn failed_by_change(&self) -> u64 {
        let answered: u64 = self
            .report
            .by_version
            .iter()
            .filter(|(version, _)| !version.is_empty())
            .map(|(_, counts)| counts.failed)
            .sum();
        self.report.failed - answered
    }

    pub(crate) fn is_right(&self) -> bool {
        let (seconds, failed) = self.scenario.bounds();
        self.outcome == self.scenario.must_end()
            && self.failed_by_change() == 0
            && self.report.failed <= failed
            && self.report.sent > 0
            && self
                .last_canary_after_s()
                .is_none_or(|after| after <= seconds)
    }

    pub(crate) fn line(&self) -> String {
        let after = self
            .last_canary_after_s()
            .map_or("-".into(), |s| format!("{s:.2} s"));
        let (bound_s, bound_failed) = self.scenario.bounds();
        format!(
            "{} {:<10} {:<12} in {:5.1} s; users: {} sent, {} failed (at most {bound_failed}), \
             failed by change: {}; last canary answer after its first failure: {after} \
             (at most {bound_s} s); {}",
            if self.is_right() { "ok   " } else { "WRONG" },
            self.scenario.name(),
            self.outcome,
            self.took.as_secs_f64(),
            self.report.sent,
            self.report.failed,
            self.failed_by_change(),
            self.reason,
        )
    }

    fn json(&self) -> Value {
        let (seconds_at_most, failed_at_most) = self.scenario.bounds();
        json!({
            "scenario": self.scenario.name(),
            "version": self.version,
            "outcome": self.outcome,
            "must_end": self.scenario.must_end(),
            "right": self.is_right(),
            "reason": self.reason,
            "seconds": self.took.as_secs_f64(),
            "requests": self.report.sent,
            "failed_user_requests": self.report.failed,
            "failed_user_requests_at_most": failed_at_most,
            "failed_by_change": self.failed_by_change(),
            "seconds_first_bad_request_to_last_canary_request": self.last_canary_after_s(),
            "seconds_first_bad_request_to_last_canary_request_at_most": seconds_at_most,
            "load": self.report,
        })
    }
}

/// Writes all releases to `path`.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_report(path: &Path, all: &[Shown]) -> std::io::Result<()> {
    let releases: Vec<Value> = all.iter().map(Shown::json).collect();
    let text = serde_json::to_string_pretty(&json!({ "releases": releases }))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text + "\n")
}

/// What was measured, by kind of version.
pub(crate) fn print_summary(all: &[Shown]) {
    let right = all.iter().filter(|shown| shown.is_right()).count();
    println!("\n{right} of {} ended as they must", all.len());
    for scenario in [Scenario::Failing60, Scenario::Failing30] {
        let of: Vec<&Shown> = all
            .iter()
            .filter(|shown| shown.scenario == scenario)
            .collect();
        let worst_s = of
            .iter()
            .filter_map(|s| s.last_canary_after_s())
            .fold(0.0, f64::max);
        let worst_failed = of
            .iter()
            .map(|shown| shown.report.failed)
            .max()
            .unwrap_or(0);
        if !of.is_empty() {
            println!(
                "{}: at worst {worst_s:.2} s of canary traffic after its first failure, \
                 {worst_failed} failed user requests",
                scenario.name()
            );
        }
    }
}
