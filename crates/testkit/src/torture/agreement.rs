//! Whether a release's log and the proxy tell the same story.
//!
//! Pure. The log is what the API gives; the other side is what the proxy's own metrics
//! showed, looked at again and again by somebody who asked nobody else.

use serde_json::Value;

/// Everybody, in basis points.
const EVERYBODY: u32 = 10_000;

/// What the proxy showed of one release at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// When it had been seen, microseconds since 1970.
    pub at_us: i64,
    /// Epoch and number of the generation in force.
    pub generation: (u64, u64),
    /// The canary's share in basis points; nothing where no split was in force.
    pub share: Option<u32>,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agreement {
    /// What contradicts what, in words.
    pub contradictions: Vec<String>,
    /// Read-backs in the log whose generation was also seen at the proxy.
    pub read_backs_seen: usize,
}

/// Compares a release's events, oldest first, with what the proxy showed meanwhile.
/// `stages` are the plan's shares in basis points.
#[must_use]
pub fn compare(events: &[Value], shown: &[Shown], stages: &[u32]) -> Agreement {
    let mut found = Agreement {
        contradictions: gaps(events),
        read_backs_seen: 0,
    };
    read_backs(events, shown, &mut found);
    raised_after_record(events, shown, stages, &mut found);
    lowered_for_good(events, shown, &mut found);
    returned_until_resumed(events, shown, &mut found);
    found
}

/// The log has every position once and each event names the one before.
#[must_use]
pub fn gaps(events: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let mut prev: Option<&Value> = None;
    for (index, event) in events.iter().enumerate() {
        let position = event["position"].as_u64();
        if position != Some(index as u64 + 1) {
            found.push(format!(
                "event {} of the log has position {position:?}",
                index + 1
            ));
        }
        if let Some(prev) = prev
            && event["prev"] != prev["hash"]
        {
            found.push(format!("event {} does not name its predecessor", index + 1));
        }
        prev = Some(event);
    }
    if events.is_empty() {
        found.push("the log is empty".into());
    }
    found
}

/// Each read-back says what the proxy showed under that generation.
fn read_backs(events: &[Value], shown: &[Shown], found: &mut Agreement) {
    for event in of_kind(events, "dial_confirmed") {
        let payload = &event["payload"];
        let (Some(generation), Some(achieved)) = (
            generation(&payload["generation"]),
            number(&payload["achieved"]),
        ) else {
            found.contradictions.push(format!(
                "a read-back names no generation or no share: {payload}"
            ));
            continue;
        };
        let mut seen = false;
        let since = taken_back(shown, generation);
        for shown in shown.iter().filter(|s| s.generation == generation) {
            seen = true;
            if since.is_some_and(|since| shown.at_us >= since) {
                break;
            }
            if shown.share.unwrap_or(0) != achieved {
                found.contradictions.push(format!(
                    "the log says {achieved} basis points in generation {generation:?}, \
                     the proxy showed {:?}",
                    shown.share
                ));
                break;
            }
        }
        found.read_backs_seen += usize::from(seen);
    }
}

/// Nobody is exposed whom the log has not let in before.
fn raised_after_record(events: &[Value], shown: &[Shown], stages: &[u32], found: &mut Agreement) {
    let mut allowed: Vec<(i64, u32)> = Vec::new();
    for event in of_kind(events, "advanced") {
        let (Some(at), Some(stage)) = (event["at_us"].as_i64(), stage_of(event)) else {
            continue;
        };
        match stages.get(stage) {
            Some(share) => allowed.push((at, *share)),
            None => found.contradictions.push(format!(
                "the log enters stage {stage}, which the plan lacks"
            )),
        }
    }
    for shown in shown {
        let share = shown.share.unwrap_or(0);
        let most = allowed
            .iter()
            .filter(|(at, _)| *at <= shown.at_us)
            .map(|(_, share)| *share)
            .max()
            .unwrap_or(0);
        if share > most {
            found.contradictions.push(format!(
                "the proxy showed {share} basis points in generation {:?} when the log had \
                 allowed {most}",
                shown.generation
            ));
            return;
        }
    }
}

/// After a return was read back, nobody is exposed in this release again.
fn lowered_for_good(events: &[Value], shown: &[Shown], found: &mut Agreement) {
    let Some(returned) = of_kind(events, "return_decided").next() else {
        return;
    };
    let decided = returned["at_us"].as_i64().unwrap_or(i64::MAX);
    let read_back = of_kind(events, "dial_confirmed").find(|event| {
        event["at_us"].as_i64().is_some_and(|at| at >= decided)
            && number(&event["payload"]["achieved"]) == Some(0)
    });
    let Some(since) = read_back.and_then(|event| event["at_us"].as_i64()) else {
        return;
    };
    let again = shown
        .iter()
        .find(|shown| shown.at_us > since && shown.share.is_some_and(|share| share > 0));
    if let Some(again) = again {
        found.contradictions.push(format!(
            "after the return was read back the proxy showed {:?} basis points again, in \
             generation {:?}",
            again.share, again.generation
        ));
    }
}

/// When the proxy took the share back by itself, within one generation.
fn taken_back(shown: &[Shown], generation: (u64, u64)) -> Option<i64> {
    let mut exposed = false;
    for shown in shown.iter().filter(|s| s.generation == generation) {
        let share = shown.share.unwrap_or(0);
        if exposed && share == 0 {
            return Some(shown.at_us);
        }
        exposed |= share > 0;
    }
    None
}

/// What a proxy took back by itself is in the log, and nobody but a person undoes it.
fn returned_until_resumed(events: &[Value], shown: &[Shown], found: &mut Agreement) {
    let generations: std::collections::BTreeSet<(u64, u64)> =
        shown.iter().map(|shown| shown.generation).collect();
    let times = |kind| -> Vec<i64> {
        of_kind(events, kind)
            .filter_map(|event| event["at_us"].as_i64())
            .collect()
    };
    let (resumed, returned) = (times("resumed"), times("returned_by_proxy"));
    let decided = times("return_decided");
    for generation in generations {
        let Some(since) = taken_back(shown, generation) else {
            continue;
        };
        if !returned.iter().chain(&decided).any(|at| *at >= since) {
            found.contradictions.push(format!(
                "the proxy took the share back in generation {generation:?} and the log does \
                 not know"
            ));
        }
        let again = shown
            .iter()
            .find(|shown| shown.at_us > since && shown.share.is_some_and(|share| share > 0));
        if let Some(again) = again
            && !resumed.iter().any(|at| (since..=again.at_us).contains(at))
        {
            found.contradictions.push(format!(
                "the proxy had taken the share back and showed {:?} basis points again in \
                 generation {:?}, and no person had resumed",
                again.share, again.generation
            ));
        }
    }
}

/// Keeps what was seen within one generation only: between the two readings of one look
/// another may come into force. A look counts when the next one shows the same
/// generation.
#[must_use]
pub fn settled(looks: &[Shown]) -> Vec<Shown> {
    looks
        .windows(2)
        .filter(|pair| pair[0].generation == pair[1].generation)
        .map(|pair| pair[0].clone())
        .collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["kind"] == kind)
}

/// The stage that an `advanced` event enters; nothing for other phases.
fn stage_of(event: &Value) -> Option<usize> {
    let stage = event["payload"]["to"]["stage"].as_u64()?;
    usize::try_from(stage).ok()
}

fn generation(value: &Value) -> Option<(u64, u64)> {
    Some((value["epoch"].as_u64()?, value["number"].as_u64()?))
}

fn number(value: &Value) -> Option<u32> {
    let number = u32::try_from(value.as_u64()?).ok()?;
    (number <= EVERYBODY).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STAGES: [u32; 2] = [500, 10_000];

    fn event(position: u64, at_us: i64, kind: &str, payload: impl Into<Value>) -> Value {
        let payload = payload.into();
        json!({
            "position": position, "at_us": at_us, "kind": kind, "payload": payload,
            "prev": format!("h{}", position - 1), "hash": format!("h{position}"),
        })
    }

    fn confirmed(position: u64, at_us: i64, share: u32, number: u64) -> Value {
        let generation = json!({ "epoch": 2, "number": number });
        let payload = json!({ "asked": share, "achieved": share, "generation": generation });
        event(position, at_us, "dial_confirmed", payload)
    }

    /// 5 % at 10, read back at 20; returned at 30, read back at 40.
    fn log() -> Vec<Value> {
        vec![
            event(1, 0, "requested", json!({})),
            event(
                2,
                10,
                "advanced",
                json!({ "to": { "stage": 0 }, "why": "" }),
            ),
            confirmed(3, 20, 500, 7),
            event(4, 30, "return_decided", json!({})),
            confirmed(5, 40, 0, 8),
        ]
    }

    fn shown(at_us: i64, number: u64, share: u32) -> Shown {
        Shown {
            at_us,
            generation: (2, number),
            share: Some(share),
        }
    }

    fn proxy() -> Vec<Shown> {
        vec![
            shown(5, 6, 0),
            shown(15, 7, 500),
            shown(25, 7, 500),
            shown(45, 8, 0),
        ]
    }

    #[test]
    fn one_story_has_no_contradiction() {
        let found = compare(&log(), &proxy(), &STAGES);
        assert_eq!(found.contradictions, Vec::<String>::new());
        assert_eq!(found.read_backs_seen, 2);
    }

    #[test]
    fn a_log_with_a_hole_or_a_foreign_event_is_found() {
        let mut holed = log();
        holed.remove(2);
        assert!(!compare(&holed, &proxy(), &STAGES).contradictions.is_empty());
        let mut changed = log();
        changed[3]["hash"] = json!("other");
        assert!(
            !compare(&changed, &proxy(), &STAGES)
                .contradictions
                .is_empty()
        );
        assert!(!compare(&[], &[], &STAGES).contradictions.is_empty());
    }

    #[test]
    fn a_proxy_that_shows_something_else_is_found() {
        let mut other = proxy();
        other[2].share = Some(400);
        assert_eq!(compare(&log(), &other, &STAGES).contradictions.len(), 1);
        // Raised before the log said so.
        let mut early = proxy();
        early[1].at_us = 9;
        assert_eq!(compare(&log(), &early, &STAGES).contradictions.len(), 1);
        // Raised again after the return had been read back.
        let mut again = proxy();
        again.push(shown(50, 9, 500));
        assert_eq!(compare(&log(), &again, &STAGES).contradictions.len(), 1);
    }

    /// Returned by the proxy at 25, told to the log at 30, resumed at 40, raised at 50.
    fn silent() -> (Vec<Value>, Vec<Shown>) {
        let log = vec![
            event(1, 0, "requested", json!({})),
            event(
                2,
                10,
                "advanced",
                json!({ "to": { "stage": 0 }, "why": "" }),
            ),
            confirmed(3, 20, 500, 7),
            event(4, 30, "returned_by_proxy", json!({})),
            event(5, 40, "resumed", json!(null)),
            confirmed(6, 55, 500, 9),
        ];
        let proxy = vec![
            shown(15, 7, 500),
            shown(25, 7, 0),
            shown(35, 8, 0),
            shown(50, 9, 500),
        ];
        (log, proxy)
    }

    #[test]
    fn a_proxy_may_take_back_and_only_a_person_gives_again() {
        let (log, mut proxy) = silent();
        let found = compare(&log, &proxy, &STAGES);
        assert_eq!(found.contradictions, Vec::<String>::new());
        // Raised before anybody resumed.
        proxy[2].share = Some(500);
        assert_eq!(compare(&log, &proxy, &STAGES).contradictions.len(), 1);
        // The log never hears of it.
        let (mut log, proxy) = silent();
        log.truncate(3);
        assert_eq!(compare(&log, &proxy, &STAGES).contradictions.len(), 2);
    }

    #[test]
    fn a_look_across_a_change_does_not_count() {
        let torn = [shown(1, 6, 500), shown(2, 7, 500), shown(3, 7, 500)];
        assert_eq!(settled(&torn), [shown(2, 7, 500)]);
    }
}
