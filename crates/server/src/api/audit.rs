//! Proof that the record was not changed.

use super::ApiState;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use esclusa_store::Verification;
use serde::{Deserialize, Serialize};
use std::path::Path;
use utoipa::ToSchema;

/// What a check of all recorded streams found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditView {
    /// Whether every event is what was written.
    pub intact: bool,
    /// Streams looked at.
    pub streams: u64,
    /// Events that fit.
    pub events: u64,
    /// The first misfit of each damaged stream.
    pub broken: Vec<DamageView>,
}

/// A damaged stream.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DamageView {
    /// The stream.
    pub stream: String,
    /// The first position that does not fit.
    pub position: u64,
    /// What does not fit.
    pub what: String,
}

/// Checks the hash chain of every stream
#[utoipa::path(
    get, path = "/api/v1/audit/verify", tag = "audit",
    responses((status = 200, description = "Checked; damage is a finding, not an error", body = AuditView))
)]
pub(super) async fn verify(State(state): State<ApiState>) -> Result<Json<AuditView>, ApiError> {
    Ok(Json(state.app.shared.store.verify().await?.into()))
}

impl From<Verification> for AuditView {
    fn from(found: Verification) -> Self {
        let broken = found.broken.iter().map(|damage| DamageView {
            stream: damage.stream.to_string(),
            position: damage.position,
            what: damage.what.to_owned(),
        });
        Self {
            intact: found.broken.is_empty(),
            streams: found.streams,
            events: found.events,
            broken: broken.collect(),
        }
    }
}

/// The same of a data folder that no server needs to run for; nothing when there is no
/// record in it. Nothing is written, and it may be read beside a server.
///
/// # Errors
/// When it cannot be read.
pub async fn verify_folder(data: &Path) -> Result<Option<AuditView>, ApiError> {
    let found = esclusa_store::verify_folder(data).await?;
    Ok(found.map(Into::into))
}
