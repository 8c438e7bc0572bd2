//! Plans: checked and shown before anything starts.

use super::ApiState;
use super::answer::Body;
use axum::Json;
use axum::extract::State;
use esclusa_plan::{Diagnostic, SourceFile};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A plan to be checked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPlan {
    /// Its file name, for messages.
    pub name: String,
    /// Its text.
    pub plan: String,
}

/// What is to be said about a plan.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckedPlan {
    /// Whether it would be accepted.
    pub accepted: bool,
    /// Errors and warnings in the file's order, with line, column, code and next step.
    pub diagnostics: Vec<serde_json::Value>,
    /// The plan at a glance as text; absent when it is refused.
    pub show: Option<String>,
    /// The same as data.
    pub overview: Option<serde_json::Value>,
}

/// Checks a plan against what this server can do
#[utoipa::path(
    post, path = "/api/v1/plans/check", tag = "plans", request_body = CheckPlan,
    responses((status = 200, description = "Checked; errors in the plan are findings", body = CheckedPlan))
)]
pub(super) async fn check(
    State(state): State<ApiState>,
    Body(asked): Body<CheckPlan>,
) -> Json<CheckedPlan> {
    let source = SourceFile::new(asked.name, asked.plan);
    Json(match esclusa_plan::parse(&source, state.app.catalog()) {
        Ok(parsed) => CheckedPlan {
            accepted: true,
            diagnostics: json(&parsed.warnings),
            show: Some(esclusa_plan::show(&parsed.plan)),
            overview: serde_json::to_value(esclusa_plan::overview(&parsed.plan)).ok(),
        },
        Err(found) => CheckedPlan {
            accepted: false,
            diagnostics: json(&found),
            show: None,
            overview: None,
        },
    })
}

fn json(diagnostics: &[Diagnostic]) -> Vec<serde_json::Value> {
    diagnostics
        .iter()
        .filter_map(|found| serde_json::to_value(found).ok())
        .collect()
}

/// The JSON Schema of plans, with the drivers of this server
#[utoipa::path(
    get, path = "/api/v1/plans/schema", tag = "plans",
    responses((status = 200, body = serde_json::Value))
)]
pub(super) async fn schema(State(state): State<ApiState>) -> Json<serde_json::Value> {
    Json(esclusa_plan::json_schema(state.app.catalog()))
}
