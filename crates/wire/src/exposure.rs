//! Who met which variant of a flag, as a line of a log.

use esclusa_flags::FlagReason;
use esclusa_model::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of [`ExposureRecord`].
pub const EXPOSURE_VERSION: u16 = 1;

/// An answer that somebody was given: one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExposureRecord {
    /// [`EXPOSURE_VERSION`] of the writer.
    pub v: u16,
    /// When, in microseconds since 1970.
    pub at: Timestamp,
    /// The environment of flags.
    pub environment: String,
    /// The flag.
    pub flag: String,
    /// The variant that was served.
    pub variant: String,
    /// OpenFeature's reason.
    pub reason: FlagReason,
    /// The revision of the set.
    pub revision: u64,
    /// Who: a keyed hash of 16 bytes as hex, the same for one unit in all records of an
    /// installation. The id itself is nowhere.
    pub unit: String,
    /// Who asked.
    pub source: ExposureSource,
}

/// Where an answer was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExposureSource {
    /// One flag over OFREP.
    Ofrep,
    /// All flags at once over OFREP: what a client would get.
    OfrepBulk,
    /// A guard before requests that the proxy carries.
    Guard,
    /// A guard before requests of another web server.
    ForwardAuth,
}

/// What became of exposures at a data plane since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExposureStatus {
    /// Environments in which answers are recorded.
    pub environments: Vec<String>,
    /// Written.
    pub recorded: u64,
    /// Left out because the same was recorded shortly before.
    pub repeated: u64,
    /// Lost because too many waited for the disk.
    pub dropped: u64,
    /// Lost because the disk did not take them.
    pub unwritten: u64,
    /// What went wrong with the disk last, if it still does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
