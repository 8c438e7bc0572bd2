//! What the judge says: a decision, why, and everything it rests on.

use crate::burn::Spent;
use crate::fast::Window;
use crate::metric::Metric;
use crate::report::{Margin, Observed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The three answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Decision {
    /// Harmlessness within the margins is proved, now.
    Proceed,
    /// Neither proved nor disproved, or nothing to judge by.
    Hold,
    /// The canary is harmful. Final for a release.
    Rollback,
}

/// Why, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// No stage was entered yet.
    NotStarted,
    /// Most of the last requests of the canary failed or hang, and stable's did not.
    Outage {
        /// What was seen.
        window: Window,
    },
    /// A guard rail was broken by the canary and not by stable.
    NeverAbove {
        /// The rail's metric.
        metric: Metric,
        /// The tolerated rate of bad events.
        limit: f64,
        /// What was seen.
        window: Window,
    },
    /// The evidence for harm passed the limit.
    Harm {
        /// The metric that contributes most.
        metric: Metric,
        /// Combined evidence, log.
        log_m: f64,
    },
    /// The canary spends an error budget too fast, and is to blame.
    SloBurn {
        /// The budget and how fast.
        spent: Spent,
    },
    /// The canary spends an error budget too fast; whose fault it is, is not known yet.
    SloBurning {
        /// The budget and how fast.
        spent: Spent,
    },
    /// Both versions spend an error budget too fast.
    SharedBurn {
        /// The budget and how fast.
        spent: Spent,
    },
    /// Evidence for harm is gathering; nothing may advance.
    Suspicious {
        /// The metric that contributes most.
        metric: Metric,
        /// Combined evidence, log.
        log_m: f64,
    },
    /// The canary serves nobody.
    NoTraffic {
        /// Seconds since its last organic request, or since the stage began.
        for_s: i64,
    },
    /// Stable serves nobody, so nothing can be compared.
    NoBaseline {
        /// Seconds since its last organic request, or since the stage began.
        for_s: i64,
    },
    /// No slice arrived lately.
    MissingData {
        /// Seconds without any.
        for_s: i64,
    },
    /// A series lacks values: too many pairs of readings are not complete.
    MissingSeries {
        /// The series.
        metric: Metric,
        /// Seconds without a pair.
        for_s: i64,
        /// Pairs in this stage.
        pairs: u32,
        /// Pairs that there should be.
        expected: u32,
        /// What its source said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A required series had no values for longer than the plan tolerates; its `blind`
    /// rule decides.
    BlindSeries {
        /// The series.
        metric: Metric,
        /// Seconds without a pair.
        for_s: i64,
        /// What its source said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// No slice arrived for longer than the plan tolerates; its `blind` rule decides.
    Blind {
        /// Seconds without any.
        for_s: i64,
    },
    /// Requests meant for the canary were answered by stable.
    SplitMismatch {
        /// Organic canary requests of the stage that stable answered.
        misrouted: u64,
        /// Those that the canary answered.
        served: u64,
    },
    /// Stable itself is worse than it was.
    SharedFault {
        /// Log evidence against "as before".
        log_e: f64,
    },
    /// Both versions are beyond a guard rail.
    SharedLimit {
        /// The rail's metric.
        metric: Metric,
        /// What was seen.
        window: Window,
    },
    /// What the canary has more, the baseline has less: users or requests changed sides.
    Reassigned {
        /// The metric that looks worse.
        metric: Metric,
    },
    /// The canary is as both were before, and stable got better.
    BaselineMoved {
        /// The metric that looks worse.
        metric: Metric,
    },
    /// The canary's bad events come from one of its instances.
    BadHost {
        /// The metric that looks worse.
        metric: Metric,
    },
    /// A route of the canary is better than a release alone explains.
    TooGood {
        /// The route.
        route: String,
    },
    /// The canary recovers from a cold start.
    ColdStart {
        /// Seconds until latency is judged afresh.
        left_s: i64,
    },
    /// The audience was not drawn at random: only outages and guard rails act.
    NotComparable,
    /// Too few organic canary requests in this stage.
    TooLittle {
        /// Seen.
        requests: u64,
        /// Asked for.
        needed: u64,
    },
    /// Too early, by the stage's minimum watch or the warm-up.
    Watching {
        /// Seconds to go.
        left_s: i64,
    },
    /// Harmlessness of a metric is not proved yet.
    Unproven {
        /// The metric farthest from its proof.
        metric: Metric,
        /// Log evidence that it still lacks.
        missing: f64,
    },
    /// Every gate metric is proved harmless.
    Proven,
}

impl Reason {
    /// A stable code, such as `unproven:p95`.
    #[must_use]
    pub fn code(&self) -> String {
        let plain = match self {
            Self::NotStarted => "not_started",
            Self::Outage { .. } => "outage",
            Self::NeverAbove { metric, .. } => return format!("never_above:{metric}"),
            Self::Harm { metric, .. } => return format!("harm:{metric}"),
            Self::SloBurn { spent } => return format!("slo_burn:{}", spent.objective.key()),
            Self::SloBurning { spent } => return format!("slo_burning:{}", spent.objective.key()),
            Self::Suspicious { .. } => "suspicious",
            Self::NoTraffic { .. } => "no_traffic",
            Self::NoBaseline { .. } => "no_concurrent_baseline",
            Self::MissingData { .. } => "missing_data",
            Self::MissingSeries { metric, .. } => return format!("missing_data:{metric}"),
            Self::BlindSeries { metric, .. } => return format!("blind:{metric}"),
            Self::Blind { .. } => "blind",
            Self::SplitMismatch { .. } => "sample_ratio_mismatch",
            Self::SharedFault { .. } | Self::SharedBurn { .. } => "shared_dependency",
            Self::SharedLimit { metric, .. } => return format!("shared_limit:{metric}"),
            Self::Reassigned { .. } => "traffic_reassigned",
            Self::BaselineMoved { .. } => "baseline_moved",
            Self::BadHost { .. } => "bad_host",
            Self::TooGood { .. } => "too_good",
            Self::ColdStart { .. } => "cold_start",
            Self::NotComparable => "not_comparable",
            Self::TooLittle { .. } => "too_little",
            Self::Watching { .. } => "watching",
            Self::Unproven { metric, .. } => return format!("unproven:{metric}"),
            Self::Proven => "proven",
        };
        plain.to_owned()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("no stage has begun"),
            Self::Outage { window } => write!(f, "the canary is out: {window}"),
            Self::NeverAbove {
                metric,
                limit,
                window,
            } => {
                write!(
                    f,
                    "{} broke its limit of {:.2} % of requests: {window}",
                    metric.words(),
                    limit * 100.0
                )
            }
            Self::Harm { metric, log_m } => {
                write!(
                    f,
                    "{} is worse than stable's beyond the margin (evidence {})",
                    metric.words(),
                    odds(*log_m)
                )
            }
            Self::Suspicious { metric, log_m } => {
                write!(
                    f,
                    "{} looks worse than stable's (evidence {}, not enough yet)",
                    metric.words(),
                    odds(*log_m)
                )
            }
            Self::SloBurn { spent } => write!(f, "the canary spends {spent}"),
            Self::SloBurning { spent } => write!(
                f,
                "the canary spends {spent}; whose fault it is, is not known yet"
            ),
            Self::SharedBurn { spent } => write!(
                f,
                "the service spends {spent}, and stable alone does too: a shared fault"
            ),
            Self::NoTraffic { for_s: 0 } => f.write_str("no user has reached the canary yet"),
            Self::NoTraffic { for_s } => write!(f, "no user reached the canary for {for_s} s"),
            Self::NoBaseline { for_s } => write!(
                f,
                "no user reached stable for {for_s} s: nothing to compare with"
            ),
            Self::MissingData { for_s } => write!(f, "no measurements for {for_s} s"),
            Self::Blind { for_s } => {
                write!(f, "no measurements for {for_s} s, longer than tolerated")
            }
            Self::MissingSeries {
                metric,
                for_s,
                pairs,
                expected,
                why,
            } => {
                write!(
                    f,
                    "{} lacks values: {pairs} of {expected} pairs in this stage, none for {for_s} s",
                    metric.words()
                )?;
                because(f, why.as_deref())
            }
            Self::BlindSeries { metric, for_s, why } => {
                write!(
                    f,
                    "{} had no values for {for_s} s, longer than tolerated",
                    metric.words()
                )?;
                because(f, why.as_deref())
            }
            Self::SplitMismatch { misrouted, served } => {
                write!(
                    f,
                    "stable answered {misrouted} requests meant for the canary, which answered {served}"
                )
            }
            Self::SharedFault { log_e } => {
                write!(
                    f,
                    "stable itself is worse than before (evidence {}): a shared fault",
                    odds(*log_e)
                )
            }
            Self::SharedLimit { metric, window } => {
                write!(
                    f,
                    "{} is beyond its limit on both versions: {window}",
                    metric.words()
                )
            }
            Self::Reassigned { metric } => write!(
                f,
                "{} is worse on the canary by what it is better on stable: users or requests changed sides",
                metric.words()
            ),
            Self::BaselineMoved { metric } => write!(
                f,
                "{} got better on stable, and the canary is as both were before",
                metric.words()
            ),
            Self::BadHost { metric } => write!(
                f,
                "{} is worse on one instance of the canary only: replace it",
                metric.words()
            ),
            Self::TooGood { route } => write!(
                f,
                "{route} is far better on the canary than on stable: look whether it still does its work"
            ),
            Self::ColdStart { left_s } => write!(
                f,
                "the canary is warming up; latency is judged in {left_s} s"
            ),
            Self::NotComparable => f.write_str(
                "this audience was not drawn at random: only outages and limits are judged",
            ),
            Self::TooLittle { requests, needed } => {
                write!(f, "{requests} of {needed} canary requests seen")
            }
            Self::Watching { left_s } => write!(f, "the minimum watch lasts {left_s} s more"),
            Self::Unproven { metric, .. } => {
                write!(f, "{} is not yet proved harmless", metric.words())
            }
            Self::Proven => f.write_str("errors and latency are proved to be within the margins"),
        }
    }
}

/// What a source said of itself.
fn because(f: &mut fmt::Formatter<'_>, why: Option<&str>) -> fmt::Result {
    why.map_or(Ok(()), |why| write!(f, " ({why})"))
}

/// `e^nats : 1` in a form that people read.
fn odds(nats: f64) -> String {
    if nats > 13.8 {
        "over 1000000 : 1".into()
    } else {
        format!("{:.0} : 1", libm::exp(nats).max(1.0))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} canary requests in {} s, {} of {} on stable",
            self.canary_bad, self.canary, self.seconds, self.baseline_bad, self.baseline
        )
    }
}

/// What a fault comes from, or what a hold is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// No organic canary request.
    NoTraffic,
    /// No slices.
    MissingData,
    /// The router did not send what it should.
    SampleRatioMismatch,
    /// Stable is worse than before as well.
    SharedDependency,
    /// An error budget burns, and the canary is not known to be the cause.
    SloBurn,
    /// No stable traffic beside the canary.
    NoConcurrentBaseline,
    /// Slow only at first.
    ColdStart,
    /// The versions are sent different mixes of routes.
    TrafficMix,
    /// Bad events went over to the canary with those who have them.
    TrafficReassigned,
    /// Stable got better, the canary stayed as both were.
    BaselineMoved,
    /// A route is better than a release alone explains.
    TooGood,
    /// Failures, or another class of bad answers.
    Errors,
    /// Few requests are slow, by much; most are as before.
    Tail,
    /// Slower and slower.
    Drift,
    /// One instance has nearly all of it.
    BadHost,
    /// Slowness.
    Latency,
    /// A series of the configuration.
    Series,
    /// Found by a fast path.
    Outage,
}

impl Label {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::NoTraffic,
        Self::MissingData,
        Self::SampleRatioMismatch,
        Self::SharedDependency,
        Self::SloBurn,
        Self::NoConcurrentBaseline,
        Self::ColdStart,
        Self::TrafficMix,
        Self::TrafficReassigned,
        Self::BaselineMoved,
        Self::TooGood,
        Self::Errors,
        Self::Tail,
        Self::Drift,
        Self::BadHost,
        Self::Latency,
        Self::Series,
        Self::Outage,
    ];
}

/// A label with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The label.
    pub label: Label,
    /// The metric that shows it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Log evidence, where there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_e: Option<f64>,
    /// The routes that show it by themselves, named with an error rate of 5 % at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
}

impl Cause {
    /// A label without evidence of its own.
    pub(crate) const fn of(label: Label) -> Self {
        Self {
            label,
            metric: None,
            log_e: None,
            routes: Vec::new(),
        }
    }

    /// For people: the label, the metric, the routes.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = match self.label {
            Label::NoTraffic => "no user reaches the canary",
            Label::MissingData => "measurements are missing",
            Label::SampleRatioMismatch => "requests meant for the canary are answered by stable",
            Label::SharedDependency => "stable has it too: a dependency that both use",
            Label::SloBurn => "the error budget burns",
            Label::NoConcurrentBaseline => "no stable traffic to compare with",
            Label::ColdStart => "a cold start: slow at first only",
            Label::TrafficMix => "the versions are sent different mixes of routes",
            Label::TrafficReassigned => "users or requests changed sides",
            Label::BaselineMoved => "stable got better, the canary stayed",
            Label::TooGood => "a route is too good to be true",
            Label::Errors => "bad answers",
            Label::Tail => "few requests are much slower, most are not",
            Label::Drift => "it gets slower and slower: look at memory and heap",
            Label::BadHost => "one instance",
            Label::Latency => "slowness",
            Label::Series => "a number of its own",
            Label::Outage => "an outage",
        }
        .to_owned();
        if let Some(metric) = self.metric {
            words.push_str(&format!(" ({})", metric.words()));
        }
        if !self.routes.is_empty() {
            words.push_str(&format!(" on {}", self.routes.join(", ")));
        }
        words
    }
}

/// How the canary looks now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// No evidence for harm at all.
    Quiet,
    /// Some, as chance brings.
    Unclear,
    /// Enough to stop any advance.
    Suspicious,
}

/// How far the stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Seconds since the stage was entered.
    pub age_s: i64,
    /// Whether the minimum watch is over.
    pub watched: bool,
    /// Whether the stage saw the least organic canary requests for `promote-if-quiet`.
    pub floor_reached: bool,
    /// Whether every gate metric is proved harmless now.
    pub proven: bool,
}

/// The judge's answer at one second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The second, in the data's time.
    pub at: i64,
    /// The answer.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The same for people, with numbers.
    pub summary: String,
    /// Causes and context, the first one leading.
    pub causes: Vec<Cause>,
    /// How the canary looks now.
    pub standing: Standing,
    /// How far the stage is.
    pub progress: Progress,
    /// Combined log evidence for harm.
    pub log_m: f64,
    /// Log evidence for harm by metric.
    pub log_e: BTreeMap<Metric, f64>,
    /// Log evidence for harmlessness by gate metric, in this stage.
    pub log_ni: BTreeMap<Metric, f64>,
    /// Seconds until a proof at the present pace; nothing when it has none.
    pub eta_s: Option<u64>,
    /// Organic canary traffic of this stage.
    pub canary: Observed,
    /// Organic stable traffic of this stage.
    pub baseline: Observed,
    /// What is proved about the canary in this stage, beside what was asked.
    pub margins: Vec<Margin>,
    /// Seconds since the last slice.
    pub silent_s: i64,
}

impl Verdict {
    /// The margins actually proved, as one sentence.
    #[must_use]
    pub fn proved(&self) -> String {
        let parts: Vec<String> = self.margins.iter().map(ToString::to_string).collect();
        if parts.is_empty() {
            "proved: nothing".into()
        } else {
            format!("proved: {}", parts.join("; "))
        }
    }
}
