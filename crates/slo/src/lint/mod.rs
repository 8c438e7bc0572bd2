//! Lint of Prometheus rule files that exist already.
//!
//! An alert that cannot fire looks exactly like one that has no reason to. Each rule here
//! finds one way in which alerts are silent, or loud, for the wrong reason.

mod events;
mod latency;
mod routine;

use crate::buckets::Buckets;
use crate::code;
use crate::document::{findings, read, split};
use crate::fields::{items, list, optional, required, text};
use crate::promql::{self, Expr};
use esclusa_plan::{Diagnostic, Field, FieldKind, Settings, Severity, SourceFile};
use std::collections::BTreeSet;

/// What is known beside the rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LintOptions {
    /// Bounds of histograms.
    pub buckets: Buckets,
}

/// What is said about one rule.
pub(crate) struct Said {
    code: &'static str,
    severity: Severity,
    message: String,
    help: String,
}

pub(crate) fn error(code: &'static str, message: String, help: impl Into<String>) -> Said {
    Said {
        code,
        severity: Severity::Error,
        message,
        help: help.into(),
    }
}

pub(crate) fn warning(code: &'static str, message: String, help: impl Into<String>) -> Said {
    Said {
        severity: Severity::Warning,
        ..error(code, message, help)
    }
}

/// One alert as it was read.
pub(crate) struct Alert<'a> {
    pub name: &'a str,
    pub expr: &'a Expr,
    pub waits: bool,
    pub labels: BTreeSet<&'a str>,
    pub annotations: BTreeSet<&'a str>,
}

/// All that is wrong with a file of rules, in its order.
#[must_use]
pub fn lint_rules(source: &SourceFile, options: &LintOptions) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut alerts = 0;
    let parts = split(source);
    for part in &parts {
        let (settings, seen) = lint_document(part, options);
        alerts += seen;
        found.extend(settings.findings());
    }
    let failed = found.iter().any(|d| d.severity == Severity::Error);
    if alerts == 0 && !failed {
        // Nothing looked at is nothing found: say so.
        let mut settings = read(source, &[]);
        settings.refuse(
            code::NO_ALERTS,
            "",
            "no alert was found in this file".to_owned(),
            "name a file with `groups:` of alert rules".to_owned(),
        );
        let silent = |d: &Diagnostic| d.code == code::NO_ALERTS;
        found.extend(settings.findings().into_iter().filter(silent));
    }
    findings(found)
}

/// The histograms whose bounds the rules of a file depend on.
#[must_use]
pub fn metrics_with_buckets(source: &SourceFile) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for part in &split(source) {
        let settings = read(part, &table());
        let Some(value) = settings.value() else {
            continue;
        };
        for rule in items(value, "groups")
            .iter()
            .flat_map(|g| items(g, "rules"))
        {
            if let Some(Ok(expr)) = text(rule, "expr").map(promql::parse) {
                let series = promql::selectors(&expr)
                    .into_iter()
                    .filter_map(promql::name_of);
                names.extend(series.filter_map(|n| n.strip_suffix("_bucket").map(str::to_owned)));
            }
        }
    }
    names
}

fn table() -> Vec<Field> {
    let rule = vec![
        optional("alert", FieldKind::Text, "The alert's name."),
        optional("record", FieldKind::Text, "The series' name."),
        required("expr", FieldKind::Text, "PromQL."),
        optional("for", FieldKind::Text, "How long it must hold."),
        optional("keep_firing_for", FieldKind::Text, "How long it goes on."),
        optional("labels", FieldKind::TemplateMap, "Labels."),
        optional("annotations", FieldKind::TemplateMap, "Texts for people."),
    ];
    let group = vec![
        required("name", FieldKind::Text, "The group's name."),
        optional("interval", FieldKind::Text, "How often it is evaluated."),
        optional("query_offset", FieldKind::Text, "How far back."),
        optional("limit", FieldKind::Text, "Most alerts."),
        optional("labels", FieldKind::TemplateMap, "Labels of all rules."),
        optional("partial_response_strategy", FieldKind::Text, "Thanos' own."),
        required("rules", list(FieldKind::Block(rule)), "The rules."),
    ];
    vec![required(
        "groups",
        list(FieldKind::Block(group)),
        "Groups of rules.",
    )]
}

/// Lints one document; gives the number of alerts in it.
fn lint_document<'t>(part: &'t SourceFile, options: &LintOptions) -> (Settings<'t>, usize) {
    let mut settings = read(part, &table());
    let Some(value) = settings.value().cloned() else {
        return (settings, 0);
    };
    let mut parsed = Vec::new();
    for (g, group) in items(&value, "groups").iter().enumerate() {
        for (r, rule) in items(group, "rules").iter().enumerate() {
            let path = format!("groups[{g}].rules[{r}]");
            let Some(expr) = text(rule, "expr") else {
                continue;
            };
            match promql::parse(expr) {
                Ok(expr) => parsed.push((path, group, rule, expr)),
                Err(why) => settings.refuse(
                    code::PROMQL,
                    &format!("{path}.expr"),
                    format!("this is no PromQL: {}", first_line(&why)),
                    "ask `promtool check rules` what it thinks".to_owned(),
                ),
            }
        }
    }
    let records = parsed
        .iter()
        .filter_map(|(_, _, rule, expr)| Some((text(rule, "record")?, expr)));
    let recorded = routine::recorded(records);
    let guarded = routine::guarded(parsed.iter().map(|(_, _, _, expr)| expr), &recorded);
    let mut complained = BTreeSet::new();
    let mut alerts = 0;
    for (path, group, rule, expr) in &parsed {
        let Some(name) = text(rule, "alert") else {
            continue;
        };
        alerts += 1;
        let alert = Alert {
            name,
            expr,
            waits: text(rule, "for").is_some_and(|f| f != "0s" && f != "0"),
            labels: keys(&rule["labels"])
                .chain(keys(&group["labels"]))
                .collect(),
            annotations: keys(&rule["annotations"]).collect(),
        };
        let said = latency::lint(&alert, &options.buckets)
            .into_iter()
            .chain(events::lint(&alert))
            .chain(routine::lint(&alert, &guarded, &recorded, &mut complained));
        for Said {
            code,
            severity,
            message,
            help,
        } in said
        {
            let at = if [code::NO_FOR, code::UNLABELLED].contains(&code) {
                "alert"
            } else {
                "expr"
            };
            let path = format!("{path}.{at}");
            match severity {
                Severity::Error => settings.refuse(code, &path, message, help),
                Severity::Warning => settings.warn(code, &path, message, help),
            }
        }
    }
    (settings, alerts)
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or("it cannot be read")
}

fn keys(map: &serde_json::Value) -> impl Iterator<Item = &str> {
    map.as_object()
        .into_iter()
        .flat_map(|map| map.keys().map(String::as_str))
}
