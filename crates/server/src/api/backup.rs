//! A backup of the state, made by the one program that may read its files while it runs.

use super::ApiState;
use super::answer::{Body, bad_input};
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use axum::Json;
use axum::extract::State;
use esclusa_store::backup::{BackupError, Content, Existing, Manifest, Wanted, make};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use utoipa::ToSchema;

/// Where a backup goes and what is in it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackUpState {
    /// The file, by its whole path on the server's machine.
    pub file: String,
    /// Whether a file that is there is replaced.
    #[serde(default)]
    pub force: bool,
    /// Whether counts of traffic are left out.
    #[serde(default)]
    pub without_slices: bool,
    /// Whether the versions that the data folder keeps are put in.
    #[serde(default)]
    pub with_artifacts: bool,
}

/// A backup that was made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BackedUp {
    /// The file.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// What is in it.
    #[schema(value_type = Object)]
    pub manifest: Manifest,
}

impl BackUpState {
    fn content(&self) -> Content {
        let wanted = |with| {
            if with { Wanted::With } else { Wanted::Without }
        };
        Content {
            slices: wanted(!self.without_slices),
            artifacts: wanted(self.with_artifacts),
        }
    }
}

/// Writes the state into one file on the server's machine
#[utoipa::path(
    post, path = "/api/v1/state/backup", tag = "audit", request_body = BackUpState,
    responses(
        (status = 200, body = BackedUp),
        (status = 400, body = ApiError),
        (status = 503, body = ApiError),
    )
)]
pub(super) async fn make_one(
    State(state): State<ApiState>,
    Body(asked): Body<BackUpState>,
) -> Result<Json<BackedUp>, ApiError> {
    let file = PathBuf::from(&asked.file);
    if !file.is_absolute() {
        return Err(bad_input("ESC-0408", "the file's path is not a whole one"));
    }
    let existing = if asked.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let (data, content) = (state.app.shared.data_dir.clone(), asked.content());
    // On its own: what was begun comes to its end also where nobody waits any more.
    let work = tokio::spawn(async move {
        let quiet = Arc::new(|_| ());
        make(&data, &file, content, existing, clock::now(), quiet).await
    });
    let broken = |error: tokio::task::JoinError| {
        let message = format!("the backup broke off: {error}");
        ApiError::new(ErrorKind::Internal, "ESC-0900", message, "report this")
    };
    let made = work.await.map_err(broken)??;
    Ok(Json(BackedUp {
        file: made.file.display().to_string(),
        size: made.size,
        manifest: made.manifest,
    }))
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        let kind = if error.is_bad_input() {
            ErrorKind::BadInput
        } else {
            ErrorKind::Unavailable
        };
        let mut message = error.to_string();
        if let BackupError::File { source, .. } = &error {
            message = format!("{message}: {source}");
        }
        Self::new(kind, error.code(), message, error.next_step())
    }
}
