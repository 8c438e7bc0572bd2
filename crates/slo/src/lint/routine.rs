//! What every alert needs: patience, a guard for data that stops, words for people.

use super::{Alert, Said, warning};
use crate::code;
use crate::promql::{self, Expr};
use std::collections::{BTreeMap, BTreeSet};

/// Longest chain of recorded series that is followed.
const CHAIN: usize = 4;

/// What the series that a file records are made of.
pub(super) type Recorded = BTreeMap<String, BTreeSet<String>>;

/// Reads from the records of a file what they are made of.
pub(super) fn recorded<'e>(records: impl Iterator<Item = (&'e str, &'e Expr)>) -> Recorded {
    records
        .map(|(name, expr)| (name.to_owned(), families(expr).collect()))
        .collect()
}

/// Series whose absence fires something in the same file.
pub(super) fn guarded<'e>(
    expressions: impl Iterator<Item = &'e Expr>,
    recorded: &Recorded,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for expr in expressions {
        for part in promql::all(expr) {
            if let Expr::Call(call) = part
                && ["absent", "absent_over_time"].contains(&call.func.name)
            {
                for argument in &call.args.args {
                    names.extend(series(argument, recorded));
                }
            }
        }
    }
    names
}

/// The families that an expression reads: a histogram's parts count as one.
fn families(expr: &Expr) -> impl Iterator<Item = String> {
    let names = promql::selectors(expr)
        .into_iter()
        .filter_map(promql::name_of);
    names.map(|name| {
        let base = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|s| name.strip_suffix(s));
        base.unwrap_or(&name).to_owned()
    })
}

/// The same, with what recorded series are made of in their place.
fn series(expr: &Expr, recorded: &Recorded) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = families(expr).collect();
    for _ in 0..CHAIN {
        let sources = |name: String| match recorded.get(&name) {
            Some(sources) => sources.clone(),
            None => BTreeSet::from([name]),
        };
        names = names.into_iter().flat_map(sources).collect();
    }
    names
}

pub(super) fn lint(
    alert: &Alert<'_>,
    guarded: &BTreeSet<String>,
    recorded: &Recorded,
    complained: &mut BTreeSet<String>,
) -> Vec<Said> {
    let mut said = Vec::new();
    let parts = promql::all(alert.expr);
    // Two windows that must agree are patience enough.
    let joined = parts
        .iter()
        .any(|e| matches!(e, Expr::Binary(b) if promql::joins(b)));
    if !alert.waits && !joined {
        said.push(warning(
            code::NO_FOR,
            format!(
                "{} fires at the first evaluation that finds it, and again at the next",
                alert.name
            ),
            "add `for: 5m`, or a second, shorter window joined by `and`",
        ));
    }
    let absence = parts.iter().any(
        |e| matches!(e, Expr::Call(c) if ["absent", "absent_over_time"].contains(&c.func.name)),
    );
    let unguarded: BTreeSet<String> = series(alert.expr, recorded)
        .into_iter()
        .filter(|name| !guarded.contains(name) && name != "up")
        .collect();
    if !absence && !promql::comparisons(alert.expr).is_empty() {
        for name in unguarded {
            if complained.insert(name.clone()) {
                said.push(warning(
                    code::SILENT,
                    format!(
                        "when {name} is gone, {} is silent, and so is this whole file",
                        alert.name
                    ),
                    format!(
                        "add an alert with `absent({})` for 10m",
                        shown(alert.expr, &name)
                    ),
                ));
            }
        }
    }
    if !alert.labels.contains("severity") {
        said.push(warning(
            code::UNLABELLED,
            format!(
                "{} has no label `severity`, so nobody can be chosen for it",
                alert.name
            ),
            "add `labels: { severity: warning }`",
        ));
    }
    if !alert.annotations.contains("summary") && !alert.annotations.contains("description") {
        said.push(warning(
            code::UNLABELLED,
            format!("{} says nothing to whoever is woken", alert.name),
            "add `annotations: { summary: ..., description: ... }`",
        ));
    }
    said
}

/// The series of a family as the alert reads it.
fn shown(expr: &Expr, family: &str) -> String {
    let mut names = promql::selectors(expr)
        .into_iter()
        .filter_map(promql::name_of);
    let own = names.find(|name| name.starts_with(family));
    own.unwrap_or_else(|| family.to_owned())
}
