//! The file a proxy answers flags and guards from when nobody tells it any.
//!
//! As the state file: `esclusa-flags 1 <digest of the second line>`, then JSON. It stands
//! beside that one, because a set of thousands of flags is not written again with each
//! change of a share.

use crate::state_file::{decode, encode};
use crate::{FlagDocument, FlagKill, StateFileError};
use esclusa_flags::Kills;
use esclusa_model::ReleaseId;
use serde::{Deserialize, Serialize};

/// What of a proxy's flags survives its restart, and what it hands over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagsFile {
    /// The document in force, as it was sent; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<FlagDocument>,
    /// All kills that hold, also those that the document does not know.
    #[serde(default)]
    pub kills: Kills,
    /// Kills that were asked of this proxy itself and that no document covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub killed_here: Vec<FlagKill>,
    /// Releases whose rollouts in the document are shown to nobody, because their split
    /// was returned or taken back at this proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<ReleaseId>,
}

impl FlagsFile {
    /// The file's bytes.
    ///
    /// # Errors
    /// Never for values made by this program; JSON's own error otherwise.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        encode("esclusa-flags", self)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`StateFileError`]; the caller then tries the previous copy.
    pub fn decode(text: &str) -> Result<Self, StateFileError> {
        decode("esclusa-flags", text)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
