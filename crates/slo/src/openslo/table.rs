//! The fields of OpenSLO v1, by kind of document.

use crate::fields::{choice, list, optional, required};
use esclusa_plan::{Field, FieldKind};

/// The kinds that version 1 knows.
pub(super) const KINDS: &[&str] = &[
    "Service",
    "SLO",
    "SLI",
    "DataSource",
    "AlertPolicy",
    "AlertCondition",
    "AlertNotificationTarget",
];

/// Those that say nothing to this program.
pub(super) const UNUSED: &[&str] = &["AlertPolicy", "AlertCondition", "AlertNotificationTarget"];

/// What tells a document's kind.
pub(super) fn head() -> Vec<Field> {
    vec![
        required("apiVersion", FieldKind::Text, "Always openslo/v1."),
        required("kind", FieldKind::Text, "What the document is."),
        optional("metadata", FieldKind::Free, "Name and labels."),
        optional("spec", FieldKind::Free, "The content."),
    ]
}

/// All fields of a document of this kind.
pub(super) fn of(kind: &str) -> Vec<Field> {
    let spec = match kind {
        "SLO" => FieldKind::Block(slo()),
        "SLI" => FieldKind::Block(sli()),
        "DataSource" => FieldKind::Block(data_source()),
        "Service" => FieldKind::Block(vec![description()]),
        _ => FieldKind::Free,
    };
    let spec = if kind == "Service" {
        optional("spec", spec, "The content.")
    } else {
        required("spec", spec, "The content.")
    };
    vec![
        required("apiVersion", FieldKind::Text, "Always openslo/v1."),
        required("kind", FieldKind::Text, "What the document is."),
        required("metadata", FieldKind::Block(metadata()), "Name and labels."),
        spec,
    ]
}

fn metadata() -> Vec<Field> {
    vec![
        required("name", FieldKind::Text, "The name, unique in its kind."),
        optional("displayName", FieldKind::Text, "The name for people."),
        optional(
            "labels",
            FieldKind::Free,
            "Labels; those with one value go to the alerts.",
        ),
        optional("annotations", FieldKind::TemplateMap, "Annotations."),
    ]
}

fn description() -> Field {
    optional("description", FieldKind::Text, "What it is about.")
}

fn slo() -> Vec<Field> {
    let inline = vec![
        optional("metadata", FieldKind::Block(metadata()), "Name and labels."),
        required("spec", FieldKind::Block(sli()), "The content."),
    ];
    vec![
        description(),
        required("service", FieldKind::Text, "The service."),
        optional(
            "indicator",
            FieldKind::Block(inline),
            "What it is measured by.",
        ),
        optional("indicatorRef", FieldKind::Text, "The name of an SLI."),
        required(
            "timeWindow",
            list(FieldKind::Block(vec![
                required("duration", FieldKind::Text, "Such as 28d."),
                optional(
                    "isRolling",
                    FieldKind::Switch,
                    "Whether it moves with time.",
                ),
                optional(
                    "calendar",
                    FieldKind::Block(vec![
                        required("startTime", FieldKind::Text, "When the first one began."),
                        optional("timeZone", FieldKind::Text, "Such as Europe/Madrid."),
                    ]),
                    "Where it is bound to the calendar.",
                ),
            ])),
            "One window.",
        ),
        required(
            "budgetingMethod",
            choice(&["Occurrences", "Timeslices", "RatioTimeslices"]),
            "How the budget is spent.",
        ),
        required(
            "objectives",
            list(FieldKind::Block(objective())),
            "The targets.",
        ),
        optional(
            "alertPolicies",
            FieldKind::Free,
            "Policies, or names of them.",
        ),
    ]
}

fn objective() -> Vec<Field> {
    vec![
        optional("displayName", FieldKind::Text, "The name for people."),
        optional(
            "op",
            choice(&["lte", "gte", "lt", "gt"]),
            "How a value is compared.",
        ),
        optional("value", FieldKind::Text, "With what."),
        optional("target", FieldKind::Text, "The good part, such as 0.999."),
        optional(
            "targetPercent",
            FieldKind::Text,
            "The same in percent, such as 99.9.",
        ),
        optional(
            "timeSliceTarget",
            FieldKind::Text,
            "The good part of a good slice.",
        ),
        optional(
            "timeSliceWindow",
            FieldKind::Text,
            "The length of a slice, such as 1m.",
        ),
    ]
}

fn sli() -> Vec<Field> {
    let side = |doc| {
        let source = required(
            "metricSource",
            FieldKind::Block(metric_source()),
            "Where it comes from.",
        );
        (FieldKind::Block(vec![source]), doc)
    };
    let part = |name, doc| {
        let (kind, doc) = side(doc);
        optional(name, kind, doc)
    };
    vec![
        description(),
        part("thresholdMetric", "A value that is compared."),
        optional(
            "ratioMetric",
            FieldKind::Block(vec![
                optional(
                    "counter",
                    FieldKind::Switch,
                    "Whether the series are counters.",
                ),
                part("good", "Good events."),
                part("bad", "Bad events."),
                part("total", "All events."),
                part("raw", "A ratio that was computed elsewhere."),
                optional(
                    "rawType",
                    choice(&["success", "failure"]),
                    "What that ratio is of.",
                ),
            ]),
            "A ratio.",
        ),
    ]
}

fn metric_source() -> Vec<Field> {
    let query = required("query", FieldKind::Text, "PromQL.");
    vec![
        optional(
            "metricSourceRef",
            FieldKind::Text,
            "The name of a DataSource.",
        ),
        optional("type", FieldKind::Text, "Prometheus."),
        required("spec", FieldKind::Block(vec![query]), "The query."),
    ]
}

fn data_source() -> Vec<Field> {
    vec![
        description(),
        required("type", FieldKind::Text, "Prometheus."),
        optional("connectionDetails", FieldKind::Free, "How it is reached."),
    ]
}
