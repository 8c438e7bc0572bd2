//! What a judge is told. Plans and `judge.yaml` share this one schema; reading it
//! from YAML, with spans and sugar, is the plan crate's work.

use crate::series::Series;
use esclusa_model::{Fraction, Millis};
use serde::{Deserialize, Serialize};

/// All settings of one judge. `Default` is the product's default everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct JudgeConfig {
    /// Error probabilities of the two decisions.
    pub alpha: Alpha,
    /// How evidence is gathered.
    pub evidence: Evidence,
    /// The comparison of error rates.
    pub errors: Errors,
    /// The comparison of latency.
    pub latency: Latency,
    /// How a cold start is told from a slow version.
    pub warm_up: WarmUp,
    /// What must have been seen before anything is proved.
    pub bake: Bake,
    /// What decides at the end of a stage without proof.
    pub on_unproven: OnUnproven,
    /// The least that `promote-if-quiet` asks for.
    pub floor: Floor,
    /// What to do when the data stops.
    pub blind: Blind,
    /// Numbers that no proxy counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Series>,
    /// Absolute objectives whose budget must not burn; none unless they are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
}

/// Absolute objectives of the service: what its users were promised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Slo {
    /// The part of requests that must not fail.
    pub availability: Option<Fraction>,
    /// Parts of requests that must be fast.
    pub latency: Vec<LatencySlo>,
}

/// A part of requests that must take so many milliseconds at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LatencySlo {
    /// Still good.
    pub le_ms: u64,
    /// The part that must be.
    pub target: Fraction,
}

/// Error probabilities per release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Alpha {
    /// Chance that a healthy release is returned.
    pub rollback: Fraction,
    /// Chance that a proof of harmlessness is wrong.
    pub proceed: Fraction,
}

/// Blocks and caps of the e-process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Evidence {
    /// Seconds a block.
    pub block_s: u32,
    /// The most that one block may add to the log evidence, in nats.
    pub cap_nats: f64,
    /// Chance that a fault is there from the start.
    pub change_point_start: Fraction,
    /// Mean number of blocks until a later fault begins.
    pub change_point_blocks: u32,
    /// Weight of "no overdispersion" in blocks.
    pub phi_prior_blocks: u32,
    /// Blocks whose residuals estimate overdispersion.
    pub phi_window: u32,
    /// Blocks of the baseline's own counts that estimate burstiness.
    pub fano_window: u32,
    /// How bursts are kept from deciding.
    pub mode: BurstMode,
}

/// How bursts of bad events are kept from deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum BurstMode {
    /// Evidence is divided by estimated overdispersion and capped a block.
    #[default]
    Tempered,
    /// Bets on the share of a block's bad events only; valid whatever the clusters
    /// within a block are, and slower. Blocks should be as long as bursts.
    Strict,
}

/// Error rates: harm when above `ratio` times the baseline's plus `delta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Errors {
    /// Relative margin; 1.25 tolerates a quarter more.
    pub ratio: f64,
    /// Absolute margin as a fraction of requests.
    pub delta: Fraction,
    /// Share of all requests that the next step may at worst add as errors.
    pub risk_budget: Fraction,
    /// Fewest canary failures that can decide.
    pub min_errors: u64,
    /// Fewest distinct seconds that these must lie in.
    pub min_seconds: u64,
    /// Outer guard rail on the canary's own error rate.
    pub never_above: Option<Fraction>,
}

/// Latency quantiles that are compared; `None` leaves one out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Latency {
    /// The median.
    pub p50: Option<Quantile>,
    /// One request in twenty is slower.
    pub p95: Option<Quantile>,
    /// One request in a hundred is slower.
    pub p99: Option<Quantile>,
}

/// Margins of one quantile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Quantile {
    /// Slower than this much is harm: 0.10 for 10 %.
    pub harm: Fraction,
    /// Within this much is harmless.
    pub noninferior: Fraction,
    /// Outer guard rail on the canary's own quantile.
    #[serde(default)]
    pub never_above: Option<Millis>,
}

/// Cold starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WarmUp {
    /// Seconds before latency may act, from the first organic canary request.
    pub arm_s: u32,
    /// Seconds after which a cold start is no excuse.
    pub max_s: u32,
    /// A gap that fell below this part of its beginning is a cold start.
    pub decay: Fraction,
}

/// Least observation before a proof counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Bake {
    /// Seconds; a plan's `for` replaces it.
    pub min_s: u32,
    /// Canary requests.
    pub min_requests: u64,
}

/// What decides at the end of a stage's minimum watch without proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnproven {
    /// Advance when enough was seen and nothing is suspicious; print what was proved.
    #[default]
    PromoteIfQuiet,
    /// Wait for proof or a person.
    Hold,
    /// Return.
    Rollback,
}

/// Least organic canary requests in a stage for `promote-if-quiet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Floor {
    /// Requests.
    pub min_requests: u64,
}

/// What lost metrics lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum BlindThen {
    /// Return all users to stable.
    #[default]
    Rollback,
    /// Stay, and ask a person.
    Hold,
}

/// How long to stay blind, and what then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Blind {
    /// How long no slice may arrive.
    pub hold: Millis,
    /// What happens then.
    pub then: BlindThen,
}

const fn percent(parts: u32) -> Fraction {
    Fraction::from_per_100k(parts * 1_000)
}

impl Default for Alpha {
    fn default() -> Self {
        Self {
            rollback: percent(1),
            proceed: percent(5),
        }
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            block_s: 5,
            cap_nats: 1.5,
            change_point_start: percent(65),
            change_point_blocks: 120,
            phi_prior_blocks: 4,
            phi_window: 24,
            fano_window: 60,
            mode: BurstMode::Tempered,
        }
    }
}

impl Default for Errors {
    fn default() -> Self {
        Self {
            ratio: 1.25,
            delta: Fraction::from_per_100k(20),
            risk_budget: Fraction::from_per_100k(100),
            min_errors: 4,
            min_seconds: 3,
            never_above: Some(percent(5)),
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        let quantile = |harm, noninferior| {
            Some(Quantile {
                harm: percent(harm),
                noninferior: percent(noninferior),
                never_above: None,
            })
        };
        Self {
            p50: quantile(10, 20),
            p95: quantile(10, 20),
            p99: quantile(20, 35),
        }
    }
}

impl Default for WarmUp {
    fn default() -> Self {
        Self {
            arm_s: 30,
            max_s: 120,
            decay: percent(75),
        }
    }
}

impl Default for Bake {
    fn default() -> Self {
        Self {
            min_s: 60,
            min_requests: 100,
        }
    }
}

impl Default for Floor {
    fn default() -> Self {
        Self { min_requests: 100 }
    }
}

impl Default for Blind {
    fn default() -> Self {
        Self {
            hold: Millis(120_000),
            then: BlindThen::Rollback,
        }
    }
}
