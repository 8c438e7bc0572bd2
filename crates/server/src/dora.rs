//! Delivery figures from the record (KPI-02): how often releases reach everybody, how long a
//! change takes to get there, how often one goes back, how long that takes.
//!
//! Pure. What the record does not tell is unknown, never zero.

use crate::figures::Percent;
use esclusa_model::{BasisPoints, Millis, Outcome, Timestamp};
use esclusa_plan::Stage;
use esclusa_release::{Phase, Release, ReturnCause};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A number of events a week, with decimals.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct PerWeek(f64);

impl PerWeek {
    fn of(count: u64, days: u16) -> Self {
        Self(count as f64 * 7.0 / f64::from(days.max(1)))
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl std::fmt::Display for PerWeek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} a week", self.0)
    }
}

/// Delivery figures of a length of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dora {
    /// Its first moment, microseconds since 1970.
    pub from_us: i64,
    /// Its end.
    pub to_us: i64,
    /// Its length.
    pub days: u16,
    /// Of all services together.
    pub all: DoraFigures,
    /// By service; only those with a release in this time.
    pub services: BTreeMap<String, DoraFigures>,
    /// Whether there are more releases than were looked at, so that figures are of the newest.
    pub cut_short: bool,
}

/// Delivery figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoraFigures {
    /// Releases that reached everybody.
    pub deployments: u64,
    /// That number in a week; null when there was no release at all.
    pub deployments_per_week: Option<PerWeek>,
    /// Changes whose way to everybody is known: commits of those releases.
    pub changes: u64,
    /// From a change's commit to everybody, the middle of all; null when no commit is known.
    pub lead_time_ms: Option<u64>,
    /// Releases that users were sent to and that are over.
    pub exposed: u64,
    /// Of these, those that went back.
    pub failed: u64,
    /// Those that went back, of a hundred; null when users were sent to none.
    pub change_failure_percent: Option<Percent>,
    /// Releases that went back and whose users were seen to be at the version before.
    pub restored: u64,
    /// From the exposure at which it failed to nobody being sent there any more, the middle
    /// of all; null when there is none.
    pub time_to_restore_ms: Option<u64>,
}

#[derive(Default)]
struct Sum {
    releases: u64,
    deployments: u64,
    lead: Vec<u64>,
    exposed: u64,
    failed: u64,
    restore: Vec<u64>,
}

/// Over which time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub to: Timestamp,
    pub days: u16,
}

impl Window {
    pub(crate) const fn from(self) -> Timestamp {
        Timestamp(
            self.to
                .0
                .saturating_sub(self.days as i64 * 86_400 * 1_000_000),
        )
    }

    fn holds(self, at: Timestamp) -> bool {
        (self.from()..=self.to).contains(&at)
    }
}

/// The figures of these releases; those outside of the window count for nothing.
pub(crate) fn figures<'a>(
    releases: impl IntoIterator<Item = &'a Release>,
    window: Window,
    cut_short: bool,
) -> Dora {
    let mut all = Sum::default();
    let mut services: BTreeMap<String, Sum> = BTreeMap::new();
    for release in releases {
        let over = release
            .ended
            .as_ref()
            .filter(|ended| window.holds(ended.at));
        // Turning a flag deploys nothing.
        let Some(ended) = over.filter(|_| release.flags_alone().is_none()) else {
            continue;
        };
        let of_service = services
            .entry(release.requested.service.to_string())
            .or_default();
        for sum in [&mut all, of_service] {
            sum.add(release, ended.outcome);
        }
    }
    let shown = |(name, sum): (String, Sum)| (name, sum.figures(window.days));
    Dora {
        from_us: window.from().0,
        to_us: window.to.0,
        days: window.days,
        all: all.figures(window.days),
        services: services.into_iter().map(shown).collect(),
        cut_short,
    }
}

impl Sum {
    fn add(&mut self, release: &Release, outcome: Outcome) {
        self.releases += 1;
        match outcome {
            Outcome::Promoted | Outcome::PromotedEarly => {
                self.deployments += 1;
                self.exposed += 1;
                self.lead.extend(lead_times(release));
            }
            Outcome::RolledBack | Outcome::Aborted | Outcome::RollbackFailed
                if release.was_exposed && !gave_way(release) =>
            {
                self.exposed += 1;
                self.failed += 1;
                self.restore.extend(time_to_restore(release));
            }
            // Nobody saw it, or a newer one took its place before it was judged.
            _ => {}
        }
    }

    fn figures(mut self, days: u16) -> DoraFigures {
        DoraFigures {
            deployments: self.deployments,
            deployments_per_week: (self.releases > 0).then(|| PerWeek::of(self.deployments, days)),
            changes: self.lead.len() as u64,
            lead_time_ms: middle(&mut self.lead),
            exposed: self.exposed,
            failed: self.failed,
            change_failure_percent: Percent::of(self.failed, self.exposed),
            restored: self.restore.len() as u64,
            time_to_restore_ms: middle(&mut self.restore),
        }
    }
}

/// The middle one; of two in the middle, the longer.
fn middle(times: &mut [u64]) -> Option<u64> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// Whether a newer release took its place.
fn gave_way(release: &Release) -> bool {
    let back = release.returning.as_ref();
    back.is_some_and(|back| back.decision.cause == ReturnCause::Superseded)
}

/// From each known commit to when everybody was seen to have it.
fn lead_times(release: &Release) -> Vec<u64> {
    let Some(source) = &release.requested.source else {
        return Vec::new();
    };
    let Some(everybody) = reached_everybody(release) else {
        return Vec::new();
    };
    let since = |committed: Timestamp| everybody.since(committed).0;
    if source.commits.is_empty() {
        return vec![since(source.committed_at)];
    }
    let commits = source.commits.iter();
    commits.map(|commit| since(commit.committed_at)).collect()
}

/// When 100 % was read back.
fn reached_everybody(release: &Release) -> Option<Timestamp> {
    let full = |index: usize| release.exposure_at(index).share == BasisPoints::FULL;
    let mut stages = release.stages.iter();
    stages.find(|record| full(record.stage))?.confirmed_at
}

/// From the exposure that it went back from to nobody being sent there any more. None while
/// that was not seen.
fn time_to_restore(release: &Release) -> Option<u64> {
    let back = release.returning.as_ref()?;
    let (dial, restored) = release.dial.as_ref()?;
    if dial.achieved != BasisPoints::ZERO || *restored < back.at {
        return None;
    }
    let from = match back.from {
        Phase::Stage(index) => release.stages.iter().rfind(|one| one.stage == index),
        _ => release.stages.last(),
    };
    let is_exposure = |index: usize| {
        let stage = release.requested.plan.stages.get(index);
        matches!(stage, Some(Stage::Expose(_)))
    };
    let began = from
        .filter(|one| is_exposure(one.stage))
        .map(|one| one.confirmed_at.unwrap_or(one.entered_at))?;
    let Millis(took) = restored.since(began);
    Some(took)
}

#[cfg(test)]
mod tests;
