//! What a reading of the dial means: arrived, too late, too much, drifted.
//!
//! A dial that shows *more* than was asked for exposes people nobody decided to
//! expose: the release goes back. A dial that was read back and shows *less* later
//! harms nobody, and whoever turned it down by hand may have had a reason: the
//! release does not go on, and says so, until it is back or a person decides.

use crate::limits::DIAL_TOLERANCE_BP;
use crate::observed::{DialReading, DialState, Observed};
use esclusa_model::BasisPoints;
use esclusa_release::{DialEvidence, Exposure, Release};

/// A reading that shows the exposure asked for now, not yet recorded.
pub(crate) fn confirm_dial(release: &Release, observed: &Observed) -> Option<DialEvidence> {
    if release.dial_confirmed() || !matters(release) {
        return None;
    }
    let reading = current_reading(release, observed)?;
    let achieved = reading.achieved?;
    let arrived =
        reading.state == DialState::Converged && close_enough(achieved, reading.asked.share);
    arrived.then_some(DialEvidence {
        asked: reading.asked.share,
        achieved,
        generation: reading.generation,
        reached: reading.reached.clone(),
    })
}

/// Why the dial forces the release back, if it does.
pub(crate) fn dial_trouble(release: &Release, observed: &Observed) -> Option<String> {
    let driver = &release.requested.plan.traffic.driver;
    // While a proxy's own return is carried through, a share on its way down is no news.
    if release.returned_by_proxy.is_none()
        && let Some(reading) = current_reading(release, observed)
        && let Some(achieved) = reading.achieved
        && achieved.get() > reading.asked.share.get().saturating_add(DIAL_TOLERANCE_BP)
    {
        return Some(format!(
            "the {driver} dial shows {achieved} where {} was asked for: {}",
            reading.asked.share, reading.detail
        ));
    }
    if !late(release, observed) || confirm_dial(release, observed).is_some() {
        return None;
    }
    Some(format!(
        "the {driver} dial did not reach {} within {}: {}",
        words(&release.exposure()),
        release.requested.plan.dial_timeout,
        detail(observed)
    ))
}

/// Whether the dial had its time and has not shown what was asked for.
pub(crate) fn late(release: &Release, observed: &Observed) -> bool {
    let asked_since = release.exposure_since.max(observed.watching_since);
    let limit = release.requested.plan.dial_timeout;
    matters(release) && !release.dial_confirmed() && observed.now.since(asked_since) > limit
}

/// What the dial shows now where it had been read back at what was asked for.
pub(crate) fn drifted(release: &Release, observed: &Observed) -> Option<String> {
    let confirmed_at = release.exposure_confirmed_at?;
    let reading = current_reading(release, observed).filter(|r| r.at >= confirmed_at)?;
    let achieved = reading.achieved?;
    let drifted =
        reading.state == DialState::Converged && !close_enough(achieved, reading.asked.share);
    drifted.then(|| {
        format!(
            "the {} dial no longer shows what was asked for: {achieved} instead of {}: {}",
            release.requested.plan.traffic.driver, reading.asked.share, reading.detail
        )
    })
}

/// What the dial says of itself.
pub(crate) fn detail(observed: &Observed) -> &str {
    observed
        .dial
        .as_ref()
        .map_or("no reading", |dial| dial.detail.as_str())
}

/// The newest reading, if it is about the exposure asked for now. One of the very
/// moment in which that was decided may still show the world before.
fn current_reading<'a>(release: &Release, observed: &'a Observed) -> Option<&'a DialReading> {
    observed
        .dial
        .as_ref()
        .filter(|r| r.at > release.exposure_since && r.asked == release.exposure())
}

/// Before the first exposure there is nothing to read back.
fn matters(release: &Release) -> bool {
    release.was_exposed || !release.exposure().is_nobody()
}

/// Coarse dials may be off by a step, but nobody must be nobody, some must be some and
/// all must be all.
fn close_enough(achieved: BasisPoints, asked: BasisPoints) -> bool {
    if asked.is_partial() {
        achieved.is_partial() && achieved.get().abs_diff(asked.get()) <= DIAL_TOLERANCE_BP
    } else {
        achieved == asked
    }
}

/// An exposure in the plan's words.
pub(crate) fn words(exposure: &Exposure) -> String {
    let mut parts: Vec<String> = Vec::new();
    if exposure.share > BasisPoints::ZERO || exposure.segments.is_empty() {
        parts.push(exposure.share.to_string());
    }
    parts.extend(exposure.segments.iter().map(|s| format!("segment {s}")));
    parts.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_steps_pass_but_not_for_nobody_or_everybody() {
        let bp = |n| BasisPoints::new(n).expect("in range");
        for (achieved, asked, close) in [
            (500, 500, true),
            (469, 500, true),
            (550, 500, true),
            (449, 500, false),
            (0, 10, false),
            (10_000, 9_990, false),
            (9_961, 10_000, false),
            (39, 0, false),
            (0, 0, true),
            (10_000, 10_000, true),
        ] {
            assert_eq!(
                close_enough(bp(achieved), bp(asked)),
                close,
                "{achieved} for {asked}"
            );
        }
    }

    #[test]
    fn exposures_in_words() {
        let exposure = |share, segments: &[&str]| {
            words(&Exposure {
                share: BasisPoints::new(share).expect("in range"),
                segments: segments.iter().map(|s| (*s).to_owned()).collect(),
            })
        };
        assert_eq!(exposure(0, &[]), "0%");
        assert_eq!(exposure(0, &["team"]), "segment team");
        assert_eq!(
            exposure(500, &["team", "beta"]),
            "5% and segment team and segment beta"
        );
    }
}
