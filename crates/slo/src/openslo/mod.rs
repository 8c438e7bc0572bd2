//! OpenSLO v1: which documents there are, and the objectives in them.
//!
//! Every document is checked against the table of its kind, unknown fields are refused.
//! What the format allows and this program does not do is refused in words, never
//! ignored in silence.

mod build;
mod measure;
mod objective;
mod table;

use crate::code;
use crate::document::{findings, read, split};
use crate::duration::Span;
use crate::fields::text;
use crate::indicator::Indicator;
use esclusa_plan::{Diagnostic, Settings, Severity, SourceFile};
use serde_json::Value;
use std::collections::BTreeMap;

/// How a budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budgeting {
    /// By bad events.
    Occurrences,
    /// By bad slices of time.
    Timeslices,
    /// By the mean of all slices' ratios.
    RatioTimeslices,
}

/// The time in which a budget has to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Always the last so long.
    Rolling(Span),
    /// From a date on, again and again.
    Calendar(Span),
}

impl Period {
    /// Its length.
    #[must_use]
    pub const fn length(self) -> Span {
        match self {
            Self::Rolling(span) | Self::Calendar(span) => span,
        }
    }
}

/// What makes a slice of time good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice {
    /// The part of it that has to be good.
    pub target: f64,
    /// Its length.
    pub length: Span,
}

/// One target.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Tells it from the others of its SLO, such as `99.9%`.
    pub id: String,
    /// Its name for people.
    pub display_name: Option<String>,
    /// The part that has to be good.
    pub target: f64,
    /// What it is measured by.
    pub indicator: Indicator,
    /// For budgets of time slices.
    pub slice: Option<Slice>,
}

/// One service level objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// The service that it is about.
    pub service: String,
    /// Labels with one value.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The time in which the budget has to last.
    pub period: Period,
    /// How the budget is spent.
    pub budgeting: Budgeting,
    /// Its targets, one at least.
    pub objectives: Vec<Objective>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Its objectives; one at least.
    pub slos: Vec<Slo>,
    /// What deserves a look all the same.
    pub warnings: Vec<Diagnostic>,
}

/// One document while the file is read.
pub(crate) struct Document<'t> {
    pub kind: &'static str,
    pub name: String,
    pub value: Value,
    pub settings: Settings<'t>,
}

/// Reads all documents of a file.
///
/// # Errors
/// Everything that is wrong with the file, warnings included, in its order.
pub fn read_openslo(source: &SourceFile) -> Result<Read, Vec<Diagnostic>> {
    let parts = split(source);
    let mut documents: Vec<Document<'_>> = Vec::new();
    let mut found = Vec::new();
    for part in &parts {
        match document(part) {
            Ok(document) => documents.push(document),
            Err(more) => found.extend(more),
        }
    }
    names_are_told_apart(&mut documents);
    let slos = build::slos(&mut documents);
    let empty = found.is_empty() && !documents.iter().any(|d| d.kind == "SLO");
    if empty {
        found.extend(without_slo(source, documents.first_mut()));
    }
    found.extend(documents.into_iter().flat_map(|d| d.settings.findings()));
    let found = findings(found);
    if found.iter().any(|d| d.severity == Severity::Error) {
        return Err(found);
    }
    Ok(Read {
        slos,
        warnings: found,
    })
}

/// A file in which nothing promises anything.
fn without_slo(source: &SourceFile, first: Option<&mut Document<'_>>) -> Vec<Diagnostic> {
    let message = "no document of this file is an SLO".to_owned();
    let help = "add one: `kind: SLO`".to_owned();
    match first {
        Some(document) => {
            document.settings.refuse(code::KIND, "kind", message, help);
            Vec::new()
        }
        None => {
            let mut settings = read(source, &table::head());
            settings.refuse(code::KIND, "", message, help);
            settings.findings()
        }
    }
}

fn document(part: &SourceFile) -> Result<Document<'_>, Vec<Diagnostic>> {
    let mut head = read(part, &table::head());
    let Some(value) = head.value().cloned() else {
        return Err(head.findings());
    };
    let version = text(&value, "apiVersion");
    if version.is_some_and(|version| version != "openslo/v1") {
        head.refuse(
            code::KIND,
            "apiVersion",
            format!(
                "`{}` is not a version that is read",
                version.unwrap_or_default()
            ),
            "write `apiVersion: openslo/v1`".to_owned(),
        );
        return Err(head.findings());
    }
    let kind = text(&value, "kind").and_then(|kind| table::KINDS.iter().find(|k| **k == kind));
    let Some(kind) = kind else {
        if let Some(word) = text(&value, "kind") {
            let known = table::KINDS.iter().copied();
            head.refuse_unknown(code::KIND, "kind", word, "a kind of OpenSLO v1", known);
        }
        return Err(head.findings());
    };
    let mut settings = read(part, &table::of(kind));
    let Some(value) = settings.value().cloned() else {
        return Err(settings.findings());
    };
    if table::UNUSED.contains(kind) {
        settings.warn(
            code::UNUSED,
            "kind",
            format!("documents of kind {kind} are read and not used"),
            "alert rules follow the windows of the SRE workbook; who is told is the business \
             of Alertmanager, by the label `severity`"
                .to_owned(),
        );
    }
    let name = text(&value["metadata"], "name")
        .unwrap_or_default()
        .to_owned();
    Ok(Document {
        kind,
        name,
        value,
        settings,
    })
}

fn names_are_told_apart(documents: &mut [Document<'_>]) {
    let mut seen: Vec<(&'static str, String)> = Vec::new();
    for document in documents {
        let key = (document.kind, document.name.clone());
        if seen.contains(&key) {
            document.settings.refuse(
                code::REFERENCE,
                "metadata.name",
                format!(
                    "a second {} has the name `{}`",
                    document.kind, document.name
                ),
                "give each its own name".to_owned(),
            );
        }
        seen.push(key);
    }
}

/// A share without the dust that binary fractions leave.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e12).round() / 1e12
}
