//! The file a proxy starts from when nobody tells it what to serve.
//!
//! Two lines: `esclusa-state 1 <digest of the second line>` and the state as JSON.
//! Written to a temporary name, synced, renamed; the file before it is kept.

use crate::{Generation, TakenBack};
use esclusa_model::{Digest, Millis, ReleaseId, ServiceName, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the file's shape.
pub const STATE_FILE_VERSION: u16 = 1;

/// What survives a proxy's restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateFile {
    /// The generation in force.
    pub generation: Generation,
    /// Splits that this proxy returned by itself.
    pub returned: Vec<(ServiceName, ReleaseId)>,
    /// Splits that somebody took back at this proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_back: Vec<TakenBack>,
    /// Time without control at the last write, so that a restart does not reset it.
    pub silent_for: Millis,
    /// When it was written.
    pub written_at: Timestamp,
}

/// Why a state file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateFileError {
    /// Not a state file, or cut off.
    #[error("it is not a complete state file")]
    Malformed,
    /// Written by a version with another shape.
    #[error("it has version {found}, this program reads version {STATE_FILE_VERSION}")]
    Version {
        /// The version in the file.
        found: String,
    },
    /// Damaged after it was written.
    #[error("its content does not match its checksum")]
    Checksum,
    /// The checksum fits, the content does not.
    #[error("its content cannot be read: {0}")]
    Content(String),
}

impl StateFile {
    /// The file's bytes.
    ///
    /// # Errors
    /// Never for values made by this program; JSON's own error otherwise.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        encode("esclusa-state", self)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`StateFileError`]; the caller then tries the previous copy.
    pub fn decode(text: &str) -> Result<Self, StateFileError> {
        decode("esclusa-state", text)
    }
}

/// Two lines: the kind, version and checksum, then the value.
pub(crate) fn encode(kind: &str, value: &impl Serialize) -> Result<String, serde_json::Error> {
    let body = serde_json::to_string(value)?;
    Ok(format!(
        "{kind} {STATE_FILE_VERSION} {}\n{body}\n",
        Digest::of(body.as_bytes())
    ))
}

pub(crate) fn decode<T: DeserializeOwned>(kind: &str, text: &str) -> Result<T, StateFileError> {
    let mut lines = text.lines();
    let head = lines.next().ok_or(StateFileError::Malformed)?;
    let body = lines.next().ok_or(StateFileError::Malformed)?;
    let mut words = head.split(' ');
    if words.next() != Some(kind) {
        return Err(StateFileError::Malformed);
    }
    let version = words.next().ok_or(StateFileError::Malformed)?;
    if version != STATE_FILE_VERSION.to_string() {
        return Err(StateFileError::Version {
            found: version.chars().take(20).collect(),
        });
    }
    let checksum = words.next().ok_or(StateFileError::Malformed)?;
    if checksum != Digest::of(body.as_bytes()).to_string() {
        return Err(StateFileError::Checksum);
    }
    serde_json::from_str(body).map_err(|e| StateFileError::Content(e.to_string()))
}
