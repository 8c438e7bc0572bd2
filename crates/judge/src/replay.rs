//! Runs recorded traffic (`esclusa-judge/1`, JSON Lines) through a judge.
//!
//! Pure: lines in, timeline lines out. Reading files and exit codes are the caller's.

use crate::config::JudgeConfig;
use crate::histogram::Histogram;
use crate::judge::Judge;
use crate::metric::Metric;
use crate::second::{Comparable, ProxyCell, Second, StageInfo};
use crate::series::{SeriesName, SeriesSide, SeriesValue};
use crate::slice::{Cell, EventClass, UnitCount};
use crate::verdict::{Cause, Decision, Label, Verdict};
use esclusa_model::{BasisPoints, Digest, InstanceId, ProxyId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) const FORMAT: &str = "esclusa-judge/1";
/// Evidence beyond this is written as if it were this.
const MOST_NATS: f64 = 460.0;

/// Why a recording cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ReplayError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// One line of the timeline: written when verdict, reason or first cause change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineLine {
    /// The second.
    pub t: i64,
    /// The decision.
    pub verdict: Decision,
    /// The reason's code.
    pub reason: String,
    /// Causes and context.
    pub causes: Vec<TimelineCause>,
    /// Log evidence for harm.
    pub log_e: BTreeMap<Metric, f64>,
    /// Log evidence for harmlessness.
    pub log_ni: BTreeMap<Metric, f64>,
    /// Seconds to a proof, where one is in sight.
    pub eta_s: Option<u64>,
    /// Organic canary requests of the stage.
    pub canary_requests: u64,
}

/// One cause of a timeline line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineCause {
    /// The label.
    pub label: Label,
    /// The routes that show it by themselves.
    pub routes: Vec<String>,
    /// Evidence, where there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<f64>,
    /// The metric that shows it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

impl From<&Cause> for TimelineCause {
    fn from(cause: &Cause) -> Self {
        Self {
            label: cause.label,
            routes: cause.routes.clone(),
            e: cause.log_e.map(|log_e| libm::exp(log_e.min(MOST_NATS))),
            metric: cause.metric,
        }
    }
}

impl From<&Verdict> for TimelineLine {
    fn from(verdict: &Verdict) -> Self {
        Self {
            t: verdict.at,
            verdict: verdict.decision,
            reason: verdict.reason.code(),
            causes: verdict.causes.iter().map(TimelineCause::from).collect(),
            log_e: verdict.log_e.clone(),
            log_ni: verdict.log_ni.clone(),
            eta_s: verdict.eta_s,
            canary_requests: verdict.canary.requests,
        }
    }
}

/// All kinds of lines in one shape; which fields count depends on `kind`.
#[derive(Debug, Deserialize)]
struct Line {
    kind: String,
    t: Option<i64>,
    // meta
    format: Option<String>,
    routes: Option<Vec<String>>,
    baseline: Option<String>,
    canary: Option<String>,
    #[serde(default)]
    canary_start_t: i64,
    stage: Option<StageLine>,
    judge: Option<serde_json::Value>,
    // stage
    weight: Option<f64>,
    next_weight: Option<f64>,
    min_watch_s: Option<u32>,
    comparable: Option<Comparable>,
    #[serde(default)]
    chosen: bool,
    // route
    route: Option<String>,
    // tick
    w: Option<f64>,
    #[serde(default = "heard")]
    heard: bool,
    // s
    v: Option<String>,
    r: Option<usize>,
    #[serde(default)]
    n: u64,
    #[serde(default)]
    e: u64,
    h: Option<Histogram>,
    p: Option<Histogram>,
    i: Option<Host>,
    #[serde(default)]
    x: BTreeMap<String, u64>,
    #[serde(default)]
    syn: bool,
    /// The proxy, where there are several.
    proxy: Option<ProxyId>,
    /// Who answered in the version's place.
    by: Option<String>,
    /// The heaviest units: hash, requests, failures.
    #[serde(default)]
    u: Vec<(String, u64, u64)>,
    // m
    name: Option<String>,
    #[serde(default)]
    value: serde_json::Value,
}

const fn heard() -> bool {
    true
}

/// A host, by name or number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Host {
    Name(String),
    Number(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct StageLine {
    weight: f64,
    next_weight: f64,
    /// The stage's own watch; that of the settings without it.
    #[serde(default)]
    min_watch_s: Option<u32>,
    #[serde(default)]
    comparable: Option<Comparable>,
    #[serde(default)]
    chosen: bool,
}

/// What the first line said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Recording {
    routes: Vec<String>,
    baseline: String,
    canary: String,
    start_t: i64,
    stage: StageLine,
    /// Whether the settings are its own.
    has_settings: bool,
}

/// A replay in progress. Serialise it after any line, read it back, and go on: the
/// timeline is the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    judge: Judge,
    config: JudgeConfig,
    proxy: ProxyId,
    /// Seconds after which a line is given though nothing has changed.
    every: Option<u64>,
    recording: Option<Recording>,
    open: Option<Second>,
    weight: Option<f64>,
    line: usize,
    said: Option<(Decision, String, Option<Label>)>,
    /// When a line was given last.
    said_at: Option<i64>,
    /// Whether the settings of the recording itself are used, where it holds any.
    own_settings: bool,
    /// Where the traffic goes instead of to the judge.
    kept: Option<Vec<Told>>,
}

/// What a recording tells a judge, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// A stage begins.
    Stage(StageInfo),
    /// A second passed.
    Second(Second),
}

/// A whole recording, to be judged more than once.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// The stable version.
    pub baseline: Digest,
    /// The version that was judged.
    pub canary: Digest,
    /// All that was told, oldest first.
    pub told: Vec<Told>,
}

impl Replay {
    /// A replay that has read nothing; `every` asks for a line at least that often, in
    /// seconds.
    ///
    /// # Errors
    /// Never in practice: the name of the recording's proxy is a constant.
    pub fn new(config: JudgeConfig, every: Option<u64>) -> Result<Self, ReplayError> {
        let proxy = ProxyId::new("recording").map_err(|e| ReplayError {
            line: 0,
            what: e.to_string(),
        })?;
        let nobody = Digest::from_bytes([0; 32]);
        let judge = Judge::new(config.clone(), nobody, nobody);
        Ok(Self {
            judge,
            config,
            proxy,
            every,
            recording: None,
            open: None,
            weight: None,
            line: 0,
            said: None,
            said_at: None,
            own_settings: false,
            kept: None,
        })
    }

    /// A replay with the settings that the recording names; the defaults where it names
    /// none.
    ///
    /// # Errors
    /// Never in practice: the name of the recording's proxy is a constant.
    pub fn with_its_settings(every: Option<u64>) -> Result<Self, ReplayError> {
        Ok(Self {
            own_settings: true,
            ..Self::new(JudgeConfig::default(), every)?
        })
    }

    /// A reader that judges nothing and keeps what it reads, for [`Replay::into_traffic`].
    ///
    /// # Errors
    /// Never in practice: the name of the recording's proxy is a constant.
    pub fn keeping() -> Result<Self, ReplayError> {
        Ok(Self {
            own_settings: true,
            kept: Some(Vec::new()),
            ..Self::new(JudgeConfig::default(), None)?
        })
    }

    /// The settings that the recording holds, when it was read by one who keeps it.
    #[must_use]
    pub const fn own_settings(&self) -> Option<&JudgeConfig> {
        match &self.recording {
            Some(recording) if recording.has_settings => Some(&self.config),
            _ => None,
        }
    }

    /// All that was read.
    ///
    /// # Errors
    /// When the recording holds no second.
    pub fn into_traffic(mut self) -> Result<Traffic, ReplayError> {
        self.close_second();
        let told = self.kept.take().unwrap_or_default();
        match &self.recording {
            Some(recording) if told.iter().any(|told| matches!(told, Told::Second(_))) => {
                Ok(Traffic {
                    baseline: Digest::of(recording.baseline.as_bytes()),
                    canary: Digest::of(recording.canary.as_bytes()),
                    told,
                })
            }
            _ => Err(self.error("the recording ends before its first `tick`")),
        }
    }

    /// The number of the line that was read last.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Reads one line; gives a timeline line when what the judge says has changed.
    ///
    /// # Errors
    /// When the line is not of the format, or time runs backwards.
    pub fn read(&mut self, text: &str) -> Result<Option<TimelineLine>, ReplayError> {
        self.line += 1;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let line: Line = serde_json::from_str(text).map_err(|e| self.error(e.to_string()))?;
        if self.recording.is_none() && line.kind != "meta" {
            return Err(self.error("the first line must be of kind `meta`"));
        }
        match line.kind.as_str() {
            "meta" if self.recording.is_some() => Err(self.error("a second `meta`")),
            "meta" => self.begin(line).map(|()| None),
            "tick" => self.next_second(&line),
            "stage" => self.stage(&line),
            "route" => self.route(line),
            "s" => self.cell(line),
            "m" => self.series(line),
            _ => Ok(None),
        }
    }

    /// Ends the recording: the last second is judged. Gives the last verdict and the
    /// lines that are still to be told, the last one always.
    ///
    /// # Errors
    /// When the recording holds no second.
    pub fn finish(mut self) -> Result<(Verdict, Vec<TimelineLine>), ReplayError> {
        if self.open.is_none() {
            return Err(self.error("the recording ends before its first `tick`"));
        }
        self.close_second();
        let verdict = self.judge.verdict();
        let last = TimelineLine::from(&verdict);
        Ok((verdict, vec![last]))
    }

    fn begin(&mut self, line: Line) -> Result<(), ReplayError> {
        if line.format.as_deref() != Some(FORMAT) {
            return Err(self.error(format!("the format must be {FORMAT:?}")));
        }
        let (Some(routes), Some(baseline), Some(canary), Some(stage)) =
            (line.routes, line.baseline, line.canary, line.stage)
        else {
            return Err(self.error("`meta` needs routes, baseline, canary and stage"));
        };
        if baseline == canary {
            return Err(self.error("baseline and canary have the same name"));
        }
        self.share(stage.weight)?;
        self.share(stage.next_weight)?;
        let own = line.judge.filter(|_| self.own_settings);
        let has_settings = own.is_some();
        if let Some(settings) = own {
            self.config = serde_json::from_value(settings)
                .map_err(|e| self.error(format!("its settings are not understood: {e}")))?;
        }
        let digest = |name: &str| Digest::of(name.as_bytes());
        self.judge = Judge::new(self.config.clone(), digest(&baseline), digest(&canary));
        self.recording = Some(Recording {
            routes,
            baseline,
            canary,
            start_t: line.canary_start_t,
            stage,
            has_settings,
        });
        Ok(())
    }

    fn next_second(&mut self, line: &Line) -> Result<Option<TimelineLine>, ReplayError> {
        let Some(t) = line.t else {
            return Err(self.error("`tick` needs t"));
        };
        if self.open.as_ref().is_some_and(|open| t <= open.t) {
            return Err(self.error("t runs backwards"));
        }
        let said = self.begin_second(t, line.w)?;
        if let Some(open) = &mut self.open {
            open.heard = line.heard;
        }
        Ok(said)
    }

    /// A route that the first line could not know.
    fn route(&mut self, line: Line) -> Result<Option<TimelineLine>, ReplayError> {
        let Some(name) = line.route else {
            return Err(self.error("`route` needs route"));
        };
        if let Some(recording) = &mut self.recording {
            recording.routes.push(name);
        }
        Ok(None)
    }

    fn begin_second(
        &mut self,
        t: i64,
        w: Option<f64>,
    ) -> Result<Option<TimelineLine>, ReplayError> {
        let said = self.close_second();
        if let Some(recording) = &self.recording {
            let due = t >= recording.start_t;
            let known = self.weight.unwrap_or(recording.stage.weight);
            let (stage, weight) = (recording.stage, w.unwrap_or(known));
            if due && self.weight != Some(weight) {
                self.enter(t, StageLine { weight, ..stage })?;
            }
        }
        self.open = Some(Second {
            t,
            cells: Vec::new(),
            heard: true,
        });
        Ok(said)
    }

    fn stage(&mut self, line: &Line) -> Result<Option<TimelineLine>, ReplayError> {
        let (Some(t), Some(weight), Some(next_weight)) = (line.t, line.weight, line.next_weight)
        else {
            return Err(self.error("`stage` needs t, weight and next_weight"));
        };
        if self.open.as_ref().is_some_and(|open| t < open.t) {
            return Err(self.error("t runs backwards"));
        }
        let said = self
            .open
            .as_ref()
            .is_some_and(|open| open.t < t)
            .then(|| self.close_second())
            .flatten();
        let stage = StageLine {
            weight,
            next_weight,
            min_watch_s: line.min_watch_s,
            comparable: line.comparable,
            chosen: line.chosen,
        };
        if let Some(recording) = &mut self.recording {
            recording.stage = stage;
        }
        self.enter(t, stage)?;
        Ok(said)
    }

    fn enter(&mut self, t: i64, stage: StageLine) -> Result<(), ReplayError> {
        self.weight = Some(stage.weight);
        let info = StageInfo {
            entered_at_s: t,
            share: self.share(stage.weight)?,
            next_share: self.share(stage.next_weight)?,
            min_watch_s: stage.min_watch_s.unwrap_or(self.config.bake.min_s),
            comparable: stage.comparable.unwrap_or(Comparable::Random),
            chosen: stage.chosen,
        };
        match &mut self.kept {
            Some(kept) => kept.push(Told::Stage(info)),
            None => self.judge.enter_stage(info),
        }
        Ok(())
    }

    fn share(&self, weight: f64) -> Result<BasisPoints, ReplayError> {
        let rounded = libm::round(weight * 10_000.0);
        if !(0.0..=10_000.0).contains(&rounded) {
            return Err(self.error(format!("weight {weight} is not between 0 and 1")));
        }
        // In range by the line above.
        BasisPoints::new(rounded as u16).map_err(|e| self.error(e.to_string()))
    }

    /// A value that is no finite number is a reading without one.
    fn series(&mut self, line: Line) -> Result<Option<TimelineLine>, ReplayError> {
        let (Some(t), Some(name), Some(version)) = (line.t, line.name, line.v) else {
            return Err(self.error("`m` needs t, name and v"));
        };
        let mut said = None;
        match self.open.as_ref().map(|open| open.t) {
            Some(open) if t < open => return Err(self.error("t runs backwards")),
            Some(open) if t == open => {}
            _ => said = self.begin_second(t, None)?,
        }
        let recording = self.recording.as_ref();
        let side = recording.and_then(|recording| {
            let canary = version == recording.canary;
            let known = canary || version == recording.baseline;
            known.then_some(if canary {
                SeriesSide::Canary
            } else {
                SeriesSide::Baseline
            })
        });
        // Those of other versions, and of names that cannot be configured, are no series
        // of this comparison.
        if let (Some(side), Ok(name)) = (side, SeriesName::new(&name)) {
            self.judge.take_series(SeriesValue {
                name,
                t,
                side,
                value: line.value.as_f64().filter(|v| v.is_finite()),
                why: None,
            });
        }
        Ok(said)
    }

    fn cell(&mut self, line: Line) -> Result<Option<TimelineLine>, ReplayError> {
        let Some(open) = self.open.as_ref().map(|open| open.t) else {
            return Err(self.error("`s` before the first `tick`"));
        };
        let mut said = None;
        if let Some(t) = line.t.filter(|t| *t != open) {
            if t < open {
                return Err(self.error("t runs backwards"));
            }
            said = self.begin_second(t, None)?;
        }
        let proxy = line.proxy.clone().unwrap_or_else(|| self.proxy.clone());
        let cell = self.cell_of(line)?;
        if let Some(second) = &mut self.open {
            second.cells.push(ProxyCell { proxy, cell });
        }
        Ok(said)
    }

    fn cell_of(&self, line: Line) -> Result<Cell, ReplayError> {
        let Some(recording) = &self.recording else {
            return Err(self.error("`s` before `meta`"));
        };
        let version = line.v.ok_or_else(|| self.error("`s` needs v"))?;
        let number = line.r.ok_or_else(|| self.error("`s` needs r"))?;
        let Some(route) = recording.routes.get(number) else {
            let known = recording.routes.len();
            return Err(self.error(format!("no such route: {number} of {known}")));
        };
        if version != recording.baseline && version != recording.canary {
            return Err(self.error(format!("{version:?} is neither baseline nor canary")));
        }
        if line.e > line.n {
            return Err(self.error("more errors than requests"));
        }
        let latency = line.h.unwrap_or_default();
        if latency.total() > line.n - line.e {
            return Err(self.error("more latencies than requests without an error"));
        }
        let mut events = BTreeMap::new();
        if line.e > 0 {
            events.insert(EventClass::ServerError, line.e);
        }
        for (name, n) in line.x {
            // Classes of later formats are ignored, as unknown fields are. The failures
            // are those of `e` already, whatever their class.
            let class = serde_json::from_value::<EventClass>(serde_json::Value::String(name));
            if let Ok(class) = class
                && !class.is_failure()
            {
                events.insert(class, n);
            }
        }
        let host = line.i.map(|host| match host {
            Host::Name(name) => name,
            Host::Number(number) => format!("h{number}"),
        });
        let mut units = Vec::with_capacity(line.u.len());
        for (unit, requests, failures) in line.u {
            let unit = unit.parse().map_err(|_| self.error("a unit is a number"))?;
            units.push(UnitCount {
                unit,
                requests,
                failures,
            });
        }
        let served = line.by.as_ref().unwrap_or(&version);
        Ok(Cell {
            intended: Digest::of(version.as_bytes()),
            served: Some(Digest::of(served.as_bytes())),
            route: route.clone(),
            // A name that is none is a host that is not told apart.
            instance: host.and_then(|host| InstanceId::new(host).ok()),
            synthetic: line.syn,
            requests: line.n,
            events,
            latency,
            pending: line.p.unwrap_or_default(),
            units,
        })
    }

    fn close_second(&mut self) -> Option<TimelineLine> {
        let second = self.open.take()?;
        if let Some(kept) = &mut self.kept {
            kept.push(Told::Second(second));
            return None;
        }
        self.judge.tick(&second);
        self.judge.stage()?;
        let verdict = self.judge.verdict();
        let says = (
            verdict.decision,
            verdict.reason.code(),
            verdict.causes.first().map(|c| c.label),
        );
        let due = self
            .every
            .zip(self.said_at)
            .is_some_and(|(every, at)| second.t - at >= i64::try_from(every).unwrap_or(i64::MAX));
        let tells = due || self.said.as_ref() != Some(&says);
        self.said = Some(says);
        if tells {
            self.said_at = Some(second.t);
        }
        tells.then(|| TimelineLine::from(&verdict))
    }

    fn error(&self, what: impl Into<String>) -> ReplayError {
        ReplayError {
            line: self.line,
            what: what.into(),
        }
    }
}

/// Replays a whole recording.
///
/// # Errors
/// The first line that cannot be read.
pub fn run<'a>(
    lines: impl IntoIterator<Item = &'a str>,
    config: JudgeConfig,
) -> Result<Vec<TimelineLine>, ReplayError> {
    let mut replay = Replay::new(config, None)?;
    let mut timeline = Vec::new();
    for line in lines {
        timeline.extend(replay.read(line)?);
    }
    let (_, rest) = replay.finish()?;
    timeline.extend(rest);
    Ok(timeline)
}
