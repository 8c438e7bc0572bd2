//! How the standing rules stand: for people, and as numbers.

use crate::clock;
use esclusa_engine::{Finding, KillStanding, StandingAct};
use esclusa_flags::StandingRule;
use esclusa_model::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::ToSchema;

/// A look that is older than this says nothing of now.
const FRESH: Millis = Millis::from_secs(15);

/// How a standing rule stands, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandingView {
    /// Its name.
    pub name: String,
    /// The service that it watches.
    pub service: String,
    /// `quiet`, `seen`, `unknown`, `acting`, `paused`.
    pub state: String,
    /// What is seen, or why nothing can be said; empty where it is quiet.
    pub because: String,
    /// Until when it does nothing though it sees something, in microseconds since 1970: its
    /// cool-down after it acted last, or after people lifted what it kills.
    #[serde(default)]
    pub cooling_until_us: Option<i64>,
    /// Whether all that it kills is killed now.
    pub killed: bool,
    /// Whether it was this rule that did it, in microseconds since 1970.
    pub killed_by_rule_at_us: Option<i64>,
}

impl StandingView {
    pub(super) fn new(
        name: &str,
        rule: &StandingRule,
        finding: &Finding,
        stands: KillStanding,
    ) -> Self {
        let (state, because) = match finding {
            Finding::Quiet => ("quiet", String::new()),
            Finding::Unknown(why) => ("unknown", why.clone()),
            Finding::Seen(what) | Finding::Cooling { symptom: what, .. } => ("seen", what.clone()),
            Finding::Act(StandingAct::Kill { because } | StandingAct::Lift { because }) => {
                ("acting", because.clone())
            }
        };
        let cooling_until = match finding {
            Finding::Cooling { until, .. } => Some(until.0),
            Finding::Quiet | Finding::Unknown(_) | Finding::Seen(_) | Finding::Act(_) => None,
        };
        Self {
            cooling_until_us: cooling_until,
            ..Self::of(name, rule, (state, because), stands)
        }
    }

    /// Of a rule that is at rest.
    pub(super) fn paused(name: &str, rule: &StandingRule, stands: KillStanding) -> Self {
        let why = "it looks at nothing and does nothing".to_owned();
        Self::of(name, rule, ("paused", why), stands)
    }

    fn of(
        name: &str,
        rule: &StandingRule,
        (state, because): (&str, String),
        stands: KillStanding,
    ) -> Self {
        Self {
            name: name.to_owned(),
            service: rule.service.clone(),
            state: state.to_owned(),
            because,
            cooling_until_us: None,
            killed: stands.killed,
            killed_by_rule_at_us: stands.killed_by_rule_at.map(|at| at.0),
        }
    }
}

/// What the last look at all rules said.
#[derive(Debug, Clone, Default)]
pub(crate) struct StandingBoard {
    rules: Vec<StandingView>,
    looked_at: Option<Timestamp>,
    /// Why the rules cannot be looked at, if they cannot.
    trouble: Option<String>,
}

impl StandingBoard {
    pub(super) fn looked(&mut self, rules: Vec<StandingView>) {
        *self = Self {
            rules,
            looked_at: Some(clock::now()),
            trouble: None,
        };
    }

    pub(super) fn failed(&mut self, why: String) {
        if self.trouble.as_ref() != Some(&why) {
            tracing::error!(why, "Standing rules cannot be looked at");
        }
        self.trouble = Some(why);
    }

    /// How each rule stands now: unknown where nobody looks any more.
    pub(crate) fn views(&self, now: Timestamp) -> Vec<StandingView> {
        let mut views = self.rules.clone();
        let old = self.looked_at.is_none_or(|at| now.since(at) > FRESH);
        let why = match &self.trouble {
            Some(why) => format!("the rules cannot be looked at: {why}"),
            None if old => "the rules have not been looked at for a while".to_owned(),
            None => return views,
        };
        for view in views.iter_mut().filter(|view| view.state != "paused") {
            view.state = "unknown".to_owned();
            view.because.clone_from(&why);
        }
        views
    }

    /// Appends what there is to count as Prometheus text.
    pub(crate) fn metrics(&self, now: Timestamp, out: &mut String) {
        // Writing to a string cannot fail. Names of rules need no quoting.
        let name = head(
            out,
            "rules_looked_at_seconds",
            "When the standing rules were last looked at, in seconds since 1970; 0 for never.",
        );
        let looked_at = self.looked_at.map_or(0, |at| at.0 / 1_000_000);
        let _ = writeln!(out, "{name} {looked_at}");
        let views = self.views(now);
        let help = "How a standing rule stands: 1 for the state that it is in.";
        let name = head(out, "rule_state", help);
        for view in &views {
            let (rule, state) = (&view.name, &view.state);
            let _ = writeln!(out, "{name}{{rule=\"{rule}\",state=\"{state}\"}} 1");
        }
        let help = "Whether all that a standing rule kills is killed.";
        let name = head(out, "rule_killed", help);
        for view in &views {
            let killed = u8::from(view.killed);
            let _ = writeln!(out, "{name}{{rule=\"{}\"}} {killed}", view.name);
        }
    }
}

/// Begins a gauge; its whole name.
fn head(out: &mut String, name: &str, help: &str) -> String {
    let name = format!("esclusa_standing_{name}");
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    // RBK-07: nobody who looks no more passes for quiet, and that can be watched.
    #[test]
    fn a_rule_that_is_not_looked_at_is_unknown() {
        let rule: StandingRule = serde_json::from_value(serde_json::json!({
            "service": "shop", "kill": "all", "when": { "p95": { "above-ms": 1 } }
        }))
        .expect("a rule");
        let mut board = StandingBoard::default();
        let quiet = StandingView::new("r", &rule, &Finding::Quiet, KillStanding::default());
        let paused = StandingView::paused("p", &rule, KillStanding::default());
        board.looked(vec![quiet, paused]);
        let now = clock::now();
        let states = |board: &StandingBoard, now| -> Vec<String> {
            let views = board.views(now).into_iter();
            views.map(|view| view.state).collect()
        };
        assert_eq!(states(&board, now), ["quiet", "paused"]);
        let later = Timestamp(now.0 + 60_000_000);
        assert_eq!(states(&board, later), ["unknown", "paused"]);
        board.failed("the store is gone".into());
        assert_eq!(states(&board, now), ["unknown", "paused"]);
        assert!(board.views(now)[0].because.contains("the store is gone"));
        let mut text = String::new();
        board.metrics(now, &mut text);
        for line in [
            "esclusa_standing_rule_state{rule=\"r\",state=\"unknown\"} 1",
            "esclusa_standing_rule_state{rule=\"p\",state=\"paused\"} 1",
            "esclusa_standing_rule_killed{rule=\"r\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
        let looked = format!(
            "esclusa_standing_rules_looked_at_seconds {}",
            board.looked_at.expect("looked").0 / 1_000_000
        );
        assert!(text.contains(&looked), "{text}");
    }
}
