//! What is to be written up after a release went back (RBK-22): facts from the record,
//! and open items for what only people know.

use super::markdown::{duration, heading, line, row, table, text};
use super::{Report, StageResult, Status};

/// The skeleton; none for a release that did not go back.
#[must_use]
pub fn post_mortem(report: &Report) -> Option<String> {
    if !matches!(report.status, Status::Returned | Status::Failed) {
        return None;
    }
    let mut out = String::new();
    let (service, version) = (text(&report.service), text(&report.version.name));
    line(&mut out, &format!("# Post-mortem: {service} {version}"));
    line(&mut out, "");
    line(&mut out, &text(&report.reason));
    facts(&mut out, report);
    impact(&mut out, report);
    timeline(&mut out, report);
    open_items(&mut out);
    Some(out)
}

fn facts(out: &mut String, report: &Report) {
    table(out, &["", ""]);
    let end = report.outcome.as_deref().unwrap_or("under way");
    row(out, &["Release", &text(&report.release)]);
    row(out, &["Outcome", &text(end)]);
    row(out, &["Asked for by", &text(&report.requested_by)]);
    row(out, &["Started", &report.started_at]);
    row(
        out,
        &["Ended", report.ended_at.as_deref().unwrap_or("not yet")],
    );
    row(out, &["Duration", &duration(report.duration_ms)]);
    let from = report
        .stages
        .iter()
        .find(|stage| stage.result == StageResult::Returned);
    let from = from.map_or_else(
        || "outside of any stage".to_owned(),
        |stage| text(&stage.to),
    );
    row(out, &["Went back from", &from]);
    if let Some(source) = &report.source {
        row(out, &["Commit", &format!("`{}`", source.commit)]);
    }
}

fn impact(out: &mut String, report: &Report) {
    heading(out, "Impact");
    line(out, "");
    if let Some(because) = &report.traffic.unknown_because {
        line(out, &format!("Unknown: {}.", text(because)));
    }
    for totals in &report.traffic.versions {
        let name = totals.name.as_deref().unwrap_or(&totals.digest);
        let rate = totals
            .error_percent
            .map_or_else(|| "unknown".to_owned(), |rate| rate.to_string());
        line(
            out,
            &format!(
                "- {}: {} requests, {} failures ({rate})",
                text(name),
                totals.requests,
                totals.failures
            ),
        );
    }
    line(out, "- [ ] Who was affected, and how they noticed:");
}

fn timeline(out: &mut String, report: &Report) {
    heading(out, "Timeline");
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

fn open_items(out: &mut String) {
    for (name, items) in [
        (
            "Communication",
            &[
                "Customers told (who, when, by whom):",
                "Status page updated and closed:",
                "Support and stakeholders told:",
            ][..],
        ),
        (
            "Root cause",
            &[
                "What caused it:",
                "Why nothing before this release showed it:",
            ][..],
        ),
        (
            "Follow-up",
            &["What keeps it from happening again (owner, date):"][..],
        ),
    ] {
        heading(out, name);
        line(out, "");
        for item in items {
            line(out, &format!("- [ ] {item}"));
        }
    }
}
