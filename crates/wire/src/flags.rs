//! Flags on their way to the data plane, and kills that wait for nobody.

use crate::exposure::ExposureStatus;
use esclusa_flags::{FlagSet, Kills, Rollout};
use esclusa_model::{Actor, Digest, GenerationId, Timestamp};
use serde::{Deserialize, Serialize};

/// Everything that a data plane answers flags and guards requests from, whole.
///
/// It has numbers of its own beside generations: a set of thousands of flags does not
/// travel again with each change of a share. Kills are merged, never replaced: one that
/// the sender does not know yet stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagDocument {
    /// [`crate::WIRE_VERSION`] of the writer.
    pub v: u16,
    /// Its name; data planes refuse one that is not higher than theirs.
    pub id: GenerationId,
    /// The flags, segments, tenants and guards.
    pub set: FlagSet,
    /// What is killed.
    #[serde(default)]
    pub kills: Kills,
    /// What running releases turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<Rollout>,
    /// Who may ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<FlagToken>,
    /// Key that signs the addresses of event streams, 32 bytes as hex. Redacted in logs.
    pub key: String,
    /// Kills and liftings in force that the store may not have yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<FlagKill>,
}

/// A token that may ask for flags. Its secret is known by its hash alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagToken {
    /// Its name.
    pub name: String,
    /// SHA-256 of the secret.
    pub hash: Digest,
    /// What it may see.
    pub kind: FlagTokenKind,
    /// The environment it asks in.
    pub environment: String,
    /// The only project whose flags it sees; all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Whether an answer without a value leaves `value` and `variant` out, as the
    /// protocol has it, instead of naming the off value, which old clients need.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// From when on it is worthless; absent for one that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// What a token of flags is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagTokenKind {
    /// A server: all flags.
    Server,
    /// Code in people's hands: only flags that browsers may read.
    Client,
}

/// The answer to a [`FlagDocument`]: it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagsTaken {
    /// What is in force now.
    pub id: GenerationId,
    /// The revision of its set.
    pub revision: u64,
    /// The kills that hold now, also those that the sender did not know.
    pub kills: Kills,
    /// Whether the data plane could also write it to its disk.
    pub persisted: bool,
}

/// Turns features off, with or without a controller. Asking again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagKill {
    /// The flags; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// False lifts the kill of these, or the one of all.
    pub killed: bool,
    /// The epoch it was given; 0 asks the data plane to give the next.
    #[serde(default)]
    pub epoch: u64,
    /// Who decides that.
    pub by: Actor,
    /// Why, for people; possibly empty.
    pub reason: String,
    /// When; the data plane's own time where it gives the epoch.
    #[serde(default)]
    pub at: Timestamp,
}

/// Asks for the contexts that applications asked with lately, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskContexts {
    /// Of this environment.
    pub environment: String,
}

/// What became of a [`FlagKill`]: no evaluation that begins later sees anything older.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagsKilled {
    /// The kills that hold now.
    pub kills: Kills,
    /// Names of the call that no flag has. The kill is kept for them all the same.
    pub unknown: Vec<String>,
    /// Whether the disk has it.
    pub persisted: bool,
}

/// How flags stand at a data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagStatus {
    /// The document in force; `0.0` before the first.
    pub id: GenerationId,
    /// The revision of its set.
    pub revision: u64,
    /// The kills that hold.
    pub kills: Kills,
    /// Kills that were asked of this data plane itself, until a document comes that
    /// knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub killed_here: Vec<FlagKill>,
    /// Open event streams.
    pub streams: Vec<FlagStream>,
    /// What became of exposures, where any are recorded or were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposures: Option<ExposureStatus>,
    /// Guards that cannot verify claims now: they take nobody for whom they say to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyless: Vec<KeylessGuard>,
}

/// A guard whose key cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeylessGuard {
    /// The guard.
    pub guard: String,
    /// Why, for people.
    pub trouble: String,
}

/// An event stream that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagStream {
    /// The token's name, and what the client says of itself.
    pub who: String,
    /// When it began.
    pub since: Timestamp,
    /// The revision and kill epoch that it was told last.
    pub told: (u64, u64),
    /// The same of the last answer that its client fetched, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<(u64, u64)>,
}
