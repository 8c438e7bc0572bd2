//! Writes what a judge was told as a recording that [`crate::replay`] reads.
//!
//! Nothing that the judge looks at is left out: proxies are told apart, silence stays
//! silence, and each stage keeps its own watch. So the same settings give the same
//! verdicts. What this does not do: decide where a recording begins and ends.

use crate::replay::FORMAT;
use crate::second::{ProxyCell, Second, StageInfo};
use crate::series::{SeriesSide, SeriesValue};
use crate::slice::{Cell, EventClass};
use crate::{Comparable, JudgeConfig};
use esclusa_model::{Digest, ProxyId};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What is known before the first second.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What the recording is of, such as a release's id.
    pub id: String,
    /// The service.
    pub service: String,
    /// The stable version and its name.
    pub baseline: (Digest, String),
    /// The version that is judged and its name.
    pub canary: (Digest, String),
    /// The second that becomes second 0: the one in which the first stage was entered.
    pub start: i64,
    /// Seconds before it.
    pub pre_roll_s: i64,
    /// Seconds from there to the end.
    pub duration_s: i64,
    /// Names of all routes; others may still come.
    pub routes: Vec<String>,
    /// The settings that were judged with, where something was.
    pub judge: Option<JudgeConfig>,
}

/// Turns seconds and stages into lines, oldest first.
#[derive(Debug)]
pub struct Recorder {
    head: Head,
    routes: BTreeMap<String, usize>,
    /// The proxy that needs no name: the first one.
    proxy: Option<ProxyId>,
    weight: f64,
}

impl Recorder {
    /// A recorder with nothing recorded. Versions that share a name get their digests
    /// for names.
    #[must_use]
    pub fn new(mut head: Head) -> Self {
        if head.baseline.1 == head.canary.1 {
            head.baseline.1 = head.baseline.0.to_string();
            head.canary.1 = head.canary.0.to_string();
        }
        let numbered = head.routes.iter().cloned().zip(0..);
        Self {
            routes: numbered.collect(),
            head,
            proxy: None,
            weight: 0.0,
        }
    }

    /// The first line; `first` is the stage that begins at second 0.
    #[must_use]
    pub fn meta(&self, first: &StageInfo) -> String {
        let head = &self.head;
        let mut meta = json!({
            "kind": "meta", "format": FORMAT, "id": head.id, "service": head.service,
            "routes": head.routes, "baseline": head.baseline.1, "canary": head.canary.1,
            "canary_start_t": 0, "started_at_s": head.start,
            "pre_roll_s": head.pre_roll_s, "duration_s": head.duration_s,
            "stage": {
                "weight": first.share.fraction(), "next_weight": first.next_share.fraction(),
            },
            "hist": { "scheme": "loglinear", "unit": "us", "sub_bits": 5 },
        });
        if let Some(judge) = &head.judge {
            meta["judge"] = json!(judge);
        }
        meta.to_string()
    }

    /// A stage begins.
    #[must_use]
    pub fn stage(&mut self, info: &StageInfo) -> String {
        self.weight = info.share.fraction();
        let mut line = json!({
            "kind": "stage", "t": info.entered_at_s - self.head.start,
            "weight": self.weight, "next_weight": info.next_share.fraction(),
            "min_watch_s": info.min_watch_s,
        });
        if info.comparable == Comparable::NotRandom {
            line["comparable"] = json!(info.comparable);
        }
        if info.chosen {
            line["chosen"] = json!(true);
        }
        line.to_string()
    }

    /// A reading of a series; it belongs behind the second of the same time.
    #[must_use]
    pub fn reading(&self, reading: &SeriesValue) -> String {
        let version = match reading.side {
            SeriesSide::Baseline => &self.head.baseline.1,
            SeriesSide::Canary => &self.head.canary.1,
        };
        json!({
            "kind": "m", "t": reading.t - self.head.start, "name": reading.name, "v": version,
            "value": reading.value,
        })
        .to_string()
    }

    /// One second.
    pub fn second(&mut self, second: &Second) -> Vec<String> {
        let t = second.t - self.head.start;
        let mut tick = json!({ "kind": "tick", "t": t, "w": self.weight });
        if !second.heard {
            tick["heard"] = json!(false);
        }
        let mut lines = vec![tick.to_string()];
        for ProxyCell { proxy, cell } in &second.cells {
            let Some((version, by)) = versions(&self.head, cell) else {
                continue;
            };
            let known = self.routes.get(&cell.route).copied();
            let route = known.unwrap_or_else(|| {
                let number = self.routes.len();
                self.routes.insert(cell.route.clone(), number);
                lines.push(json!({ "kind": "route", "route": cell.route }).to_string());
                number
            });
            let mut line = counts(t, version, route, cell);
            if let Some(by) = by {
                line["by"] = json!(by);
            }
            if self.proxy.get_or_insert_with(|| proxy.clone()) != proxy {
                line["proxy"] = json!(proxy);
            }
            lines.push(line.to_string());
        }
        lines
    }
}

/// The version that a cell is about, and who answered in its place; nothing for versions
/// that are not compared.
fn versions<'a>(head: &'a Head, cell: &Cell) -> Option<(&'a str, Option<&'a str>)> {
    let [baseline, canary] = [&head.baseline, &head.canary];
    let answered = cell.served.unwrap_or(cell.intended);
    if cell.intended == canary.0 && answered != canary.0 {
        let by = if answered == baseline.0 {
            baseline.1.as_str()
        } else {
            "another"
        };
        return Some((&canary.1, Some(by)));
    }
    [baseline, canary]
        .into_iter()
        .find(|known| known.0 == answered)
        .map(|known| (known.1.as_str(), None))
}

fn counts(t: i64, version: &str, route: usize, cell: &Cell) -> Value {
    let mut line = json!({
        "kind": "s", "t": t, "v": version, "r": route,
        "n": cell.requests, "e": cell.failures().min(cell.requests), "h": cell.latency,
    });
    let name = |class: &EventClass| Some(serde_json::to_value(class).ok()?.as_str()?.to_owned());
    let classes: Map<String, Value> = cell
        .events
        .iter()
        .filter(|(class, _)| !class.is_failure())
        .filter_map(|(class, n)| Some((name(class)?, json!(n))))
        .collect();
    if !classes.is_empty() {
        line["x"] = Value::Object(classes);
    }
    if cell.pending.total() > 0 {
        line["p"] = json!(cell.pending);
    }
    if let Some(instance) = &cell.instance {
        line["i"] = json!(instance);
    }
    if cell.synthetic {
        line["syn"] = json!(true);
    }
    if !cell.units.is_empty() {
        let units = cell.units.iter();
        line["u"] = units
            .map(|unit| json!([unit.unit.to_string(), unit.requests, unit.failures]))
            .collect();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Replay;
    use crate::series::{Direction, Series, SeriesKind, SeriesName};
    use crate::{Histogram, Judge, UnitCount};
    use esclusa_model::{BasisPoints, Fraction, InstanceId, Millis};

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn cell(route: &str, intended: &str, served: Option<&str>) -> Cell {
        Cell {
            intended: digest(intended),
            served: served.map(digest),
            route: route.into(),
            instance: Some(InstanceId::new(format!("{intended}-1")).expect("valid")),
            synthetic: false,
            requests: 20,
            events: BTreeMap::from([
                (EventClass::Timeout, 1),
                (EventClass::ServerError, 1),
                (EventClass::ClientError, 2),
            ]),
            latency: Histogram::try_from(vec![300, 17, 340, 1]).expect("pairs"),
            pending: Histogram::try_from(vec![550, 3]).expect("pairs"),
            units: vec![UnitCount {
                unit: u64::MAX,
                requests: 12,
                failures: 1,
            }],
        }
    }

    /// Two proxies, misrouted requests, a third version, synthetic ones, silence.
    fn seconds() -> Vec<Second> {
        let [a, b] = ["a", "b"].map(|name| ProxyId::new(name).expect("valid"));
        let at = |proxy: &ProxyId, cell| ProxyCell {
            proxy: proxy.clone(),
            cell,
        };
        (1_000..1_200)
            .map(|t| {
                let heard = !(1_100..1_105).contains(&t);
                let mut cells = vec![
                    at(&a, cell("GET /", "one", Some("one"))),
                    at(&b, cell("GET /", "one", Some("one"))),
                    at(&b, cell("GET /", "old", Some("old"))),
                ];
                if t >= 1_060 {
                    cells.push(at(&a, cell("GET /late", "two", Some("two"))));
                    cells.push(at(&b, cell("GET /", "two", None)));
                    cells.push(at(&b, cell("GET /", "two", Some("one"))));
                    let warm = Cell {
                        synthetic: true,
                        ..cell("GET /", "two", Some("two"))
                    };
                    cells.push(at(&a, warm));
                }
                if !heard {
                    cells.clear();
                }
                Second { t, cells, heard }
            })
            .collect()
    }

    fn stages() -> [StageInfo; 3] {
        let share = |points| BasisPoints::new(points).expect("a share");
        let first = StageInfo {
            entered_at_s: 1_060,
            share: share(500),
            next_share: share(5_000),
            min_watch_s: 30,
            comparable: Comparable::NotRandom,
            chosen: false,
        };
        let second = StageInfo {
            entered_at_s: 1_102,
            share: share(5_000),
            next_share: BasisPoints::FULL,
            min_watch_s: 12,
            comparable: Comparable::Random,
            chosen: true,
        };
        // The same share again is a stage of its own.
        let third = StageInfo {
            entered_at_s: 1_150,
            ..second
        };
        [first, second, third]
    }

    /// Both versions' readings every fifth second; some are missing.
    fn readings(t: i64) -> Vec<SeriesValue> {
        let read = |side, value| SeriesValue {
            name: SeriesName::new("queue").expect("a name"),
            t,
            side,
            value: (t % 35 != 0).then_some(value),
            why: None,
        };
        if t < 1_060 || t % 5 != 0 {
            return Vec::new();
        }
        vec![
            read(SeriesSide::Baseline, 10.0),
            read(SeriesSide::Canary, 30.0),
        ]
    }

    #[test]
    fn a_recording_says_second_for_second_what_the_judge_said() {
        let mut config = JudgeConfig::default();
        config.bake.min_requests = 7;
        config.series.push(Series {
            name: SeriesName::new("queue").expect("a name"),
            every: Millis(5_000),
            direction: Direction::Up,
            margin: Fraction::from_per_100k(10_000),
            noninferior: Fraction::from_per_100k(20_000),
            kind: SeriesKind::Gauge,
            per: None,
            required: false,
        });
        let mut judge = Judge::new(config.clone(), digest("one"), digest("two"));
        let mut recorder = Recorder::new(Head {
            id: "r".into(),
            service: "shop".into(),
            baseline: (digest("one"), "1.0".into()),
            canary: (digest("two"), "1.0".into()),
            start: 1_060,
            pre_roll_s: 60,
            duration_s: 140,
            routes: vec!["GET /".into()],
            judge: Some(config),
        });
        let stages = stages();
        let mut replay = Replay::with_its_settings(Some(1)).expect("a replay");
        let mut lines = vec![recorder.meta(&stages[0])];
        let mut expected = Vec::new();
        for second in seconds() {
            for info in stages.iter().filter(|info| info.entered_at_s == second.t) {
                judge.enter_stage(*info);
                lines.push(recorder.stage(info));
            }
            lines.extend(recorder.second(&second));
            for reading in readings(second.t) {
                lines.push(recorder.reading(&reading));
                judge.take_series(reading);
            }
            judge.tick(&second);
            if judge.stage().is_some() {
                let mut line = crate::replay::TimelineLine::from(&judge.verdict());
                line.t -= 1_060;
                expected.push(line);
            }
        }
        let mut said = Vec::new();
        for line in &lines {
            said.extend(replay.read(line).expect("a line"));
        }
        let (last, rest) = replay.finish().expect("an end");
        said.extend(rest);
        // The last second is told once more.
        expected.push(expected.last().expect("a line").clone());
        said.dedup();
        expected.dedup();
        assert_eq!(said, expected);
        assert!(
            expected
                .iter()
                .any(|line| line.log_e.keys().any(|m| m.is_series()))
        );
        assert_eq!(last.canary, judge.verdict().canary);
        assert_eq!(last.margins, judge.verdict().margins);
        let text = lines.join("\n");
        for part in [
            "\"proxy\":\"b\"",
            "\"by\":",
            "\"heard\":false",
            "\"route\":\"GET /late\"",
        ] {
            assert!(text.contains(part), "{part}");
        }
        // A version that is not compared is left out: two cells a second before, six after.
        let cells = text.matches("\"kind\":\"s\"").count();
        assert_eq!(cells, 60 * 2 + (140 - 5) * 6);
    }
}
