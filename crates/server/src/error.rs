//! What goes wrong at the edge: a code, a sentence, the next step.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// The kind of an error, which decides the HTTP status and the command's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The input is wrong.
    BadInput,
    /// Who asked may not.
    Forbidden,
    /// Nobody is known who asked.
    Unauthorized,
    /// It is not there.
    NotFound,
    /// It cannot be done in this state.
    Conflict,
    /// Asked too often.
    TooMany,
    /// Something that we depend on does not answer.
    Unavailable,
    /// A fault of ours.
    Internal,
}

/// An error that people and programs can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
pub struct ApiError {
    /// What kind it is.
    pub kind: ErrorKind,
    /// `ESC-0000`, explained in `docs/errors/`.
    pub code: String,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do next.
    pub help: String,
    /// Single findings, such as the diagnostics of a plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<serde_json::Value>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl ApiError {
    /// An error without details.
    pub fn new(
        kind: ErrorKind,
        code: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message: message.into(),
            help: help.into(),
            details: Vec::new(),
        }
    }

    pub(crate) fn damaged(
        stream: &esclusa_model::StreamId,
        position: u64,
        error: &dyn fmt::Display,
    ) -> Self {
        Self::new(
            ErrorKind::Internal,
            "ESC-0901",
            format!("stream {stream} cannot be read at position {position}: {error}"),
            "run `esclusa audit verify`; restore the data folder from a backup if it is damaged",
        )
    }

    pub(crate) fn release_not_found(id: &str) -> Self {
        Self::new(
            ErrorKind::NotFound,
            "ESC-0404",
            format!("no release {id} is known"),
            "see `esclusa release history` for the releases that are",
        )
    }
}

impl From<esclusa_store::StoreError> for ApiError {
    fn from(error: esclusa_store::StoreError) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            error.code(),
            error.to_string(),
            error.next_step(),
        )
    }
}
