//! Feeds a release's judge and tells the engine what it says.
//!
//! The judge is not stored: after a restart it is built again from the slices that
//! are, stage by stage as they were recorded, and comes to the same verdict.

use crate::app::Shared;
use crate::clock;
use esclusa_engine::{Judgement, Opinion, StageEnd};
use esclusa_judge::{
    Assembler, Comparable, Decision, Judge, SeriesValue, StageInfo, Verdict, at_stage_end,
};
use esclusa_model::{BasisPoints, BootId, Digest, ProxyId, ServiceName};
use esclusa_plan::{Audience, Expose, Plan, Stage};
use esclusa_release::{Evidence, Release};
use esclusa_wire::StampedSlice;
use std::collections::{BTreeMap, VecDeque};

/// Seconds before the request that show the stable version undisturbed.
pub(crate) const PRE_ROLL_S: i64 = 300;
/// The judge counts whole seconds and sees them late; the engine keeps the exact time.
const WATCH_SLACK_S: u32 = 2;

/// A release's judge, once its versions are known.
pub(crate) struct Judging {
    service: ServiceName,
    assembler: Assembler,
    /// The newest slice of each life of each proxy: they come in order, and those that are
    /// read back may come once more.
    newest: BTreeMap<(ProxyId, BootId), u64>,
    judge: Option<Judge>,
    told: StagesTold,
    /// The second that was counted last.
    counted: Option<i64>,
    /// Readings of series that the judge has not been told of, in the order of time.
    readings: VecDeque<SeriesValue>,
    missed: bool,
    /// What it said last, until there is something new to say it of.
    said: Option<Judgement>,
    /// Whether nothing is left to judge: all is decided, and seconds are not kept.
    over: bool,
}

/// How many of a release's stage records a judge has been told of.
///
/// A stage is entered before its first whole second is counted, and not sooner, however late
/// that second comes: so a judge that is built again says what the first one said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StagesTold {
    records: usize,
    /// The plan's stage that was told last.
    stage: Option<usize>,
}

impl StagesTold {
    /// The next stage that was entered until second `t`, if there is one.
    pub(crate) fn next(&mut self, release: &Release, t: i64) -> Option<StageInfo> {
        let plan = &release.requested.plan;
        while let Some(record) = release.stages.get(self.records) {
            let Some(Stage::Expose(expose)) = plan.stages.get(record.stage) else {
                self.records += 1;
                continue;
            };
            let Some(confirmed) = record.confirmed_at else {
                // Left before it was confirmed: there was never anything to judge.
                if record.left_at.is_some() {
                    self.records += 1;
                    continue;
                }
                return None;
            };
            let entered_at_s = confirmed.unix_second() + 1;
            if entered_at_s > t {
                return None;
            }
            let share = release.exposure_at(record.stage).share;
            self.records += 1;
            self.stage = Some(record.stage);
            return Some(stage_info(plan, record.stage, expose, share, entered_at_s));
        }
        None
    }
}

/// Whether what the judge says can still change anything.
fn is_watched(release: &Release) -> bool {
    !release.phase.is_final() && !release.phase.is_returning()
}

impl Judging {
    /// A judge that knows what was counted so far.
    pub(crate) async fn begin(shared: &Shared, release: &Release) -> Self {
        let service = release.requested.service.clone();
        let mut judging = Self {
            over: !is_watched(release),
            ..Self::of(service)
        };
        if !judging.over {
            judging.read_back(shared, release).await;
        }
        judging
    }

    fn of(service: ServiceName) -> Self {
        Self {
            service,
            assembler: Assembler::new(),
            newest: BTreeMap::new(),
            judge: None,
            told: StagesTold::default(),
            counted: None,
            readings: VecDeque::new(),
            missed: false,
            said: None,
            over: false,
        }
    }

    async fn read_back(&mut self, shared: &Shared, release: &Release) {
        let from = release.requested_at.unix_second() - PRE_ROLL_S;
        let to = clock::now().unix_second();
        match shared.store.slices(&self.service, from, to).await {
            Ok(slices) => {
                for (proxy, stamped) in slices {
                    let newest = self
                        .newest
                        .entry((proxy.clone(), stamped.boot))
                        .or_default();
                    *newest = (*newest).max(stamped.sequence);
                    self.assembler
                        .push(&proxy, stamped.slice.clone(), stamped.slice.second);
                }
            }
            // Without its past the judge says less, never more.
            Err(error) => tracing::warn!(%error, "Earlier slices could not be read"),
        }
        match shared.store.readings(&release.requested.release).await {
            Ok(readings) => self.readings = readings.into(),
            // Without them they are missing, and nothing goes on.
            Err(error) => tracing::warn!(%error, "Earlier readings could not be read"),
        }
        // The newest may not be stored yet.
        for counted in shared.dataplane.told_lately() {
            self.take(&counted.0, &counted.1);
        }
        self.follow(release);
    }

    /// Slices were missed; the judge must be built again.
    pub(crate) const fn lagged(&mut self) {
        self.missed = !self.over;
    }

    /// Whether [`Judging::begin`] is to be called again.
    pub(crate) const fn must_begin_again(&self) -> bool {
        self.missed
    }

    /// One slice as it arrives.
    pub(crate) fn take(&mut self, proxy: &ProxyId, stamped: &StampedSlice) {
        if stamped.slice.service != self.service || self.over {
            return;
        }
        let life = (proxy.clone(), stamped.boot.clone());
        let newest = self.newest.entry(life).or_default();
        if stamped.sequence <= *newest {
            return;
        }
        *newest = stamped.sequence;
        let now = clock::now().unix_second();
        self.assembler.push(proxy, stamped.slice.clone(), now);
    }

    /// Readings of the release's series as they come.
    pub(crate) fn take_series(&mut self, values: Vec<SeriesValue>) {
        for value in values {
            if self.over {
                return;
            }
            let at = self.readings.partition_point(|known| known.t <= value.t);
            self.readings.insert(at, value);
        }
    }

    /// Why a required series was not seen for longer than the plan tolerates.
    pub(crate) fn unread(&self) -> Option<String> {
        let reason = self.judge.as_ref()?.unread()?;
        Some(reason.to_string())
    }

    /// Brings the judge up to the release's state: its versions, its stages, its seconds.
    pub(crate) fn follow(&mut self, release: &Release) {
        if !is_watched(release) {
            if !self.over {
                *self = Self {
                    over: true,
                    ..Self::of(self.service.clone())
                };
            }
            return;
        }
        if self.judge.is_none() {
            self.judge = new_judge(release);
        }
        if self.judge.is_none() {
            return;
        }
        for second in self.assembler.drain(clock::now().unix_second()) {
            while let Some(info) = self.told.next(release, second.t) {
                // A slow disk told of the stage after its first second was counted.
                self.missed |= self.counted.is_some_and(|last| info.entered_at_s <= last);
                if let Some(judge) = &mut self.judge {
                    judge.enter_stage(info);
                }
            }
            if let Some(judge) = &mut self.judge {
                while let Some(value) = self.readings.pop_front_if(|v| v.t <= second.t) {
                    judge.take_series(value);
                }
                judge.tick(&second);
            }
            self.counted = Some(second.t);
            self.said = None;
        }
    }

    /// What the judge says of the stage the release stands in; nothing before that stage
    /// is confirmed.
    pub(crate) fn judgement(&mut self, release: &Release) -> Option<Judgement> {
        let (index, _) = release.stage()?;
        release.stage_record()?.confirmed_at?;
        if release.requested.stable.is_none() {
            // Flags beside nothing that counts: nobody has looked, and nothing is proved.
            if release.flags_alone().is_some() {
                return None;
            }
            return Some(first_deployment());
        }
        let judge = self.judge.as_ref()?;
        let policy = release.requested.plan.judge.on_unproven;
        if self.told.stage != Some(index) {
            // Its first second is still to come: asked ahead, and not remembered.
            let (mut ahead, mut told) = (judge.clone(), self.told);
            while let Some(info) = told.next(release, i64::MAX) {
                ahead.enter_stage(info);
            }
            let knows = told.stage == Some(index);
            return knows.then(|| judgement(&ahead.verdict(), policy));
        }
        if self.said.is_none() {
            self.said = Some(judgement(&judge.verdict(), policy));
        }
        self.said.clone()
    }

    /// The judge's words of the stage the release stands in, as it says them now.
    pub(crate) fn words(&mut self, release: &Release) -> Option<String> {
        self.judgement(release).map(|now| now.evidence.summary)
    }
}

fn new_judge(release: &Release) -> Option<Judge> {
    let baseline: Digest = release.requested.stable.as_ref()?.digest;
    let canary = release.version.as_ref()?.digest;
    Some(Judge::new(
        release.requested.plan.judge.clone(),
        baseline,
        canary,
    ))
}

fn stage_info(
    plan: &Plan,
    index: usize,
    expose: &Expose,
    share: BasisPoints,
    entered_at_s: i64,
) -> StageInfo {
    let seconds = |ms: u64| u32::try_from(ms / 1_000).unwrap_or(u32::MAX);
    let watch = seconds(expose.for_.0).saturating_sub(WATCH_SLACK_S);
    StageInfo {
        entered_at_s,
        share,
        next_share: next_share(plan, index),
        min_watch_s: if expose.early {
            watch.min(plan.judge.bake.min_s)
        } else {
            watch
        },
        comparable: match expose.to {
            Audience::Share(_) => Comparable::Random,
            Audience::Segment(_) => Comparable::NotRandom,
        },
        chosen: plan.stages.iter().take(index).any(|stage| {
            let Stage::Expose(expose) = stage else {
                return false;
            };
            matches!(expose.to, Audience::Segment(_))
        }),
    }
}

/// The share of the next stage that has one; everybody after the last.
fn next_share(plan: &Plan, index: usize) -> BasisPoints {
    plan.stages
        .iter()
        .skip(index + 1)
        .find_map(|stage| match stage {
            Stage::Expose(Expose {
                to: Audience::Share(share),
                ..
            }) => Some(*share),
            Stage::Expose(_) | Stage::WarmUp(_) => None,
        })
        .unwrap_or(BasisPoints::FULL)
}

fn judgement(verdict: &Verdict, policy: esclusa_judge::OnUnproven) -> Judgement {
    Judgement {
        opinion: match verdict.decision {
            Decision::Rollback => Opinion::Rollback,
            Decision::Proceed => Opinion::Proceed,
            Decision::Hold => Opinion::Hold,
        },
        at_end: match at_stage_end(verdict, policy) {
            esclusa_judge::StageEnd::Advance { grounds, proved } => {
                StageEnd::Advance(match grounds {
                    esclusa_judge::Grounds::Proof => format!("harmlessness proved; {proved}"),
                    esclusa_judge::Grounds::Quiet => {
                        format!("quiet, with enough traffic; {proved}")
                    }
                })
            }
            esclusa_judge::StageEnd::Hold { reason } => StageEnd::Hold(reason.to_string()),
            esclusa_judge::StageEnd::Rollback { reason } => {
                StageEnd::Rollback(format!("not proved harmless in time: {reason}"))
            }
        },
        evidence: Evidence {
            code: verdict.reason.code(),
            summary: verdict.summary.clone(),
            // A verdict is plain data; should it ever not be JSON, its words remain.
            verdict: serde_json::to_value(verdict).unwrap_or(serde_json::Value::Null),
        },
    }
}

/// Nothing runs beside it, so nothing can be compared; its checks have passed.
fn first_deployment() -> Judgement {
    let summary = "first deployment: nothing to compare with, only its checks stand behind it";
    Judgement {
        opinion: Opinion::Hold,
        at_end: StageEnd::Advance(summary.into()),
        evidence: Evidence {
            code: "first_deployment".into(),
            summary: summary.into(),
            verdict: serde_json::Value::Null,
        },
    }
}
