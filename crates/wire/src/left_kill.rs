//! A kill that is left in a proxy's folder, where no proxy answers.
//!
//! As the state file: `esclusa-kill 1 <digest of the second line>`, then JSON. Each kill is
//! a file of its own, so that nobody has to read what another left.

use crate::state_file::{decode, encode};
use crate::{FlagKill, StateFileError, TakeBack};
use serde::{Deserialize, Serialize};

/// What the next proxy of the folder does before it serves anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftKill {
    /// Features that are off; absent when none was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<FlagKill>,
    /// Services whose running split is taken back; absent when none was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_back: Option<TakeBack>,
}

impl LeftKill {
    /// The file's bytes.
    ///
    /// # Errors
    /// Never for values made by this program; JSON's own error otherwise.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        encode("esclusa-kill", self)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`StateFileError`].
    pub fn decode(text: &str) -> Result<Self, StateFileError> {
        decode("esclusa-kill", text)
    }
}
