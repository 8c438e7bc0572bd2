//! The timeline of a replay as a contract for programs (JSON Schema 2020-12).

use crate::metric::BUILT_IN;
use crate::verdict::{Decision, Label};
use serde_json::{Value, json};

/// The schema of one line that [`crate::replay`] writes.
#[must_use]
pub fn timeline_schema() -> Value {
    let metrics: Vec<&str> = BUILT_IN.iter().map(|metric| metric.key()).collect();
    let metric = json!({
        "description": "A metric of the judge, or the name of a series",
        "type": "string",
        "minLength": 1,
        "examples": metrics,
    });
    let evidence = json!({
        "type": "object",
        "propertyNames": metric,
        "additionalProperties": { "type": "number" },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "esclusa judge timeline, one line",
        "type": "object",
        "additionalProperties": false,
        "required": [
            "t", "verdict", "reason", "causes", "log_e", "log_ni", "eta_s", "canary_requests",
        ],
        "properties": {
            "t": { "type": "integer", "description": "Second of the recording" },
            "verdict": { "enum": [Decision::Proceed, Decision::Hold, Decision::Rollback] },
            "reason": {
                "description": "A code; behind a colon the metric, series or objective it speaks of",
                "type": "string",
                "pattern": "^[a-z_]+(:.+)?$",
                "examples": ["proven", "watching", "harm:err", "missing_data:queue_depth"],
            },
            "causes": {
                "description": "What the verdict rests on, the most important first; beside HOLD also what was seen and is no harm",
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["label", "routes"],
                    "properties": {
                        "label": { "enum": Label::ALL },
                        "routes": {
                            "description": "Routes that show it by themselves",
                            "type": "array",
                            "items": { "type": "string" },
                        },
                        "e": { "type": "number", "minimum": 0, "description": "Evidence, as a likelihood ratio" },
                        "metric": metric,
                    },
                },
            },
            "log_e": evidence,
            "log_ni": evidence,
            "eta_s": {
                "description": "Seconds to a proof at the present pace; null where none is in sight",
                "type": ["integer", "null"],
                "minimum": 0,
            },
            "canary_requests": { "type": "integer", "minimum": 0 },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A label that is added stands in the schema too.
    #[test]
    fn every_label_is_listed_once() {
        let place = |label: Label| match label {
            Label::NoTraffic => 0,
            Label::MissingData => 1,
            Label::SampleRatioMismatch => 2,
            Label::SharedDependency => 3,
            Label::SloBurn => 4,
            Label::NoConcurrentBaseline => 5,
            Label::ColdStart => 6,
            Label::TrafficMix => 7,
            Label::TrafficReassigned => 8,
            Label::BaselineMoved => 9,
            Label::TooGood => 10,
            Label::Errors => 11,
            Label::Tail => 12,
            Label::Drift => 13,
            Label::BadHost => 14,
            Label::Latency => 15,
            Label::Series => 16,
            Label::Outage => 17,
        };
        let places: Vec<usize> = Label::ALL.iter().map(|label| place(*label)).collect();
        assert_eq!(places, (0..=17).collect::<Vec<_>>());
    }
}
