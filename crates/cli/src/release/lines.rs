//! A release in a few lines. Pure: view and time in, lines out.

use crate::output::{Colour, Tone};
use crate::table::one_line;
use esclusa_model::Millis;
use esclusa_server::{ReleaseView, StageView, VersionTraffic};

/// Counts older than this are marked; the proxy cuts one slice a second.
const STALE_S: i64 = 5;

/// What is known of a release now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    pub release: ReleaseView,
    pub traffic: Vec<VersionTraffic>,
    /// The newest second of the counts.
    pub traffic_second: Option<i64>,
}

/// The live lines: where it stands, both versions, the judge's words.
pub(super) fn live_lines(shown: &Shown, now_us: i64, colour: Colour) -> Vec<String> {
    let release = &shown.release;
    let mut lines = vec![headline(release, now_us, colour)];
    lines.extend(traffic_lines(shown, now_us, colour));
    lines.extend(remarks(release, now_us, colour));
    lines
}

/// All of it, for `status`.
pub(super) fn status_lines(shown: &Shown, now_us: i64, colour: Colour) -> Vec<String> {
    let release = &shown.release;
    let mut lines = vec![headline(release, now_us, colour)];
    lines.push(format!(
        "  release {}, asked for by {}",
        release.release, release.requested_by
    ));
    lines.extend(
        release
            .flags
            .as_ref()
            .map(|flags| format!("  turns {flags}")),
    );
    for stage in &release.stages {
        lines.push(stage_line(stage, release));
    }
    for task in release.tasks.iter().filter(|task| !task.done) {
        let result = task.result.as_deref().unwrap_or("runs");
        lines.push(format!("  {}: {}", one_line(&task.title), one_line(result)));
    }
    lines.extend(traffic_lines(shown, now_us, colour));
    lines.extend(remarks(release, now_us, colour));
    lines
}

/// What a log says of a release: a line when it is new, not each time it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// Where it stands; absent while it is only on its way there, and at its end, which
    /// whoever follows it tells.
    pub standing: Option<String>,
    /// What the judge or a wait says meanwhile, without counts and times that change all
    /// the time when compared by [`without_numbers`].
    pub meanwhile: Option<String>,
}

/// The lines for logs. A share that is being set is told once it is read back, and a
/// record that the store has not taken yet only by `status` and live lines: both pass
/// within a moment, or are told as what keeps the release.
pub(super) fn told(release: &ReleaseView) -> Told {
    let name = format!("{} {}", release.service, release.version);
    let over = release.outcome.is_some();
    let on_its_way = !over
        && release.place_in_line.is_none()
        && release.returning_because.is_none()
        && !release.share_confirmed
        && release.hold.is_none();
    let judges = release.phase.starts_with("stage ") && release.returning_because.is_none();
    let said = [
        ("judge", release.judged.clone().filter(|_| judges)),
        ("waits", waits(release)),
        ("reaches nobody", release.reaches_nobody_because.clone()),
    ];
    let judged = said[0].1.clone().unwrap_or_default();
    let words: Vec<String> = said
        .into_iter()
        .filter_map(|(word, words)| Some((word, words?)))
        // What it waits for is often the judge's own word.
        .filter(|(word, words)| *word == "judge" || !judged.contains(words.as_str()))
        .map(|(word, words)| format!("{word}: {}", one_line(&words)))
        .collect();
    let quiet = over || on_its_way || words.is_empty();
    Told {
        standing: (!on_its_way && !over)
            .then(|| format!("{name}: {}", standing(release, Detail::Log))),
        meanwhile: (!quiet).then(|| format!("  {}", words.join("; "))),
    }
}

/// A line with every number as one mark: two lines that differ in numbers alone say the
/// same.
pub(super) fn without_numbers(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut in_number = false;
    for c in line.chars() {
        let part = c.is_ascii_digit() || (in_number && matches!(c, '.' | ','));
        if !part {
            out.push(c);
        } else if !in_number {
            out.push('#');
        }
        in_number = part;
    }
    out
}

/// How much is said of where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// All of it.
    Now,
    /// What a log keeps.
    Log,
}

fn headline(release: &ReleaseView, now_us: i64, colour: Colour) -> String {
    let tone = match release.outcome.as_deref() {
        Some("promoted" | "promoted_early") => Tone::Good,
        Some(_) => Tone::Bad,
        None => Tone::Strong,
    };
    let name = colour.paint(tone, &format!("{} {}", release.service, release.version));
    let mut line = format!("{name}  {}", standing(release, Detail::Now));
    if let Some(left) = countdown(release, now_us) {
        line.push_str(&format!(", {left}"));
    }
    line
}

/// Phase and share, or the end, in words.
fn standing(release: &ReleaseView, detail: Detail) -> String {
    if let Some(outcome) = &release.outcome {
        let reason = release.reason.as_deref().unwrap_or("no reason is recorded");
        return format!("{outcome}: {}", one_line(reason));
    }
    if let Some(place) = release.place_in_line {
        return format!("{}, place {place} in line", release.phase);
    }
    let being_set = if release.share_confirmed || detail == Detail::Log {
        ""
    } else {
        " (being set)"
    };
    let of = if release.phase.starts_with("stage ") {
        format!(" of {}", release.stages.len())
    } else {
        String::new()
    };
    let mut words = format!(
        "{}{of}, users on it: {}{being_set}",
        release.phase, release.share
    );
    if let Some(because) = &release.returning_because {
        words.push_str(&format!(", going back: {}", one_line(because)));
    }
    if detail == Detail::Now
        && let Some(because) = &release.not_recorded_because
    {
        words.push_str(&format!(", not recorded yet: {}", one_line(because)));
    }
    if let Some(by) = &release.paused_by {
        words.push_str(&format!(", paused by {by}"));
        if let Some(because) = &release.paused_because {
            words.push_str(&format!(" ({})", one_line(because)));
        }
    }
    words
}

/// How long the present stage is still watched.
fn countdown(release: &ReleaseView, now_us: i64) -> Option<String> {
    if release.outcome.is_some() || release.returning_because.is_some() {
        return None;
    }
    let open = |stage: &&StageView| stage.entered_at_us.is_some() && stage.left_at_us.is_none();
    let stage = release.stages.iter().rev().find(open)?;
    let until = stage.confirmed_at_us? + i64::try_from(stage.for_ms).ok()? * 1_000;
    Some(if until > now_us {
        format!("{} left to watch", whole_seconds(until - now_us))
    } else {
        "watched long enough, waiting for its gate".to_owned()
    })
}

fn whole_seconds(micros: i64) -> Millis {
    Millis(u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000) * 1_000)
}

fn traffic_lines(shown: &Shown, now_us: i64, colour: Colour) -> Vec<String> {
    let name = |digest: &str| -> String {
        let release = &shown.release;
        if release.digest.as_deref() == Some(digest) {
            return release.version.clone();
        }
        let stable = release
            .stable
            .as_ref()
            .filter(|stable| stable.digest == digest);
        stable.map_or_else(
            || digest.chars().take(19).collect(),
            |stable| stable.name.clone(),
        )
    };
    let width = shown
        .traffic
        .iter()
        .map(|row| name(&row.version).chars().count())
        .max();
    let width = width.unwrap_or(0);
    let mut lines: Vec<String> = shown
        .traffic
        .iter()
        .map(|row| {
            let errors = row.error_rate.map_or_else(
                || "errors unknown".into(),
                |rate| format!("{:.2}% errors", rate * 100.0),
            );
            let p95 = row
                .p95_ms
                .map_or_else(|| "p95 unknown".into(), |ms| format!("p95 {ms:.0} ms"));
            let name = name(&row.version);
            format!(
                "  {name:width$}  {:>8.1}/s  {errors:>14}  {p95}",
                row.requests_per_s
            )
        })
        .collect();
    let age = shown
        .traffic_second
        .map(|second| now_us / 1_000_000 - second);
    if let Some(age) = age.filter(|age| *age > STALE_S) {
        lines.push(format!(
            "  {}",
            colour.paint(Tone::Warn, &format!("stale: counted {age} s ago"))
        ));
    }
    lines
}

fn remarks(release: &ReleaseView, now_us: i64, colour: Colour) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(judged) = &release.judged {
        lines.push(format!("  judge: {}", one_line(judged)));
    }
    if let Some(why) = &release.reaches_nobody_because {
        lines.push(format!(
            "  {}: {}",
            colour.paint(Tone::Warn, "reaches nobody"),
            one_line(why)
        ));
    }
    if let Some(waits) = waits(release) {
        lines.push(format!(
            "  {}: {}",
            colour.paint(Tone::Warn, "waits"),
            one_line(&waits)
        ));
    }
    if release.outcome.is_none() {
        if let Some(until) = release.hold_until_us.filter(|until| *until > now_us) {
            lines.push(format!(
                "  goes back by itself in {}",
                whole_seconds(until - now_us)
            ));
        }
        if !release.missing_sign_offs.is_empty() {
            lines.push(format!(
                "  sign-off missing: {}",
                release.missing_sign_offs.join(", ")
            ));
            let missing = release.sign_offs.iter().filter(|one| one.by.is_none());
            for one in missing {
                if one.not_by_author {
                    lines.push(format!(
                        "    {}: not by {}, who asked for the release",
                        one.role, release.requested_by
                    ));
                }
                for (index, item) in one.items.iter().enumerate() {
                    lines.push(format!(
                        "    {}: [ ] {}. {}",
                        one.role,
                        index + 1,
                        one_line(&item.item)
                    ));
                }
            }
        }
    }
    lines
}

fn waits(release: &ReleaseView) -> Option<String> {
    release.hold.clone().filter(|_| release.outcome.is_none())
}

fn stage_line(stage: &StageView, release: &ReleaseView) -> String {
    let (mark, words) = match (stage.entered_at_us, stage.left_at_us) {
        (_, Some(_)) => ("x", stage.left_because.as_deref().unwrap_or("left")),
        (Some(_), None) => (">", "now"),
        (None, None) if release.stable.is_none() && release.flags.is_none() => {
            (" ", "passed over: nothing to compare a first version with")
        }
        (None, None) => (" ", "not reached"),
    };
    let reached = stage.reached.as_ref();
    let reached = reached.map_or_else(String::new, |reached| format!("{reached}; "));
    format!(
        "  [{mark}] {:12} {:>8}  {reached}{}",
        stage.to,
        Millis(stage.for_ms).to_string(),
        one_line(words)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn view(change: impl FnOnce(&mut Value)) -> ReleaseView {
        let mut value = json!({
            "release": "0191", "service": "checkout", "version": "2.4.1",
            "digest": "sha256:aa", "requested_by": "ana", "requested_at_us": 0,
            "plan_digest": "sha256:cc", "place_in_line": null, "paused_because": null,
            "stable": { "name": "2.4.0", "digest": "sha256:bb", "verified": true },
            "phase": "stage 2", "share": "25%", "share_confirmed": true,
            "stages": [
                { "to": "5%", "for_ms": 60_000, "entered_at_us": 1, "confirmed_at_us": 1,
                  "left_at_us": 60_000_001, "left_because": "non-inferiority is proved" },
                { "to": "25%", "for_ms": 900_000, "entered_at_us": 60_000_001,
                  "confirmed_at_us": 61_000_000, "left_at_us": null, "left_because": null },
                { "to": "100%", "for_ms": 0, "entered_at_us": null, "confirmed_at_us": null,
                  "left_at_us": null, "left_because": null }
            ],
            "tasks": [{ "task": "check/0", "title": "http canary /health", "attempt": 2,
                        "result": "failed: 503", "done": false, "took_ms": 12 }],
            "missing_sign_offs": [], "paused_by": null, "hold": null, "hold_until_us": null,
            "needs_person_at_us": null, "judged": "no sign of harm after 4,120 requests",
            "returning_because": null, "outcome": null, "reason": null, "ended_at_us": null
        });
        change(&mut value);
        serde_json::from_value(value).expect("a view")
    }

    fn shown(release: ReleaseView) -> Shown {
        let row =
            |version: &str, rate: f64, errors: Option<f64>, p95: Option<f64>| VersionTraffic {
                version: version.into(),
                requests_per_s: rate,
                error_rate: errors,
                p95_ms: p95,
                requests: 100,
                failures: 1,
            };
        Shown {
            release,
            traffic: vec![
                row("sha256:aa", 12.34, Some(0.0012), Some(41.4)),
                row("sha256:bb", 136.0, None, None),
            ],
            traffic_second: Some(99),
        }
    }

    #[test]
    fn live_lines_say_where_it_stands() {
        let lines = live_lines(&shown(view(|_| {})), 100_500_000, Colour::Off).join("\n");
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn a_hold_a_pause_and_old_counts_are_seen() {
        let release = view(|v| {
            v["paused_by"] = json!("ana");
            v["hold"] = json!("harmlessness is\nnot proved");
            v["hold_until_us"] = json!(3_700_000_000_i64);
            v["missing_sign_offs"] = json!(["security"]);
            v["share_confirmed"] = json!(false);
        });
        let lines = live_lines(&shown(release), 1_000_000_000, Colour::Off).join("\n");
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn the_end_is_told_with_its_reason() {
        let release = view(|v| {
            v["outcome"] = json!("rolled_back");
            v["reason"] = json!("errors 4.1% against 0.1%");
        });
        let lines = status_lines(&shown(release.clone()), 100_500_000, Colour::Off).join("\n");
        insta::assert_snapshot!(lines);
        assert!(live_lines(&shown(release), 1, Colour::On)[0].starts_with("\u{1b}[31mcheckout"));
    }

    #[test]
    fn one_in_line_says_its_place() {
        let release = view(|v| {
            v["phase"] = json!("queued");
            v["place_in_line"] = json!(2);
            v["judged"] = json!(null);
        });
        let line = told(&release);
        assert_eq!(
            line.standing.as_deref(),
            Some("checkout 2.4.1: queued, place 2 in line")
        );
        assert_eq!(line.meanwhile, None);
    }

    #[test]
    fn numbers_alone_are_no_change() {
        let at = |judged: &str| {
            let told = told(&view(|v| v["judged"] = json!(judged)));
            without_numbers(&told.meanwhile.expect("the judge spoke"))
        };
        let before = at("no sign of harm after 4,120 requests, 0.5% worse at most");
        let after = at("no sign of harm after 98 requests, 12% worse at most");
        assert_eq!(before, after);
        assert_ne!(before, at("suspicious after 4,120 requests"));
    }

    #[test]
    fn a_log_tells_what_is_so_and_not_what_passes() {
        let all = |release: &ReleaseView| {
            let Told {
                standing,
                meanwhile,
            } = told(release);
            [standing, meanwhile]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("\n")
        };
        let being_set = view(|v| v["share_confirmed"] = json!(false));
        assert_eq!(all(&being_set), "");
        let stuck = view(|v| {
            v["share_confirmed"] = json!(false);
            v["hold"] = json!("the dial does not answer");
        });
        let waits_for_the_judge = view(|v| {
            v["judged"] = json!("HOLD: p99 is not yet proved harmless; 0 of 41");
            v["hold"] = json!("p99 is not yet proved harmless");
        });
        let returning = view(|v| {
            v["phase"] = json!("returning users");
            v["share"] = json!("0%");
            v["share_confirmed"] = json!(false);
            v["returning_because"] = json!("errors 4.1% against 0.1%");
            v["not_recorded_because"] = json!("the store has not answered yet");
        });
        let over = view(|v| {
            v["outcome"] = json!("promoted");
            v["reason"] = json!("reached all users through all gates");
        });
        let nobody = view(|v| {
            v["reaches_nobody_because"] = json!("a needs b on, which nobody has in staging");
        });
        let remarked = remarks(&nobody, 0, Colour::Off).join("\n");
        let expected = "  reaches nobody: a needs b on, which nobody has in staging";
        assert!(remarked.contains(expected), "{remarked}");
        assert!(all(&nobody).contains(expected.trim()), "{}", all(&nobody));
        let lines = [view(|_| {}), stuck, waits_for_the_judge, returning, over];
        insta::assert_snapshot!(lines.each_ref().map(all).join("\n\n"));
    }
}
