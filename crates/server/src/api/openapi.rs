//! The interface's own description, checked in as `openapi/esclusa.json`.

use super::events::EventView;
use super::routes::endpoints;
use super::scopes::scope_of;
use super::stream::{EndView, TrafficView};
use crate::auth::{COOKIE, Scope};
use crate::error::ApiError;
use axum::Json;
use serde_json::{Value, json};
use std::sync::OnceLock;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Description;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "esclusa",
        description = "Releases, services and their record. Errors are JSON with a code, a \
                       sentence and the next step; codes are explained in docs/errors. Send a \
                       token as `Authorization: Bearer`; the Unix socket needs none. A browser is \
                       known by the cookie of `/api/v1/login` and sends `x-esclusa-csrf` with \
                       every method but GET and HEAD.",
    ),
    components(schemas(ApiError, EndView, EventView, TrafficView))
)]
struct About;

/// The description.
pub(super) async fn serve() -> Json<&'static Value> {
    Json(description())
}

/// The description, with the scope of every endpoint.
pub(super) fn description() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION.get_or_init(build)
}

fn build() -> Value {
    let (mut quick, mut streams) = endpoints();
    let mut whole: Description = About::openapi();
    whole.merge(quick.to_openapi());
    whole.merge(streams.to_openapi());
    let mut whole = serde_json::to_value(&whole).unwrap_or_default();
    whole["components"]["securitySchemes"] = json!({
        "token": { "type": "http", "scheme": "bearer", "bearerFormat": "esclusa_<name>_<64 hex>" },
        "session": { "type": "apiKey", "in": "cookie", "name": COOKIE }
    });
    let paths = whole["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(scope) = scope_of(method, path) {
                declare(operation, scope);
            }
        }
    }
    whole
}

/// Writes into an operation what it asks of its caller and how it refuses.
fn declare(operation: &mut Value, scope: Scope) {
    operation["x-esclusa-scope"] = json!(scope.as_str());
    if scope == Scope::Public {
        operation["security"] = json!([]);
        return;
    }
    operation["security"] = json!([{ "token": [] }, { "session": [] }]);
    let refusal = |description: &str| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/ApiError" } } }
        })
    };
    operation["responses"]["401"] = refusal("No valid token or session");
    operation["responses"]["429"] = refusal("Asked too often; a way back never is");
    operation["responses"]["default"] = refusal("Whatever else went wrong, with the next step");
    if scope != Scope::AnyToken {
        let needed = match scope {
            Scope::SignOff => "the role that is signed off".to_owned(),
            other => format!("the role {}", other.as_str()),
        };
        operation["responses"]["403"] = refusal(&format!("The token lacks {needed}"));
    }
}
