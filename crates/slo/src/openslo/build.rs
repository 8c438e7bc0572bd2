//! From documents that have the right form to objectives that make sense.

use super::measure::{measure, prometheus_only};
use super::objective::objectives;
use super::{Budgeting, Document, Period, Slo};
use crate::code;
use crate::duration::Span;
use crate::fields::{items, text};
use esclusa_plan::Settings;
use serde_json::Value;
use std::collections::BTreeMap;

/// An SLI as it was found: its content, the document that holds it, and where in it.
pub(super) struct Found {
    pub document: usize,
    pub value: Value,
    pub path: String,
}

/// All objectives; what is wrong is said where it stands.
pub(super) fn slos(documents: &mut [Document<'_>]) -> Vec<Slo> {
    for document in documents.iter_mut().filter(|d| d.kind == "DataSource") {
        prometheus_only(
            &mut document.settings,
            document.value["spec"].get("type"),
            "spec.type",
        );
    }
    let sources: Vec<String> = names(documents, "DataSource");
    let services: Vec<String> = names(documents, "Service");
    let indexes: Vec<usize> = (0..documents.len())
        .filter(|index| documents[*index].kind == "SLO")
        .collect();
    let mut used = Vec::new();
    let mut slos = Vec::new();
    for index in indexes {
        service_is_known(&mut documents[index], &services);
        let Some(found) = indicator_of(documents, index) else {
            continue;
        };
        used.push(found.document);
        slos.extend(slo(documents, index, &found, &sources));
    }
    for (index, document) in documents.iter_mut().enumerate() {
        if document.kind == "SLI" && !used.contains(&index) {
            document.settings.warn(
                code::UNUSED,
                "metadata.name",
                format!("no SLO of this file refers to the SLI `{}`", document.name),
                "name it in an SLO: `indicatorRef`".to_owned(),
            );
        }
    }
    slos
}

fn names(documents: &[Document<'_>], kind: &str) -> Vec<String> {
    let of_kind = documents.iter().filter(|d| d.kind == kind);
    of_kind.map(|d| d.name.clone()).collect()
}

/// Where a file has services at all, an SLO is about one of them.
fn service_is_known(document: &mut Document<'_>, services: &[String]) {
    let Some(service) = text(&document.value["spec"], "service").map(str::to_owned) else {
        return;
    };
    if !services.is_empty() && !services.contains(&service) {
        let known = services.iter().map(String::as_str);
        let settings = &mut document.settings;
        settings.refuse_unknown(
            code::REFERENCE,
            "spec.service",
            &service,
            "a Service of this file",
            known,
        );
    }
}

fn indicator_of(documents: &mut [Document<'_>], index: usize) -> Option<Found> {
    let spec = documents[index].value["spec"].clone();
    let inline = spec.get("indicator");
    match (inline, text(&spec, "indicatorRef")) {
        (Some(inline), None) => Some(Found {
            document: index,
            value: inline.get("spec")?.clone(),
            path: "spec.indicator.spec".into(),
        }),
        (None, Some(name)) => {
            let slis = names(documents, "SLI");
            let at = documents
                .iter()
                .position(|d| d.kind == "SLI" && d.name == name);
            if at.is_none() {
                let known = slis.iter().map(String::as_str);
                let settings = &mut documents[index].settings;
                settings.refuse_unknown(
                    code::REFERENCE,
                    "spec.indicatorRef",
                    name,
                    "an SLI of this file",
                    known,
                );
            }
            let at = at?;
            Some(Found {
                document: at,
                value: documents[at].value.get("spec")?.clone(),
                path: "spec".into(),
            })
        }
        (both, _) => {
            let message = if both.is_some() {
                "`indicator` and `indicatorRef` both say what is measured"
            } else {
                "nothing says what is measured"
            };
            documents[index].settings.refuse(
                code::REFERENCE,
                "spec",
                message.to_owned(),
                "write `indicator:` with a `spec`, or `indicatorRef:` with the name of an SLI"
                    .to_owned(),
            );
            None
        }
    }
}

fn slo(
    documents: &mut [Document<'_>],
    index: usize,
    found: &Found,
    sources: &[String],
) -> Option<Slo> {
    let measured = measure(&mut documents[found.document].settings, found, sources);
    let document = &mut documents[index];
    let (value, settings) = (&document.value, &mut document.settings);
    let (metadata, spec) = (&value["metadata"], &value["spec"]);
    if spec.get("alertPolicies").is_some() {
        settings.warn(
            code::UNUSED,
            "spec.alertPolicies",
            "alert policies are read and not used".to_owned(),
            "alert rules follow the windows of the SRE workbook".to_owned(),
        );
    }
    let period = period(settings, items(spec, "timeWindow"));
    let budgeting = match text(spec, "budgetingMethod") {
        Some("Timeslices") => Budgeting::Timeslices,
        Some("RatioTimeslices") => Budgeting::RatioTimeslices,
        _ => Budgeting::Occurrences,
    };
    let measured = measured?;
    let objectives = objectives(settings, items(spec, "objectives"), &measured, budgeting);
    let slo = Slo {
        name: document.name.clone(),
        display_name: text(metadata, "displayName").map(str::to_owned),
        description: text(spec, "description").map(str::to_owned),
        service: text(spec, "service")?.to_owned(),
        labels: words(&metadata["labels"]),
        annotations: words(&metadata["annotations"]),
        period: period?,
        budgeting,
        objectives,
    };
    (!document.settings.failed()).then_some(slo)
}

/// What of a map is text.
fn words(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| {
            let word = match value {
                Value::String(word) => word.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => return None,
            };
            Some((key.clone(), word))
        })
        .collect()
}

fn period(settings: &mut Settings<'_>, windows: &[Value]) -> Option<Period> {
    let [window] = windows else {
        let message = format!(
            "{} time windows are given where one is needed",
            windows.len()
        );
        settings.refuse(
            code::VALUE,
            "spec.timeWindow",
            message,
            "keep one".to_owned(),
        );
        return None;
    };
    let written = text(window, "duration")?;
    let Some(span) = Span::openslo(written) else {
        settings.refuse(
            code::VALUE,
            "spec.timeWindow[0].duration",
            format!("`{written}` is no duration"),
            "write a number and one of m, h, d, w, M, Q, Y, such as `28d`".to_owned(),
        );
        return None;
    };
    let rolling = window.get("isRolling").and_then(Value::as_bool);
    match (rolling, window.get("calendar")) {
        (Some(true) | None, None) => Some(Period::Rolling(span)),
        (Some(false) | None, Some(_)) => Some(Period::Calendar(span)),
        _ => {
            settings.refuse(
                code::VALUE,
                "spec.timeWindow[0]",
                "a window either rolls or has a `calendar`".to_owned(),
                "write `isRolling: true` alone, or `calendar:` alone".to_owned(),
            );
            None
        }
    }
}
