//! Versions, components and the tracks their instances run on.

use crate::{Digest, VersionName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A version: what people call it and what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRef {
    /// People's name for it.
    pub name: VersionName,
    /// The digest of its content, or of the text that stands for it.
    pub digest: Digest,
    /// Whether the digest is of the content itself. False for `address` and
    /// `command`, where only the text that names the version was hashed.
    pub verified: bool,
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.digest.short())
    }
}

/// How a component is exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// Split by requests.
    #[default]
    Web,
    /// Split by instances.
    Worker,
    /// Exactly one active copy: a scheduler, a migrator.
    Singleton,
}

/// What an instance is told it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Track {
    /// Serves what was proved before.
    Stable,
    /// Is being proved.
    Canary,
    /// Runs and must not act.
    Standby,
}

impl Track {
    /// The text given to processes as `ESCLUSA_TRACK`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Standby => "standby",
        }
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
