//! What the judge says, and whether counts arrive. The judge's arithmetic is its own
//! crate's business: here it says what a script or a seed wants it to say.

use esclusa_engine::{Judgement, Opinion, StageEnd};
use esclusa_model::{Millis, ReleaseId, Timestamp};
use esclusa_plan::{Expose, Stage};
use esclusa_release::{Evidence, Release};

/// The judge counts whole seconds and sees them late; the engine keeps the exact time.
const SLACK: Millis = Millis(2_000);

/// What the judge thinks of the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Nothing suspicious, and enough traffic to say so.
    Quiet,
    /// Harmlessness is proved.
    Proved,
    /// Too little to say anything.
    Few,
    /// Not proved at the end, and the plan wants it returned then.
    Unproven,
    /// Harm.
    Bad,
    /// Nothing at all.
    Silent,
}

/// The judge and its counts.
#[derive(Debug)]
pub(crate) struct Watch {
    pub mood: Mood,
    /// Words of its own, where a script gives some.
    pub words: Option<String>,
    /// Since when no counts arrive.
    pub blind_since: Option<Timestamp>,
    /// Which stage was confirmed, and when in truth: judges go by what they counted.
    confirmed: Option<(ReleaseId, usize, Timestamp, Timestamp)>,
}

impl Watch {
    pub(crate) const fn new() -> Self {
        Self {
            mood: Mood::Quiet,
            words: None,
            blind_since: None,
            confirmed: None,
        }
    }

    /// The stage that is being watched, by what is recorded of it.
    pub(crate) fn follow(&mut self, release: &Release, now: Timestamp) {
        let record = release.stage_record();
        let confirmed = record.and_then(|r| Some((r.stage, r.confirmed_at?)));
        let id = &release.requested.release;
        match (&self.confirmed, confirmed) {
            (Some((known, stage, at, _)), Some(new)) if known == id && (*stage, *at) == new => {}
            (_, Some((stage, at))) => self.confirmed = Some((id.clone(), stage, at, now)),
            (_, None) => self.confirmed = None,
        }
    }

    /// How long the present stage has been watched in truth.
    pub(crate) fn watched(&self, release: &Release, now: Timestamp) -> Millis {
        match &self.confirmed {
            Some((id, _, _, since)) if *id == release.requested.release => now.since(*since),
            _ => Millis::ZERO,
        }
    }

    /// What the judge says of the stage the release stands in; nothing before it is there.
    pub(crate) fn judgement(&self, release: &Release, now: Timestamp) -> Option<Judgement> {
        let (_, stage) = release.stage()?;
        release.stage_record()?.confirmed_at?;
        if release.requested.stable.is_none() {
            let words = "first deployment: nothing to compare with";
            let advance = StageEnd::Advance(words.into());
            return Some(says(Opinion::Hold, advance, "first_deployment", words));
        }
        let Stage::Expose(expose) = stage else {
            return None;
        };
        let words = |default: &str| self.words.clone().unwrap_or_else(|| default.to_owned());
        let hold = |words: &str| StageEnd::Hold(words.to_owned());
        Some(match self.mood {
            Mood::Silent => return None,
            Mood::Bad => {
                let words = words("errors rose from 0.2% to 7.1% (81 of 1140 requests)");
                let end = StageEnd::Rollback(words.clone());
                says(Opinion::Rollback, end, "harm", &words)
            }
            Mood::Few => {
                let words = words("too few requests to tell");
                says(Opinion::Hold, hold(&words), "few", &words)
            }
            Mood::Unproven => {
                let words = words("not proved harmless in time");
                let end = StageEnd::Rollback(words.clone());
                says(Opinion::Hold, end, "unproven", &words)
            }
            Mood::Quiet | Mood::Proved if !self.long_enough(release, expose, now) => says(
                Opinion::Hold,
                hold("the judge has not seen the whole watch"),
                "early",
                "nothing suspicious so far",
            ),
            Mood::Quiet => {
                let words = words("nothing suspicious");
                let end = StageEnd::Advance("no worse by more than 0.4 points".into());
                says(Opinion::Hold, end, "quiet", &words)
            }
            Mood::Proved => {
                let words = words("harmlessness is proved");
                let end = StageEnd::Advance(words.clone());
                says(Opinion::Proceed, end, "proved", &words)
            }
        })
    }

    fn long_enough(&self, release: &Release, expose: &Expose, now: Timestamp) -> bool {
        let watch = Millis(expose.for_.0.saturating_sub(SLACK.0));
        let least = if expose.early {
            watch.min(Millis::from_secs(u64::from(
                release.requested.plan.judge.bake.min_s,
            )))
        } else {
            watch
        };
        self.watched(release, now) >= least
    }
}

fn says(opinion: Opinion, at_end: StageEnd, code: &str, words: &str) -> Judgement {
    Judgement {
        opinion,
        at_end,
        evidence: Evidence {
            code: code.to_owned(),
            summary: words.to_owned(),
            verdict: serde_json::Value::Null,
        },
    }
}
