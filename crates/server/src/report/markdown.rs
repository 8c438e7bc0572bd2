//! The report as Markdown, to be filed or pasted. Words that came from outside are
//! escaped: they can neither break a table nor become markup.

use super::{Report, StageReport, TrafficReport};
use crate::source::SourceView;
use esclusa_model::Millis;
use std::fmt::Write as _;

/// The whole report.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    let end = report.outcome.as_deref().unwrap_or("under way");
    line(
        &mut out,
        &format!(
            "# {} {}: {}",
            text(&report.service),
            text(&report.version.name),
            text(end)
        ),
    );
    line(&mut out, "");
    line(&mut out, &text(&report.reason));
    facts(&mut out, report);
    stages(&mut out, &report.stages);
    traffic(&mut out, &report.traffic);
    checklist(&mut out, report);
    tasks(&mut out, report);
    decisions(&mut out, report);
    if let Some(source) = &report.source {
        commits(&mut out, source);
    }
    line(&mut out, "");
    let head = report.record.head.as_deref().unwrap_or("none");
    let events = report.record.events;
    line(
        &mut out,
        &format!("Made from {events} recorded events, the last of which is `{head}`."),
    );
    out
}

fn facts(out: &mut String, report: &Report) {
    table(out, &["", ""]);
    let version = match &report.version.digest {
        Some(digest) => format!("{} `{digest}`", text(&report.version.name)),
        None => text(&report.version.name),
    };
    let unverified = match report.version.verified {
        Some(false) => " (unverified: only its name was hashed)",
        Some(true) | None => "",
    };
    let stable = report.stable.as_ref().map_or_else(
        || "none, first deployment".to_owned(),
        |stable| format!("{} `{}`", text(&stable.name), stable.digest),
    );
    row(out, &["Release", &text(&report.release)]);
    row(out, &["Status", report.status.words()]);
    row(out, &["Verdict", report.verdict.word()]);
    row(out, &["Version", &format!("{version}{unverified}")]);
    row(out, &["Version before", &stable]);
    row(out, &["Plan", &format!("`{}`", report.plan_digest)]);
    row(out, &["Asked for by", &text(&report.requested_by)]);
    row(out, &["Started", &report.started_at]);
    row(
        out,
        &["Ended", report.ended_at.as_deref().unwrap_or("not yet")],
    );
    row(out, &["Duration", &duration(report.duration_ms)]);
    row(out, &["Acted", &text(&report.actors.join(", "))]);
}

fn stages(out: &mut String, stages: &[StageReport]) {
    heading(out, "Stages");
    table(
        out,
        &[
            "Stage",
            "Entered",
            "Confirmed",
            "Left",
            "Took",
            "Budget",
            "Why it was left",
        ],
    );
    for stage in stages {
        let why = stage.left_because.as_deref().unwrap_or("");
        let budget = match (stage.budget_ms, stage.over_by_ms) {
            (Some(budget), Some(over)) => {
                format!("{} (over by {})", Millis(budget), Millis(over))
            }
            (Some(budget), None) if stage.over_budget => format!("{} (over)", Millis(budget)),
            (Some(budget), None) => Millis(budget).to_string(),
            (None, _) => String::new(),
        };
        row(
            out,
            &[
                &text(&stage.to),
                stage.entered_at.as_deref().unwrap_or("not entered"),
                stage.confirmed_at.as_deref().unwrap_or(""),
                stage.left_at.as_deref().unwrap_or(""),
                &stage
                    .took_ms
                    .map_or_else(String::new, |ms| Millis(ms).to_string()),
                &budget,
                &text(why),
            ],
        );
    }
}

fn traffic(out: &mut String, traffic: &TrafficReport) {
    heading(out, "Traffic");
    if let Some(because) = &traffic.unknown_because {
        line(out, "");
        line(out, &format!("Unknown: {}.", text(because)));
        return;
    }
    table(
        out,
        &["Version", "Requests", "Failures", "Error rate", "p95"],
    );
    for totals in &traffic.versions {
        let name = totals
            .name
            .as_deref()
            .map_or_else(|| format!("`{}`", totals.digest), text);
        let rate = totals
            .error_percent
            .map_or_else(|| "unknown".to_owned(), |rate| rate.to_string());
        let p95 = totals
            .p95_ms
            .map_or_else(|| "unknown".to_owned(), |ms| ms.to_string());
        let (requests, failures) = (totals.requests.to_string(), totals.failures.to_string());
        row(out, &[&name, &requests, &failures, &rate, &p95]);
    }
    if let (Some(from), Some(to)) = (&traffic.from, &traffic.to) {
        line(out, "");
        line(
            out,
            &format!("Counted from {from} to {to}, without synthetic requests."),
        );
    }
}

fn checklist(out: &mut String, report: &Report) {
    heading(out, "Checklist");
    if !report.checklist.is_empty() {
        line(out, "");
    }
    for entry in &report.checklist {
        let mark = if entry.done { "x" } else { " " };
        let mut words = format!("- [{mark}] {}", text(&entry.item));
        if let (Some(by), Some(at)) = (&entry.by, &entry.at) {
            words.push_str(&format!(" ({}, {at})", text(by)));
        }
        if !entry.note.is_empty() {
            words.push_str(&format!(": {}", text(&entry.note)));
        }
        line(out, &words);
    }
    let done = &report.completion;
    let signed = match done.signed_off_by.join(", ") {
        nobody if nobody.is_empty() => "nobody".to_owned(),
        signed => text(&signed),
    };
    table(
        out,
        &["Completed", "Signed off by", "Date", "Time", "Duration"],
    );
    row(
        out,
        &[
            if done.completed { "yes" } else { "no" },
            &signed,
            done.date.as_deref().unwrap_or("not over"),
            done.time.as_deref().unwrap_or(""),
            &duration(done.duration_ms),
        ],
    );
}

fn commits(out: &mut String, source: &SourceView) {
    heading(out, "Commits");
    line(out, "");
    let branch = source
        .branch
        .as_ref()
        .map_or_else(String::new, |branch| format!(" on {}", text(branch)));
    let since = source
        .since
        .as_ref()
        .map_or_else(String::new, |since| format!(", since `{since}`"));
    line(out, &format!("`{}`{branch}{since}.", source.commit));
    if !source.commits.is_empty() {
        table(out, &["Commit", "Author", "Subject"]);
    }
    for commit in &source.commits {
        let hash = format!("`{}`", commit.hash);
        row(out, &[&hash, &text(&commit.author), &text(&commit.subject)]);
    }
    if source.left_out > 0 {
        line(out, "");
        line(out, &format!("And {} more.", source.left_out));
    }
}

fn tasks(out: &mut String, report: &Report) {
    if report.tasks.is_empty() {
        return;
    }
    heading(out, "Work");
    table(out, &["Task", "What", "Tries", "Result", "Took"]);
    for task in &report.tasks {
        row(
            out,
            &[
                &text(&task.task),
                &text(&task.title),
                &task.attempts.to_string(),
                &text(task.result.as_deref().unwrap_or("runs")),
                &duration(task.took_ms),
            ],
        );
    }
}

fn decisions(out: &mut String, report: &Report) {
    heading(out, "Decisions");
    table(out, &["When", "Who", "What", "Why", "Evidence"]);
    for decision in &report.decisions {
        row(
            out,
            &[
                &decision.at,
                &text(&decision.by),
                &text(&decision.what),
                &text(&decision.why),
                &text(decision.evidence.as_deref().unwrap_or("")),
            ],
        );
    }
}

pub(super) fn duration(ms: Option<u64>) -> String {
    ms.map_or_else(|| "not over".to_owned(), |ms| Millis(ms).to_string())
}

pub(super) fn heading(out: &mut String, name: &str) {
    line(out, "");
    line(out, &format!("## {name}"));
}

pub(super) fn table(out: &mut String, head: &[&str]) {
    line(out, "");
    row(out, head);
    let rule: Vec<&str> = head.iter().map(|_| "---").collect();
    row(out, &rule);
}

pub(super) fn row(out: &mut String, cells: &[&str]) {
    line(out, &format!("| {} |", cells.join(" | ")));
}

pub(super) fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

/// Words as words: no markup, no line ends.
pub(super) fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '#' | '\\' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn words_cannot_become_markup() {
        assert_eq!(
            text("a|b\n*c* <x> `d` [e](f)"),
            r"a\|b \*c\* \<x\> \`d\` \[e\](f)"
        );
        assert_eq!(text("bell\u{7}"), "bell");
    }
}
